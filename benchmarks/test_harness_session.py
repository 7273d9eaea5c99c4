"""A whole run of a toy group, as someone would start it: what it prints, writes and exits with."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TOY = """
import time

import pytest
from harness.group import Group, sizes

GROUP = Group("toy", "Waiting", sizes(1, 2), unit="wait")


@GROUP.contender("ours", ours=True)
def ours(size):
    time.sleep(0.002 * size)


@GROUP.contender("theirs", at_least={1: 2, 2: 1000})
def theirs(size):
    time.sleep(0.02 * size)


@GROUP.contender("wrong")
def wrong(size):
    time.sleep(0.001)


@pytest.mark.group(GROUP)
def test_toy(case, contender, measure):
    measure(lambda: contender.run(case.size), operations=1e3)
    measure.agrees(ERROR if contender.name == "wrong" else 0, at_most=0.5)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with these benchmarks' conftest and one group, and the files of a whole run."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "benchmarks").mkdir()
    (folder / "pytest.ini").write_text("[pytest]\npython_files = bench_*.py\n")
    shutil.copy(HERE / "conftest.py", folder / "benchmarks")
    write_toy(folder, error=0)
    run(folder, expect=0)
    return folder


def write_toy(folder: Path, error: float) -> None:
    path = folder / "benchmarks" / "bench_toy.py"
    path.write_text(TOY.replace("ERROR", str(error)))


def run(folder: Path, *options: str, expect: int) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "benchmarks", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout


def test_a_whole_run_writes_its_files(project: Path) -> None:
    names = sorted(path.name for path in (project / "reports" / "benchmarks").iterdir())
    assert names == ["cpu-toy.svg", "cpu.json", "cpu.md"]
    page = (project / "reports" / "benchmarks" / "cpu.md").read_text()
    assert "short: ours, 2" in page
    assert "Ceilings measured in this run: " in page
    assert " GFLOP/s in a float64 product" in page


def test_a_smoke_run_compares_ratios_and_writes_nothing(project: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(project, tmp_path / "copy")
    run(folder, "--smoke", "--bench-dir", "reports/benchmarks", expect=0)
    path = folder / "reports" / "benchmarks" / "cpu-smoke.json"
    tree = json.loads(path.read_text())
    theirs = next(row for row in tree["rows"] if row["contender"] == "theirs")
    theirs["seconds"] *= 100
    doctored = json.dumps(tree)
    path.write_text(doctored)
    printed = run(folder, "--smoke", expect=1)
    assert "benchmarks on cpu; threads: torch 1" in printed
    assert "Waiting; time per wait" in printed
    assert "FALLEN below a third: toy [1] theirs: ratio " in printed
    assert "toy [1] wrong: ratio" not in printed
    assert "2 ratios compared with the committed ones" in printed
    assert path.read_text() == doctored


def test_a_part_with_a_wrong_result_fails_and_writes_nothing(project: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(project, tmp_path / "copy")
    before = (folder / "reports" / "benchmarks" / "cpu.json").read_bytes()
    write_toy(folder, error=0.7)
    printed = run(folder, "-k", "1-", expect=1)
    assert "wrong on toy [1]: largest difference is 0.7, more than 0.5" in printed
    assert "* ours" in printed
    assert "  wrong" not in printed
    assert "nothing written (" in printed
    assert (folder / "reports" / "benchmarks" / "cpu.json").read_bytes() == before
