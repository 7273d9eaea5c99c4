"""`polyrot calibrate`: what it asks of pytest."""

from pathlib import Path
from typing import Self

import pytest
from typer.testing import CliRunner, Result

from polyrot.cli import app
from polyrot.commands import calibrate


class Run:
    """Stands for a process that ends at once."""

    started: list[str]
    returncode = 1

    def __init__(self, command: list[str]) -> None:
        Run.started = command

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def poll(self) -> int:
        return self.returncode


@pytest.fixture(autouse=True)
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "claims").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("polyrot.commands.calibrate.subprocess.Popen", Run)


def run(*options: str) -> Result:
    return CliRunner().invoke(app, ["calibrate", *options])


def test_by_default_all_worlds_are_drawn_twenty_times() -> None:
    assert run().exit_code == 1  # pytest's
    assert Run.started[1:] == ["-m", "pytest", "claims/", "-q", "--calibrate", "20"]


def test_every_option_is_passed_on() -> None:
    run("--draws", "3", "--world", "haar", "--world", "identity", "--out", "o", "--processes", "2")
    worlds = ["--suite=world:haar", "--suite=world:identity"]
    expected = ["-q", "--calibrate", "3", *worlds, "--report-dir", "o", "-n", "2"]
    assert Run.started[4:] == expected


def test_more_processes_need_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "find_spec", lambda name: None)
    result = run("--processes", "2")
    assert result.exit_code == 2
    assert "needs pytest-xdist" in result.output
