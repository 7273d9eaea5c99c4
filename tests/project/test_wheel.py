"""What the wheel holds, laid out as it is installed: claims are judged where there is no clone.

`tox -e wheel` does the same with the wheel itself.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from polyrot.verdict.record import read_verdict

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
BUILD = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
SHIPPED = BUILD["targets"]["wheel"]["hooks"]["custom"]["shipped"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages, made of links to what pyproject says is in the wheel."""
    site = tmp_path_factory.mktemp("site")
    package = site / "polyrot"
    package.mkdir()
    for path in (ROOT / "polyrot").iterdir():
        (package / path.name).symlink_to(path)
    # Python finds a package by the path that it was imported from: these are no links.
    for name in ("locations.py", "__init__.py"):
        (package / name).unlink()
        (package / name).write_text((ROOT / "polyrot" / name).read_text())
    (package / "claims").mkdir()
    for source in (path for pattern in SHIPPED for path in ROOT.glob(pattern)):
        target = package / source.relative_to(ROOT)
        members = sorted(source.iterdir()) if source.is_dir() else []
        for member in members:
            if member.name != "__pycache__":
                (target / member.name).symlink_to(member)
        if not members:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source)
    return site


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


MODULES = [p for p in (ROOT / "claims").glob("*/*.py") if p.name != "__init__.py"]


def run(site: Path, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


def judge(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(site, folder, "pytest", "--pyargs", "polyrot.claims", *arguments)


def test_every_claim_is_collected_from_an_empty_folder(site: Path, empty: Path) -> None:
    said = judge(site, empty, "--collect-only", "-q", "--suite", "world:haar").stdout
    modules = {file.name for file in (ROOT / "claims").glob("*/*.py")}
    collected = {name for name in modules if name in said}
    # A world of activations is asked what concerns activations, and nothing of models or cores.
    ids = {*(f"pir_{n:02d}" for n in (*range(2, 11), 22, 23)), "x_01", "x_02"}
    assert collected == {name for name in modules if name.startswith(tuple(ids))}
    assert len(collected) == len(ids)


def test_a_claim_is_judged_with_its_calibration_and_reports_here(site: Path, empty: Path) -> None:
    chosen = ("-k", "PIR-05", "--suite", "world:linear-10")
    done = judge(site, empty, *chosen)
    file = empty / "reports" / "world-linear-10" / "verdict.json"
    assert f"report: {file.relative_to(empty)}" in done.stdout.splitlines()
    report = json.loads(file.read_text())
    (record,) = report["records"]
    assert record["characteristic"]  # the matrix was found
    assert report["provenance"]["commit"] == "unknown"
    # pytest's own folder is elsewhere where tox runs it.
    assert {path.name for path in empty.iterdir()} - {".pytest_cache"} == {"reports"}
    again = judge(site, empty, *chosen, "--expect", str(file))
    assert again.returncode == 0
    assert "Gate passed (--expect)" in again.stdout


def test_a_claim_of_ones_own_needs_no_clone(site: Path, empty: Path) -> None:
    shutil.copy(ROOT / "docs" / "examples" / "eth_01_anisotropy.py", empty)
    done = run(site, empty, "pytest", "eth_01_anisotropy.py", "--suite", "world:haar")
    assert "ETH-01" in done.stdout, done.stderr
    report = json.loads((empty / "reports" / "world-haar" / "verdict.json").read_text())
    (record,) = report["records"]
    assert record["id"] == "ETH-01"
    assert record["verdict"] != "ERROR"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--suite", "nope"), "--suite: Expected a suite among dyck3, "),
        (("--suite", "world:haar", "--require", "X-1"), "--require: expected measurements of this"),
        (
            ("--expect", "shipped:no"),
            "--expect: Expected a suite after shipped: among agreement, ",
        ),
    ],
)
def test_a_wrong_option_stops_before_anything_runs(
    site: Path, empty: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = judge(site, empty, *arguments)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("ERROR"))
    assert message in line


def test_the_shipped_verdicts_stand_for_a_file(site: Path, empty: Path) -> None:
    same = run(site, empty, "polyrot", "diff", "shipped:dyck3", str(ROOT / "reports" / "dyck3"))
    assert same.returncode == 0, same.stderr
    count = len(read_verdict(ROOT / "reports" / "dyck3" / "verdict.json").records)
    assert same.stdout.startswith(f"dyck3: all {count} verdicts are equal")
    claims = run(site, empty, "polyrot", "claims").stdout
    assert f"{len(MODULES)} claims, " in claims
    assert f" measurements, from {site / 'polyrot' / 'claims'}" in claims


def test_bars_are_calibrated_from_an_empty_folder(site: Path, empty: Path) -> None:
    # pytest chooses a claim here: the command itself measures all of them.
    done = judge(
        site, empty, "-q", "--calibrate", "1", "--suite=world:haar", "-k", "PIR-07 and published"
    )
    assert done.returncode == 0, done.stdout
    matrix = json.loads((empty / "reports" / "calibration" / "calibration.json").read_text())
    assert matrix["worlds"] == ["haar"]
    assert matrix["provenance"]["commit"] == "unknown"
