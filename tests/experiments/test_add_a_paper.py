"""A paper in a package of its own, as docs/add-a-paper.md writes it: found, trained, judged, gated.

The package lies in a temporary folder.  Nothing in polyrot names it.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "add-a-paper.md"
NAME = "linear-autoencoders"

pytestmark = pytest.mark.process


def files_of_the_page() -> dict[str, str]:
    """The code blocks whose first line names a file."""
    blocks = re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE.read_text(), flags=re.S)
    return dict(blocks)


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as pip would have installed it: its code, and what names its entry point."""
    folder = tmp_path_factory.mktemp("paper")
    for name, text in files_of_the_page().items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (folder / "linear_autoencoders" / "__init__.py").write_text("")
    (entry_point,) = re.findall(r'^linear-autoencoders = "(.*)"$', PAGE.read_text(), flags=re.M)
    installed = folder / "linear_autoencoders-0.1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 0.1\n")
    (installed / "entry_points.txt").write_text(f"[polyrot.experiments]\n{NAME} = {entry_point}\n")
    return folder


@pytest.fixture(scope="module")
def run(paper: Path, tmp_path_factory: pytest.TempPathFactory):
    cache = tmp_path_factory.mktemp("cache")
    python_path = os.pathsep.join([str(paper), str(ROOT)])
    environment = {
        **os.environ,
        "PYTHONPATH": python_path,
        "POLYROT_CACHE": str(cache),
        "COLUMNS": "80",
        "OMP_NUM_THREADS": "1",  # matrices of 16 by 3
    }
    environment.pop("GITHUB_STEP_SUMMARY", None)

    def run(*command: str, exits: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=paper,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == exits, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def trained(run) -> str:
    return run("polyrot", "train", NAME)


def judged(run, *options: str, exits: int = 0) -> str:
    return run(
        "pytest", "claims/", "--suite", NAME, "-p", "no:cacheprovider", *options, exits=exits
    )


@pytest.fixture(scope="module")
def calibrated(run) -> str:
    worlds = ("bottleneck-same-axes", "bottleneck-same-subspace", "bottleneck-unrelated")
    chosen = [part for world in worlds for part in ("--world", world)]
    return run("polyrot", "calibrate", "--draws", "20", *chosen)


@pytest.fixture(scope="module")
def verdicts(run, trained: str, calibrated: str, paper: Path) -> dict[str, str]:
    judged(run, exits=1)  # a claim that is REFUTED fails
    report = json.loads((paper / "reports" / NAME / "verdict.json").read_text())
    return report["verdicts"]


def test_it_is_listed(run) -> None:
    assert re.search(
        rf"^{NAME} +linear autoencoders of Gaussian data", run("polyrot", "suites"), re.M
    )
    listed = run("polyrot", "claims")
    assert "LIN-01" in listed
    assert "LIN-02" in listed


def test_its_names_complete(run) -> None:
    code = (
        "import sys\n"
        "from polyrot.commands.names import complete_claim, complete_trainable, complete_world\n"
        "print(complete_trainable('lin'), complete_world('bottle'), complete_claim('LIN'))\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = run("timeit", "-n1", "-r1", code)
    assert f"['{NAME}'] ['bottleneck-same-axes'" in done
    assert "['LIN-01', 'LIN-02']" in done


def test_it_is_trained_where_the_cache_command_sees_it(run, trained: str) -> None:
    assert trained.startswith("trained: ")
    (row,) = re.findall(r"^artifacts .*$", run("polyrot", "cache"), re.M)
    assert row.split()[1] == "1"


def test_one_claim_is_replicated_and_the_other_refuted(verdicts: dict[str, str]) -> None:
    assert verdicts == {"LIN-01": "REPLICATED", "LIN-02": "REFUTED"}


def test_it_is_reported(run, verdicts, paper: Path) -> None:
    assert "Linear autoencoders find the same subspace" in (
        (paper / "reports" / NAME / "verdict.md").read_text()
    )
    page = paper / "reports" / NAME / "index.html"
    page.unlink()
    run("polyrot", "report", "reports/")
    assert "LIN-02" in page.read_text()


def test_the_gate_holds_its_verdicts(run, verdicts, paper: Path) -> None:
    file = paper / "reports" / NAME / "verdict.json"
    judged(run, "--expect", str(file))
    drifted = json.loads(file.read_text().replace("REFUTED", "REPLICATED"))
    other = paper / "drifted.json"
    other.write_text(json.dumps(drifted))
    said = judged(run, "--expect", str(other), exits=1)
    assert "LIN-02" in said


def test_its_bars_are_calibrated(calibrated: str) -> None:
    assert "LIN-01" in calibrated
    assert "met in 20 of 20" in calibrated


def test_shipped_claims_are_not_asked_of_it(run, trained: str) -> None:
    claims = str(ROOT / "claims")
    said = run("pytest", claims, "--suite", NAME, "--co", "-q", "-p", "no:cacheprovider", exits=5)
    assert "no tests collected" in said


def test_nothing_in_polyrot_names_it() -> None:
    named = [
        path
        for path in (ROOT / "polyrot").rglob("*.py")
        if "linear_autoencoders" in path.read_text() or NAME in path.read_text()
    ]
    assert not named
