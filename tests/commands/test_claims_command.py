"""`polyrot claims`: what is listed and told, from a clone and elsewhere."""

import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from polyrot import catalogue
from polyrot.cli import app
from polyrot.locations import claim_files
from polyrot.verdict.record import read_verdict

ROOT = Path(__file__).parents[2]
MODULES = claim_files(ROOT / "claims")
FILES = claim_files(ROOT / "claims")


def claims(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["claims", *arguments])


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_is_read_from_the_text_is_what_the_module_holds(file: Path) -> None:
    (listed,) = catalogue.listed(file)
    measurements = catalogue.measurements_of(catalogue.load_module(file))
    assert listed.measurements == tuple(m.id for m in measurements)
    assert {(listed.id, listed.statement)} == {
        (m.claim.id, m.claim.statement) for m in measurements
    }


def test_every_claim_is_listed_in_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    result = claims()
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert len([line for line in lines if line.startswith("PIR-")]) >= 21
    assert 'Claims of "Polymorphism Is Rotation" (arXiv 2605.24577)' in lines
    (line,) = (line for line in lines if line.startswith("PIR-04"))
    told = re.split("  +", line)[1:]
    assert told == ["hardened, published", "One rotation restores reconstruction"]


def test_a_claim_is_told_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    result = claims("show", "pir_4")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    said = " ".join(result.stdout.split())
    for what in (
        "PIR-04 One rotation restores reconstruction",
        "source arXiv 2605.24577, post-rotation reconstruction",
        "published dyck3: EV 0.976 to 0.990",
        "PIR-23 asks whether this is the activation that the source would have had",
        "PIR-04, hardened bar EV lost against within-seed <= 0.025",
        "must miss it untrained seed, shuffled tokens, random rotation, matched Gaussian",
        "must meet it Haar world",
        "met where true haar 20/20,",
        "PIR-04/published, as published",
    ):
        assert what in said
    recorded = read_verdict(ROOT / "reports" / "dyck3" / "verdict.json").verdicts
    shown = [line.split()[1] for line in lines if line.startswith("    dyck3 ")]
    assert shown == [recorded["PIR-04"], recorded["PIR-04/published"]]


def test_elsewhere_the_shipped_claims_and_verdicts_are_told(elsewhere: Path) -> None:
    assert f"{len(MODULES)} claims" in claims().stdout
    result = claims("show", "PIR-20")
    assert result.exit_code == 0
    said = " ".join(result.stdout.split())
    assert "independent against itself (independent / shared only)" in said
    assert "calibrated no: the claim is about models" in said
    assert "dyck3-independent" in said
    assert "dyck3 NOT RUN" not in said  # of that suite it is not asked


def test_reports_here_stand_before_the_reference_ones(elsewhere: Path) -> None:
    own = elsewhere / "reports" / "dyck3"
    own.mkdir(parents=True)
    text = (ROOT / "reports" / "dyck3" / "verdict.json").read_text()
    altered = text.replace('"verdict": "INCONCLUSIVE"', '"verdict": "ERROR"')
    (own / "verdict.json").write_text(altered)
    lines = claims("show", "PIR-04").stdout.splitlines()
    assert [line.split()[1] for line in lines if line.startswith("    dyck3 ")] == ["ERROR"] * 2
    recorded = read_verdict(ROOT / "reports" / "dyck3-independent" / "verdict.json").verdicts
    assert [line.split()[1] for line in lines if line.startswith("    dyck3-ind")] == [
        recorded["PIR-04"],
        recorded["PIR-04/published"],
    ]
    (own / "verdict.json").write_text("{}")
    broken = claims("show", "PIR-04")
    (note,) = broken.stderr.splitlines()
    assert (broken.exit_code, note[:22]) == (0, "note: left out: Expect")


def test_a_folder_of_reports_that_is_not_there_is_told(elsewhere: Path) -> None:
    missing = claims("show", "PIR-04", "--reports", "no")
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert missing.stderr == "polyrot claims show: --reports: there is no folder no\n"


def test_one_measurement_is_told_alone() -> None:
    said = claims("show", "pir_4/Published").stdout
    assert "PIR-04/published, as published" in said
    assert "PIR-04, hardened" not in said
    lacking = claims("show", "PIR-12/published")
    assert (lacking.exit_code, lacking.stdout) == (2, "")
    assert lacking.stderr.startswith("polyrot claims show: Expected a measurement of PIR-12 among")


def test_a_claim_that_there_is_not_is_told_the_nearest() -> None:
    result = claims("show", "PIR-44")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("polyrot claims show: Expected a claim but got 'PIR-44'; near")
    assert "PIR-04" in result.stderr


MINE = '''
"""MINE-01: a claim of one's own.

Measured as I like.
"""
import pytest
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement

CLAIM = Claim({id}, "Mine is true", "nowhere")
MEASURED = Measurement(CLAIM, Bar.at_least(0.5, "score"), ())

@pytest.mark.measurement(MEASURED)
def test_hardened():
    pass
'''


@pytest.mark.parametrize("id", ['"MINE-01"', '"-".join(["MINE", "01"])'])
def test_the_claims_here_stand_before_the_shipped(elsewhere: Path, id: str) -> None:
    folder = elsewhere / "claims"
    folder.mkdir()
    (folder / "mine.py").write_text(MINE.format(id=id))
    (folder / "conftest.py").write_text("")
    result = claims()
    assert "MINE-01  hardened              Mine is true" in result.stdout.splitlines()
    assert "1 claims, 1 measurements, from claims" in result.stdout
    (folder / "mine.py").write_text(MINE.format(id=id) + "1 / 0")
    broken = claims("show", "MINE-01")
    assert broken.exit_code == 2
    if '"MINE-01"' in id:
        assert broken.stderr == (
            f"polyrot claims show: the module {folder.name}/mine.py cannot be imported: "
            "ZeroDivisionError: division by zero\n"
        )
    (folder / "mine.py").write_text(MINE.format(id=id))
    page = claims("show", "MINE-01").stdout
    assert "  Measured as I like." in page.splitlines()
    assert page.count("last verdicts    none") == 1
    shutil.rmtree(folder)
    folder.mkdir()  # of something else
    assert f"{len(MODULES)} claims" in claims().stdout
