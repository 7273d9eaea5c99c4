"""The claim that docs/write-a-claim.md shows: it runs, and it misses where it should."""

import importlib.util
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import polyrot as pr
from polyrot.capabilities import controls
from polyrot.capabilities.pairs import World
from polyrot.stats.estimate import Estimate
from polyrot.verdict.bar import Bar
from polyrot.verdict.judge import Verdict
from polyrot.verdict.record import Record
from polyrot.verdict.run import run

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "examples" / "eth_01_anisotropy.py"

spec = importlib.util.spec_from_file_location("eth_01_anisotropy", FILE)
assert spec
assert spec.loader
claim = importlib.util.module_from_spec(spec)
spec.loader.exec_module(claim)


@pytest.fixture(scope="module")
def suite():
    return pr.load_suite("world:haar")


def judged(suite, models: World, measurement=claim.MEASURED) -> Record:
    """Judge the claim with a world in the place of the models."""

    def measure(world: World = models) -> Mapping[str, Estimate]:
        return suite.each_site(claim.mean_cosine, world)

    return run(measurement, measure, suite="planted")


@pytest.mark.parametrize(
    ("models", "verdict"),
    [
        (claim.cone, Verdict.REPLICATED),
        (controls.noise_clouds, Verdict.REFUTED),
        (claim.centred, Verdict.REFUTED),
    ],
)
@pytest.mark.seconds
def test_it_is_what_the_world_makes_it(suite, models, verdict) -> None:
    assert judged(suite, models).verdict is verdict


@pytest.mark.seconds
def test_a_bar_that_noise_meets_is_vacuous(suite) -> None:
    loose = replace(claim.MEASURED, bar=Bar.above(-0.1, claim.BAR.quantity))
    assert judged(suite, claim.cone, loose).verdict is Verdict.VACUOUS


def test_the_number_is_the_mean_over_pairs_of_different_tokens(suite) -> None:
    pair = next(suite.pairs(suite.late_site))
    few = SimpleNamespace(target=pair.target[:50])
    x = few.target.double()
    cosines = (x @ x.mT) / x.norm(dim=1)[:, None] / x.norm(dim=1)
    assert claim.mean_cosine(few) == pytest.approx(
        float((cosines.sum() - cosines.trace()) / (50 * 49))
    )


@pytest.mark.seconds
def test_the_command_of_the_page_runs_it_and_writes_what_the_page_shows(pytester) -> None:
    page = (ROOT / "docs" / "write-a-claim.md").read_text()
    assert f"pytest {FILE.relative_to(ROOT).as_posix()} -v --suite dyck3" in page
    out = pytester.path / "reports"
    result = pytester.runpytest_inprocess(
        f"--rootdir={ROOT}",
        f"-c={ROOT / 'pyproject.toml'}",
        f"--confcutdir={ROOT}",
        "-p",
        "no:cacheprovider",
        str(FILE),
        "--suite=dyck3",
        f"--report-dir={out}",
    )
    (record,) = pr.read_verdict(out / "dyck3" / "verdict.json").records
    assert (record.id, record.suite) == ("ETH-01", "dyck3")
    assert f"{{verdict}}`example ETH-01 = {record.verdict}`" in page
    assert {control.name for control in record.parts[0].controls} == {"noise", "centred", "cone"}
    assert all(control.behaved for part in record.parts for control in part.controls)
    result.stdout.fnmatch_lines(["*ETH-01*"])


def test_the_page_says_how_long_it_is() -> None:
    lines = FILE.read_text().count("\n")
    assert lines <= 40
    assert f"of {lines} lines" in (ROOT / "docs" / "write-a-claim.md").read_text()
