"""Units of work: plain functions of small arguments, run here, in processes or on a cluster.

What a unit computes depends on its arguments only, never on where it runs or what else runs:
results are equal to the last bit for every backend and any number of processes.  Large data
stay in files, which the units name by path; workers on other machines must see the same folders.
"""

import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from socket import create_connection
from threading import RLock
from typing import Any, Literal, TypeVar, get_args

from polyrot.errors import NotRun
from polyrot.progress import Progress, silent

Backend = Literal["loky", "dask", "ray"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
CLUSTER = "POLYROT_CLUSTER"
"""Environment variable with the address of a cluster's scheduler."""
CONNECT_SECONDS = 10
RETRIES = 3
"""How often a unit is run again on Ray after its worker died; Dask's default is the same."""
IDLE_SECONDS = 60
"""Idle processes end after this time."""

START = {
    "dask": "start one with `dask scheduler`, and on every machine `dask worker ADDRESS "
    "--nthreads 1` with the same cache folder",
    "ray": "start one with `ray start --head`, and on every machine `ray start --address ADDRESS` "
    "with the same cache folder",
}
PACKAGE = {"dask": ("distributed", '"polyrot[dask]"'), "ray": ("ray", '"polyrot[ray]"')}

Result = TypeVar("Result")


@dataclass(frozen=True)
class Workers:
    """Where units run."""

    backend: Backend = "loky"
    jobs: int = 1
    """Processes on this machine; a cluster uses all its workers."""
    cluster: str = ""
    """Address of a cluster's scheduler; by default the value of `POLYROT_CLUSTER`."""

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise ValueError(f"Expected backend among {BACKENDS} but got backend={self.backend!r}")
        if self.jobs < 1:
            raise ValueError(f"Expected jobs of at least 1 but got jobs={self.jobs!r}")
        if self.backend == "loky" and self.cluster:
            raise ValueError("Expected backend dask or ray with a cluster but got backend='loky'")
        if self.backend != "loky" and self.jobs > 1:
            raise ValueError(
                f"Expected jobs only with backend loky but got jobs={self.jobs!r}; a cluster uses "
                "all workers that were started"
            )

    @property
    def here(self) -> bool:
        """Do units run sequentially in this process?"""
        return self.backend == "loky" and self.jobs == 1

    @property
    def address(self) -> str:
        return self.cluster or os.environ.get(CLUSTER, "")

    def check(self) -> None:
        """Raise NotRun if a package or the address of a cluster is missing."""
        if self.backend == "loky":
            return
        package, requirement = PACKAGE[self.backend]
        if find_spec(package) is None:
            raise NotRun(f"--backend {self.backend} needs a package: pip install {requirement}")
        if not self.address:
            raise NotRun(
                f"--backend {self.backend} needs a cluster: {START[self.backend]}; then give "
                f"--cluster ADDRESS or set {CLUSTER}"
            )


def check_backend(name: str) -> Backend:
    """Return a backend by name, or raise ValueError that lists the known ones."""
    for backend in BACKENDS:
        if backend == name:
            return backend
    raise ValueError(f"Expected backend among {', '.join(BACKENDS)} but got {name!r}")


_chosen = Workers()
_unit = RLock()


def workers() -> Workers:
    """Return where units run: in this process, unless `using` chose otherwise."""
    return _chosen


@contextmanager
def using(chosen: Workers) -> Iterator[None]:
    """Choose where units run.

    Raises:
        NotRun: if a package or the address of a cluster is missing.
    """
    global _chosen  # noqa: PLW0603 - a global setting like the cache folder: alters no number
    chosen.check()
    before, _chosen = _chosen, chosen
    try:
        yield
    finally:
        _chosen = before


def run_units(
    function: Callable[..., Result],
    arguments: Iterable[tuple[Any, ...]],
    *,
    on: Workers | None = None,
    progress: Progress = silent,
) -> list[Result]:
    """Call a function with each tuple of arguments; return the results in their order.

    If a cluster's worker dies, its unit is run again: units must be safe to run twice.  A worker
    runs one unit at a time.

    Args:
        function: defined at module level, so that other processes can import it.
        arguments: of each unit, small; large data as paths.
        on: where to run; by default as `using` chose.
        progress: called after every unit.

    Raises:
        NotRun: if a package is missing, or no cluster or worker answers.

    >>> run_units(divmod, [(7, 2), (9, 4)])
    [(3, 1), (2, 1)]
    """
    units = list(arguments)
    chosen = on or workers()
    results: dict[int, Result] = {}
    for index, result in _finished(function, units, chosen):
        results[index] = result
        progress(len(results) / len(units), f"{len(results)} of {len(units)}")
    return [results[index] for index in range(len(units))]


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute single-threaded: LAPACK's last bits depend on the number of threads.

    Code that only multiplies matrices does not need it.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _finished(
    function: Callable[..., Result], units: list[tuple[Any, ...]], chosen: Workers
) -> Iterator[tuple[int, Result]]:
    """Yield index and result of units as they finish."""
    if chosen.here or (chosen.backend == "loky" and len(units) < 2):
        for index, unit in enumerate(units):
            yield _run(function, index, unit)
        return
    from joblib import Parallel, delayed  # type: ignore[import-untyped]

    chosen.check()
    with _backend(chosen):
        # One unit per task: a unit takes seconds, so a dead worker costs little.  Ray's backend
        # returns all results at the end.
        order = "list" if chosen.backend == "ray" else "generator_unordered"
        parallel = Parallel(return_as=order, batch_size=1)
        yield from parallel(delayed(_run)(function, i, unit) for i, unit in enumerate(units))


def _run(
    function: Callable[..., Result], index: int, arguments: tuple[Any, ...]
) -> tuple[int, Result]:
    # A cluster may run several threads in a process; they share hooks on models and torch's
    # number of threads.
    with _unit:
        return index, function(*arguments)


def _backend(chosen: Workers) -> AbstractContextManager[object]:
    return {"loky": _loky, "dask": _dask, "ray": _ray}[chosen.backend](chosen)


@contextmanager
def _loky(chosen: Workers) -> Iterator[None]:
    from joblib import cpu_count, parallel_config

    threads = max(1, cpu_count() // chosen.jobs)
    config = parallel_config(
        "loky",
        n_jobs=chosen.jobs,
        inner_max_num_threads=threads,
        idle_worker_timeout=IDLE_SECONDS,
    )
    with config, warnings.catch_warnings():
        # Issued in the thread that replaces a dead worker: raised as an error, it would end that
        # thread, and the units would wait for ever.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        yield


@contextmanager
def _dask(chosen: Workers) -> Iterator[None]:
    from joblib import parallel_config

    try:
        client = import_module("distributed").Client(
            chosen.address, timeout=CONNECT_SECONDS, set_as_default=False
        )
    except (OSError, ValueError) as error:
        raise NotRun(
            f"no Dask scheduler answers at {chosen.address} ({type(error).__name__}); "
            f"{START['dask']}"
        ) from None
    # Closing the client cancels its tasks: after Ctrl-C the cluster is free.
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError:
            raise NotRun(
                f"the Dask scheduler at {chosen.address} has no worker: `dask worker "
                f"{chosen.address} --nthreads 1` starts one"
            ) from None
        with parallel_config("dask", n_jobs=-1, client=client):
            yield


@contextmanager
def _ray(chosen: Workers) -> Iterator[None]:
    from joblib import parallel_config

    host, _, port = chosen.address.removeprefix("ray://").rpartition(":")
    try:
        if port.isdigit():  # Ray itself tries for minutes
            create_connection((host, int(port)), CONNECT_SECONDS).close()
        import_module("ray").init(
            address=chosen.address,
            ignore_reinit_error=True,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, ValueError) as error:
        raise NotRun(
            f"no Ray cluster answers at {chosen.address} ({type(error).__name__}); {START['ray']}"
        ) from None
    import_module("ray.util.joblib").register_ray()
    # By default Ray does not rerun the tasks of a worker that died.
    with parallel_config(
        "ray", n_jobs=-1, ray_remote_args={"max_restarts": RETRIES, "max_task_retries": RETRIES}
    ):
        yield
