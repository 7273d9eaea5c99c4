"""The machine: what it is, how many threads it lends, and the most it reaches."""

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from time import perf_counter
from typing import Any

import psutil
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from harness.rows import Ceilings
from polyrot import provenance

PEERS = (
    "dictionary-learning",
    "eai-sparsify",
    "lap",
    "nnsight",
    "pytest-benchmark",
    "qc-procrustes",
    "sae-lens",
    "threadpoolctl",
    "transformer-lens",
    "triton",
)
PRODUCT = {"cpu": 2048, "cuda": 8192}
COPY = {"cpu": 2**28, "cuda": 2**30}
"""Width of the matrix product, and bytes of the copy: far beyond every cache."""


def machine(device: str) -> dict[str, Any]:
    """Describe the processor, the memory and the accelerator if it is used."""
    found = provenance.machine()
    found["memory GiB"] = round(psutil.virtual_memory().total / 2**30)
    if device == "cuda":
        found["accelerator"] = torch.cuda.get_device_name()
    return found


def versions() -> dict[str, str]:
    """Versions of what is measured; what is not installed is left out."""
    found = provenance.versions()
    for name in PEERS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def set_threads(count: int) -> None:
    """Give torch and every BLAS that is loaded so many threads."""
    torch.set_num_threads(count)
    threadpool_limits(count)


def threads() -> dict[str, int]:
    """Read back how many threads each library has."""
    found = {"torch": torch.get_num_threads()}
    for pool in threadpool_info():
        name = f"{pool['internal_api']} ({pool['prefix']})"
        found[name] = min(pool["num_threads"], found.get(name, pool["num_threads"]))
    return found


def synchroniser(device: str) -> Callable[[], None]:
    """What to call before a clock is read."""
    return torch.cuda.synchronize if device == "cuda" else lambda: None


def ceilings(device: str) -> Ceilings:
    """Measure a large matrix product and a large copy."""
    d = PRODUCT[device]
    reached = {}
    for precision in (torch.float64, torch.float32):
        a, b = (torch.randn(d, d, dtype=precision, device=device) for _ in range(2))
        out = torch.empty_like(a)
        took = _seconds(lambda a=a, b=b, out=out: torch.mm(a, b, out=out), device)
        reached[precision] = 2 * d**3 / took
    source = torch.ones(COPY[device] // 8, dtype=torch.float64, device=device)
    target = torch.empty_like(source)
    took = _seconds(lambda: target.copy_(source), device)
    return Ceilings(reached[torch.float64], reached[torch.float32], 2 * COPY[device] / took)


def _seconds(call: Callable[[], Any], device: str) -> float:
    synchronise = synchroniser(device)
    times = []
    for _ in range(4):
        synchronise()
        start = perf_counter()
        call()
        synchronise()
        times.append(perf_counter() - start)
    return median(times[1:])
