"""`polyrot report`: the pages of a report, made anew."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from polyrot.cli import app

ROOT = Path(__file__).parents[2]
REPORTS = ROOT / "reports"


def report(*paths: Path) -> Result:
    return CliRunner().invoke(app, ["report", *map(str, paths)])


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Verdicts of two suites without their pages."""
    for suite in ("dyck3", "markov"):
        (tmp_path / suite).mkdir()
        shutil.copy(REPORTS / suite / "verdict.json", tmp_path / suite)
    return tmp_path


@pytest.mark.seconds
def test_pages_are_those_that_the_run_wrote(copy: Path) -> None:
    result = report(copy)
    assert (result.exit_code, result.stderr) == (0, "")
    for suite in ("dyck3", "markov"):
        page = copy / suite / "verdict.md"
        assert f"report: {page}" in result.stdout.splitlines()
        assert page.read_text() == (REPORTS / suite / "verdict.md").read_text()
        verdicts = (copy / suite / "verdict.json").read_bytes()
        assert verdicts == (REPORTS / suite / "verdict.json").read_bytes()


def test_pages_of_drifted_verdicts_have_their_name(copy: Path) -> None:
    for suite in ("dyck3", "markov"):
        file = copy / suite / "verdict.json"
        whole = json.loads(file.read_text())
        file.write_text(json.dumps({**whole, "records": whole["records"][:1]}))
    drifted = (copy / "dyck3" / "verdict.json").rename(copy / "dyck3" / "verdict-drifted.json")
    assert report(drifted, copy / "markov").exit_code == 0
    assert (copy / "dyck3" / "verdict-drifted.md").is_file()
    assert not (copy / "dyck3" / "verdict.md").exists()
    assert (copy / "markov" / "verdict.md").is_file()


def test_nothing_is_written_where_one_cannot_be_read(copy: Path) -> None:
    (copy / "markov" / "verdict.json").write_text("{}")
    result = report(copy)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("polyrot report: Expected a verdict.json as")
    assert not list(copy.rglob("*.md"))
    nowhere = report(copy / "no")
    assert nowhere.exit_code == 2
    assert "no such file" in nowhere.stderr
