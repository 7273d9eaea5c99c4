"""Units of work for tests: of a module, so that other processes find them."""

import os
import random
import time
from pathlib import Path

from polyrot.missing import NotRun


def where(number: int) -> tuple[int, int, int]:
    """The number, the process it was in, and how many threads torch had there."""
    import torch

    time.sleep(0.2)
    return number, os.getpid(), torch.get_num_threads()


def mark_and_wait(folder: Path, number: int, seconds: float = 60) -> list[float]:
    """Leave a mark that names the process; return numbers once there is a file `go`."""
    (folder / f"{number}-{os.getpid()}").touch()
    end = time.monotonic() + seconds
    while not (folder / "go").exists() and time.monotonic() < end:
        time.sleep(0.02)
    return [random.Random(number).gauss() for _ in range(5)]  # noqa: S311 - no secret


def lacking(number: int) -> int:
    """What a model that is not there raises."""
    raise NotRun(f"unit {number} lacks something")
