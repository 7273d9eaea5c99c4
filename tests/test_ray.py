"""A real Ray cluster of two processes: the same results, also where it loses one."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch
import units
from torch import Tensor

from polyrot.capabilities.autoencoders import TrainedAutoencoders
from polyrot.errors import NotRun
from polyrot.linalg import battery
from polyrot.parallel import Workers, run_units, using
from polyrot.progress import silent
from polyrot.sae.recipe import SAEConfig
from polyrot.stats import nulls

# The package itself warns when it is imported and when it ends.
pytestmark = pytest.mark.filterwarnings("ignore")
RECIPE = SAEConfig(expansion=2, steps=5, batch=64)


@pytest.fixture(scope="module")
def ray() -> Iterator[Workers]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
    options = ["--num-cpus=2", "--include-dashboard=false", "--node-ip-address=127.0.0.1"]
    port = f"--port={address.split(':')[1]}"
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # paths of its sockets must be short
        started = subprocess.Popen(
            [*command, *options, port, f"--temp-dir={folder}"],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert started.stdout is not None
        said = ""
        while "Ray runtime started" not in said:
            line = started.stdout.readline()
            assert line, said
            said += line
        yield Workers("ray", cluster=address)
        import ray

        ray.shutdown()
        children = psutil.Process(started.pid).children(recursive=True)
        started.terminate()
        started.communicate(timeout=30)
        _, alive = psutil.wait_procs(children, timeout=10)
        for process in alive:
            process.kill()


def test_units_keep_their_order_in_two_processes(ray: Workers) -> None:
    shares: list[float] = []
    found = run_units(
        units.where,
        [(i,) for i in range(6)],
        on=ray,
        progress=lambda share, what: shares.append(share),
    )
    assert [number for number, _, _ in found] == list(range(6))
    processes = {process for _, process, _ in found}
    assert len(processes) == 2
    assert os.getpid() not in processes
    assert shares == [pytest.approx((i + 1) / 6) for i in range(6)]


def test_a_killed_worker_costs_no_result(ray: Workers, tmp_path: Path) -> None:
    units.run_while_a_worker_is_killed(ray, tmp_path)


def test_what_a_unit_raises_comes_back(ray: Workers) -> None:
    with pytest.raises(NotRun, match=r"unit \d lacks something"):
        run_units(units.lacking, [(1,), (2,)], on=ray)
    assert run_units(divmod, [(7, 2), (9, 4)], on=ray) == [(3, 1), (2, 1)]


def test_autoencoders_and_nulls_are_equal(
    ray: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = [torch.randn(300, 16, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    monkeypatch.setattr(battery, "DRAWS", 100)
    monkeypatch.setattr(battery, "SPECTRAL_UNIT", 9 * 40)

    def made() -> list[Tensor]:
        trained = TrainedAutoencoders("tiny", RECIPE, lambda site: data, silent)
        saes = trained.at("resid_post.0", [0, 0, 1])
        null = battery._spectral_null(9, False, 3)
        return [*(sae.W_dec for sae in saes), *null.values()]

    results = []
    for name, on in {"here": Workers(), "ray": ray}.items():
        monkeypatch.setenv("POLYROT_CACHE", str(tmp_path / name))
        monkeypatch.setattr(nulls, "_memory", {})
        with using(on):
            results.append(made())
    torch.testing.assert_close(*results, rtol=0, atol=0)


@pytest.mark.cluster
def test_a_cluster_that_does_not_answer_is_named_at_once() -> None:
    said = r"no Ray cluster answers at 127.0.0.1:9 \(ConnectionRefusedError\); start one with `ray"
    with pytest.raises(NotRun, match=said):
        run_units(divmod, [(7, 2)], on=Workers("ray", cluster="127.0.0.1:9"))
