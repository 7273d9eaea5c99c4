"""Units of work for tests: of a module, so that other processes find them."""

import os
import random
import signal
import time
from pathlib import Path
from threading import Thread

import psutil

from polyrot.errors import NotRun
from polyrot.parallel import Workers, run_units


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


def run_while_a_worker_is_killed(on: Workers, tmp_path: Path) -> None:
    """Run units on two workers, kill one in the middle, and look that nothing is lost."""
    here, folder = tmp_path / "here", tmp_path / "there"
    for made in (here, folder):
        made.mkdir()
    (here / "go").touch()
    expected = run_units(mark_and_wait, [(here, i) for i in range(5)], on=Workers())
    killed: list[int] = []

    def kill() -> None:
        while len(marks := sorted(folder.iterdir())) < 2:  # both workers are in a unit
            time.sleep(0.02)
        killed.append(int(marks[0].name.split("-")[1]))
        os.kill(killed[0], signal.SIGKILL)
        (folder / "go").touch()

    killer = Thread(target=kill)
    killer.start()
    found = run_units(mark_and_wait, [(folder, i) for i in range(5)], on=on)
    killer.join()
    assert found == expected
    assert not psutil.pid_exists(killed[0])
    marks = [mark.name.split("-")[0] for mark in folder.iterdir() if mark.name != "go"]
    assert sorted(set(marks)) == list("01234")
    assert len(marks) > 5  # what was in the killed process ran again, elsewhere
