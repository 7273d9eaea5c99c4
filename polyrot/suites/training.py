"""Run a trainer of an experiment: where its files go, and what happens if it is called twice."""

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from polyrot.cache import cache_directory
from polyrot.progress import Progress, silent
from polyrot.suites.artifacts import retrained_directory


def train_into(
    name: str,
    build: Callable[..., object],
    *,
    out: Path | None = None,
    command: str,
    device: str = "cpu",
    progress: Progress = silent,
) -> Path:
    """Run a trainer of an experiment; return the folder written.

    Finished parts and checkpoints stay in the cache folder, so that a second call continues.  If
    two processes train the same name, the second waits and uses the result of the first.

    Args:
        name: of the trainer.
        build: see `polyrot.suites.kind.Trainer`.
        out: by default a folder of the cache directory, which `pytest --retrain` uses.
        command: recorded in the manifest.
        device: where to train.
        progress: called with the share that is done and what is being done.
    """
    folder = out or retrained_directory() / name
    work = cache_directory() / "training"
    work.mkdir(parents=True, exist_ok=True)
    with FileLock(work / f"{name}.lock"):
        build(name, folder, work=work, command=command, device=device, progress=progress)
    return folder
