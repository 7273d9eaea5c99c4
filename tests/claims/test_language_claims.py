"""Claims on suites of language models: judged as their truth is planted, or refused at once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from claim_runs import measured
from planted_language import write_images, write_independent
from toy_claim import run_own_claims

# Imported here once: a run within this process then need not import torch again.
from polyrot.suites.loading import load_suite
from polyrot.verdict.judge import Verdict


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def independent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_independent(tmp_path_factory.mktemp("independent"), models=NINE)


def test_of_models_drawn_apart_the_rotation_is_refuted(independent: Path) -> None:
    record = measured("PIR-05", "hardened", load_suite(str(independent)))
    assert record.verdict is Verdict.REFUTED


NINE = 9
"""Seeds at the second look: three decide nothing."""
RUN_THROUGH = ("PIR-02", "PIR-03", "PIR-05", "PIR-12", "PIR-13", "PIR-14", "PIR-15")


@pytest.fixture
def claims(pytester: pytest.Pytester) -> Callable[..., pytest.RunResult]:
    """Run this repository's own claims on a suite file."""

    def run_claims(*arguments: str) -> pytest.RunResult:
        return run_own_claims(pytester, "--report-dir", "out", *arguments)

    return run_claims


def test_the_claims_on_language_models_run_through_on_a_suite_file(
    claims, pytester: pytest.Pytester, images: Path
) -> None:
    file = images.with_name("listed.toml")
    listed = images.read_text().replace("planted", "listed-3")
    file.write_text(f"claims = {json.dumps(RUN_THROUGH)}\n{listed}")
    result = claims("--suite", str(file), "-v")
    report = json.loads((pytester.path / "out/listed-3/verdict.json").read_text())
    records = {record["id"]: record for record in report["records"]}
    assert {id.partition("/")[0] for id in records} == set(RUN_THROUGH)
    assert {"PIR-02/published", "PIR-03/published", "PIR-13/published"} <= records.keys()
    measured = {"REPLICATED", "REFUTED", "VACUOUS", "INCONCLUSIVE"}
    assert {record["verdict"] for record in records.values()} <= measured
    assert "could not run" not in json.dumps(report)
    assert records["PIR-05"]["printed"] == "the bulk"
    assert records["PIR-12"]["printed"] == ""
    assert report["provenance"]["seeds"] == [1, 2, 3]
    # The other claims are left out, and pytest says so.
    outcomes = result.parseoutcomes()
    assert outcomes["deselected"] > 10
    assert sum(n for word, n in outcomes.items() if word != "deselected") == len(records)
    result.stdout.fnmatch_lines(["*verdicts on listed-3*"])
    check_truth_of_images(records)
    again = claims("--suite", str(file), "--expect", "out/listed-3/verdict.json")
    assert again.ret == 0
    again.stdout.fnmatch_lines(["Gate passed (--expect): every verdict equals the one recorded."])


def check_truth_of_images(records: dict[str, Any]) -> None:
    """Of images of one model, that is true which a rotation makes true."""
    assert records["PIR-05"]["verdict"] == "INCONCLUSIVE"
    assert "not at the level of a look at 3 seeds" in records["PIR-05"]["reason"]
    assert all(part["estimate"]["low"] > 0.9999 for part in records["PIR-05"]["parts"])
    (part,) = records["PIR-12"]["parts"]
    assert part["name"] == "class"
    close = pytest.approx(1, abs=1e-3)
    assert (part["estimate"]["low"], part["estimate"]["high"]) == (close, close)
    assert part["estimate"]["details"]["cosine with the target's vector"] == close
    controls = {control["name"]: control["estimate"]["value"] for control in part["controls"]}
    assert controls.pop("images in rotated bases") == close
    assert len(controls) == 3
    for name in ("uncarried vector", "random rotation", "random direction"):
        assert controls[name] < 0.6


def test_two_models_are_measured_and_decide_nothing(
    claims, pytester: pytest.Pytester, independent: Path
) -> None:
    file = independent.with_name("two.toml")
    file.write_text(independent.read_text().replace(str([*range(1, NINE + 1)]), "[1, 2]"))
    result = claims("--suite", str(file), "-k", "PIR-05 or PIR-03")
    assert result.ret == 0
    report = json.loads((pytester.path / "out/independent/verdict.json").read_text())
    assert set(report["verdicts"].values()) == {"INCONCLUSIVE"}
    assert len(report["verdicts"]) == 3
    for record in report["records"]:
        assert "seed" in record["reason"]
        assert record["reason"].endswith("no interval; give at least three")


def test_a_file_with_problems_stops_the_run_before_it_begins(
    claims, pytester: pytest.Pytester, tmp_path: Path
) -> None:
    file = tmp_path / "bad.toml"
    file.write_text('name = "bad"\nsize = 3\n[[models]]\nseed = 1\n')
    result = claims("--suite", str(file))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = result.stderr.str()
    for line, problem in ((2, "size: there is no such field"), (3, "models[[]1[]]: expected one")):
        result.stderr.fnmatch_lines([f"*{file}:{line}: {problem}*"])
    assert "Traceback" not in said


def test_a_claim_that_there_is_none_of_stops_the_run(claims, images: Path, tmp_path: Path) -> None:
    file = images.with_name("wrong.toml")
    file.write_text("claims = ['PIR-05', 'PIR-99']\n" + images.read_text())
    result = claims("--suite", str(file))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{file}: claims: there is no PIR-99; there are CORE-01*"])


def test_two_suites_of_one_name_are_refused(claims, images: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(images.read_text())
    result = claims("--suite", str(images), "--suite", str(other))
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"*--suite: {images} and {other} would write reports to the same folder*"]
    )


@pytest.mark.process
def test_a_suite_without_its_models_is_not_run_and_says_why(
    claims, pytester: pytest.Pytester, tmp_path: Path
) -> None:
    file = tmp_path / "absent.toml"
    file.write_text(
        'name = "absent"\nclaims = ["PIR-05"]\n[[models]]\nseeds = [1, 2]\nfolder = "{seed}"\n'
    )
    reports = []
    for processes in ("0", "1"):
        result = claims("--suite", str(file), "-n", processes)
        assert result.ret == 0
        reports.append(json.loads((pytester.path / "out/absent/verdict.json").read_text()))
    for report in reports:
        (record,) = report["records"]
        assert record["verdict"] == "NOT RUN"
        expected = f"there is no folder {tmp_path}/1; give one written by save_pretrained"
        assert record["reason"] == expected
        # Also where a process of its own has collected the claims.
        assert report["provenance"]["seeds"] == [1, 2]
        assert len(report["provenance"]["suite file"]) == 64
