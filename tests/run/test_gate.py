"""The gate of a CI job: what fails a run and how it says so, end to end."""

import json
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from toy_claim import conclusion
from typer.testing import CliRunner

from polyrot.cli import app
from polyrot.suites.registry import default_suites
from polyrot.verdict.record import read_verdict

RECORDED = "reports/toy/verdict.json"
REFUTED = "REFUTED: the interval lies outside the bar (>= 0.5)"


def properties(pytester: pytest.Pytester, id: str) -> dict[str, str]:
    tree = ElementTree.parse(pytester.path / "junit.xml")  # noqa: S314  # our own file
    for case in tree.iter("testcase"):
        found = {p.get("name"): p.get("value") for p in case.iter("property")}
        if found.get("measurement") == id:
            return found
    raise AssertionError(f"no test case of {id}")


def test_require_names_each_suite_and_why_it_fails(claims) -> None:
    claims.write(0.9, before="raise NotRun('no weights; get them with `polyrot train toy`')")
    result = claims("--suite", "other", "--require", "TOY-01")
    assert result.ret == 1
    why = "NOT RUN: no weights; get them with `polyrot train toy`"
    assert conclusion(result)[2:5] == [
        "Gate failed (--require): 2 measurements not as demanded.",
        f"  TOY-01 on other: {why}",
        f"  TOY-01 on toy: {why}",
    ]


def test_require_takes_published_measurements_and_spaces(claims) -> None:
    claims.write(0.9)
    claims.write(0.1, id="TOY-02/published")
    claims.write(0.1, id="TOY-03")
    assert claims("--require", "TOY-01").ret == 0
    result = claims("--require", "TOY-01, TOY-02/published")
    assert result.ret == 1
    assert conclusion(result)[3] == f"  TOY-02/published on toy: {REFUTED}"
    assert conclusion(result)[4].startswith("report: ")


@pytest.mark.seconds
def test_require_and_expect_must_both_hold(claims) -> None:
    claims.write(0.1)
    claims.write(0.9, id="TOY-02")
    claims()
    both = claims("--expect", RECORDED, "--require", "TOY-02")
    assert both.ret == 0
    assert conclusion(both)[2:4] == [
        "Gate passed (--require --expect): every verdict equals the one recorded, and",
        "everything required is REPLICATED.",
    ]
    required = claims("--expect", RECORDED, "--require", "TOY-01")
    assert required.ret == 1
    assert f"  TOY-01 on toy: {REFUTED}" in conclusion(required)
    claims.write(0.5, id="TOY-02")
    drifted = claims("--expect", RECORDED, "--require", "TOY-01")
    assert conclusion(drifted)[2:6] == [
        "Gate failed (--require --expect): 2 measurements not as demanded.",
        f"  TOY-01 on toy: {REFUTED}",
        "  TOY-02 on toy: recorded REPLICATED, now INCONCLUSIVE: the interval straddles",
        "    the bar (>= 0.5)",
    ]


def test_an_error_is_never_accepted(claims) -> None:
    claims.write(0.9)
    claims.write(0.9, before="raise OSError('disk')", id="TOY-02")
    claims()
    for gate in (("--expect", RECORDED), ("--require", "TOY-01")):
        result = claims(*gate)
        assert result.ret == 1
        said = " ".join(conclusion(result)[2:5])
        assert said.startswith("1 measurement raised an error: that is a fault of the run,")
        assert f"Gate failed ({gate[0]}): 1 measurement not as demanded." in said


def test_strict_says_that_it_is_what_fails(claims) -> None:
    claims.write(0.5)
    result = claims("--strict")
    assert result.ret == 1
    assert conclusion(result)[2:4] == [
        "Nothing was REFUTED or VACUOUS. 1 measurement INCONCLUSIVE or NOT RUN: --strict",
        "fails them.",
    ]


@pytest.mark.process
def test_a_recorded_claim_that_is_gone_fails_and_one_left_out_does_not(claims, pytester) -> None:
    claims.write(0.9)
    claims.write(0.9, id="TOY-02")
    claims("--report-dir", "reports")
    for chosen in (("-k", "TOY-01"), ("toy_01.py",), ("--deselect", "toy_02.py")):
        assert claims("--expect", RECORDED, *chosen).ret == 0, chosen
    (pytester.path / "toy_02.py").unlink()
    for workers in ((), ("-n", "1", "--require", "TOY-99")):
        result = claims("--expect", RECORDED, "--report-dir", "reports", *workers)
        assert result.ret == 1
        assert "  TOY-02 on toy: recorded REPLICATED, but not measured" in conclusion(result)
    # In a process of its own a worker collects: only the end tells that there is no such claim.
    assert "  TOY-99: required, but not measured" in conclusion(result)
    # Nor is the record overwritten, or the next run would pass.
    assert set(read_verdict(pytester.path / RECORDED).verdicts) == {"TOY-01", "TOY-02"}


def test_a_run_that_stops_at_its_first_failure_does_not_count_the_rest_as_gone(claims) -> None:
    claims.write(0.9)
    claims.write(0.9, id="TOY-02")
    claims()
    claims.write(0.1)
    result = claims("-x", "--expect", RECORDED)
    assert result.ret == 1
    assert "Gate failed (--expect): 1 measurement not as demanded." in conclusion(result)


def test_two_files_of_one_suite_are_ambiguous(claims) -> None:
    claims.write(0.9)
    claims()
    claims("--report-dir", "other")
    result = claims("--expect", RECORDED, "--expect", "other/toy/verdict.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [f"ERROR: --expect: Expected one file per suite but {RECORDED} and other/*; leave one out"]
    )


def test_a_file_without_verdicts_demands_nothing_and_is_refused(claims, pytester) -> None:
    claims.write(0.9)
    claims()
    report = json.loads((pytester.path / RECORDED).read_text())
    (pytester.path / "empty.json").write_text(json.dumps({**report, "records": []}))
    result = claims("--expect", "empty.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*Expected verdicts in empty.json but it holds none; record*"])


def test_a_folder_stands_for_the_reports_on_the_suites_of_the_run(claims) -> None:
    claims.write(0.1)
    claims("--suite", "other")
    both = claims("--suite", "other", "--expect", "reports/")
    assert both.ret == 0
    assert "Gate passed (--expect): every verdict equals the one recorded." in conclusion(both)
    # What a run does not measure is not demanded, and is named.
    for workers in ((), ("-n", "1")):
        one = claims("--expect", "reports/", *workers)
        assert one.ret == 0
        assert conclusion(one)[2:4] == [
            "Gate passed (--expect): every verdict equals the one recorded. Recorded, but not",
            "part of this run: other.",
        ]
    claims.write(0.9)
    drifted = claims("--suite", "other", "--expect", "reports/")
    assert drifted.ret == 1
    said = "\n".join(conclusion(drifted))
    for suite in ("other", "toy"):
        assert f"\n  TOY-01 on {suite}: recorded REFUTED, now REPLICATED: inside the bar;" in said
        recorded = f"reports/{suite}/verdict"
        assert f"\nexplain: polyrot diff {recorded}.json {recorded}-drifted.json\n" in said
        assert read_verdict(Path(f"{recorded}.json")).verdicts == {"TOY-01": "REFUTED"}


def test_a_suite_of_the_run_that_a_folder_does_not_record_fails(claims) -> None:
    claims.write(0.9)
    claims()
    result = claims("--suite", "other", "--expect", "reports", "--report-dir", "new")
    assert result.ret == 1
    assert conclusion(result)[2:4] == [
        "Gate failed (--expect): 1 measurement not as demanded.",
        "  TOY-01 on other: no verdict recorded, now REPLICATED: inside the bar; every",
    ]


def test_a_claim_that_is_gone_fails_though_its_record_lies_in_a_folder(claims, pytester) -> None:
    claims.write(0.9)
    claims.write(0.9, id="TOY-02")
    claims()
    (pytester.path / "toy_02.py").unlink()
    result = claims("--expect", "reports/")
    assert result.ret == 1
    assert "  TOY-02 on toy: recorded REPLICATED, but not measured" in conclusion(result)


def test_the_folder_of_one_report_is_that_report(claims) -> None:
    claims.write(0.9)
    claims("--suite", "other")
    assert claims("--expect", "reports/toy").ret == 0
    # Named by itself it is demanded, as its file is.
    result = claims("--expect", "reports/toy", "--expect", "reports/other")
    assert result.ret == 1
    assert "  TOY-01 on other: recorded REPLICATED, but not measured" in conclusion(result)


def test_a_folder_that_demands_nothing_of_the_run_is_refused(claims, pytester) -> None:
    claims.write(0.9, before="open('ran', 'w')")
    (pytester.path / "empty").mkdir()
    claims("--report-dir", "baseline")
    Path("ran").unlink()
    moved = pytester.path / "baseline" / "toy" / "verdict.json"
    others = pytester.path / "others" / "toy"
    others.mkdir(parents=True)
    # The file says of which suite it is, whatever its folder is called.
    report = {**json.loads(moved.read_text()), "suite": "elsewhere"}
    (others / "verdict.json").write_text(json.dumps(report))
    broken = pytester.path / "broken" / "other"
    broken.mkdir(parents=True)
    (broken / "verdict.json").write_text("{}")
    (pytester.path / "broken" / "toy").mkdir()
    (pytester.path / "broken" / "toy" / "verdict.json").write_bytes(moved.read_bytes())
    for expected, said in (
        (("empty/",), "Expected verdict.json in empty or in its subfolders but found none; *"),
        (("others/",), "Expected verdicts on toy in others but it holds only those on elsewhere;*"),
        (("broken/",), "Expected a verdict.json as * broken/other/verdict.json*"),
        (
            ("baseline", "--expect", "baseline/toy/verdict.json"),
            "Expected one file per suite but *",
        ),
    ):
        result = claims("--expect", *expected)
        assert result.ret == pytest.ExitCode.USAGE_ERROR, expected
        result.stderr.fnmatch_lines([f"ERROR: --expect: {said}"])
        assert not Path("ran").exists()


def test_a_plain_run_measures_every_suite_that_is_recorded() -> None:
    """Or else `--expect reports/` would not notice that a suite is measured no longer."""
    root = Path(__file__).parents[2]
    kept = subprocess.run(
        ["git", "ls-files", "reports"], cwd=root, capture_output=True, text=True, check=False
    )
    if kept.returncode:
        pytest.skip("no clone")
    files = [root / line for line in kept.stdout.splitlines() if line.endswith("/verdict.json")]
    recorded = {read_verdict(file).suite for file in files}
    assert recorded == set(default_suites())


@pytest.mark.parametrize("workers", [(), pytest.param(("-n", "1"), marks=pytest.mark.process)])
def test_a_bad_expectation_stops_the_run_before_it_starts(claims, workers) -> None:
    claims.write(0.9, before="open('ran', 'w')")
    result = claims("--expect", "nowhere.json", *workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = result.stderr.str().strip().splitlines()
    assert line.startswith("ERROR: --expect: Expected the verdicts of an earlier run in nowhere")
    assert not Path("ran").exists()


def test_a_drift_names_the_command_that_explains_it_and_is_accepted_by_a_move(
    claims, pytester
) -> None:
    claims.write(0.1)
    claims()
    claims.write(0.9)
    result = claims("--expect", RECORDED)
    (command,) = [line for line in conclusion(result) if line.startswith("explain: ")]
    assert command == f"explain: polyrot diff {RECORDED} reports/toy/verdict-drifted.json"
    explained = CliRunner().invoke(app, command.split()[2:])
    assert explained.exit_code == 1
    assert "TOY-01            REFUTED -> REPLICATED\n" in explained.stdout
    reports = pytester.path / "reports" / "toy"
    (reports / "verdict-drifted.json").replace(reports / "verdict.json")
    accepted = claims("--expect", RECORDED)
    assert accepted.ret == 0
    assert "explain: " not in accepted.stdout.str()
    # What is left of the drift was superseded.
    left = sorted(file.name for file in reports.iterdir())
    assert left == ["index.html", "verdict.json", "verdict.md"]


def test_a_drift_from_a_file_elsewhere_is_explained_too(claims) -> None:
    claims.write(0.1)
    claims("--report-dir", "baseline")
    claims.write(0.9)
    result = claims("--expect", "baseline/toy/verdict.json")
    assert f"explain: polyrot diff baseline/toy/verdict.json {RECORDED}" in conclusion(result)


@pytest.mark.process
def test_a_worker_that_dies_fails_a_gate_that_all_records_pass(claims) -> None:
    claims.write(0.9)
    claims.write(0.9, before="import os; os._exit(3)", id="TOY-02")
    result = claims("-n", "1", "--max-worker-restart", "0", "--require", "TOY-01")
    assert result.ret != 0
    assert not [line for line in conclusion(result) if "Gate passed" in line]
    assert [line for line in conclusion(result) if line.startswith("Gate failed (--require): ")]


def test_a_failing_test_that_is_no_measurement_is_not_a_passed_gate(claims, pytester) -> None:
    claims.write(0.9)
    pytester.makepyfile(toy_plain="def test_plain():\n    raise OSError\n")
    for gate in (("--require", "TOY-01"), ()):
        result = claims(*gate)
        assert result.ret == 1
        said = " ".join(conclusion(result))
        assert "failed" in said
        assert "a test that measures no claim failed, or a worker died" in said


def test_junit_carries_verdict_reason_and_figures_and_no_record(claims, pytester) -> None:
    claims.write(0.1)
    claims.write(0.9, before="raise NotRun('no weights')", id="TOY-02")
    claims("--junitxml", "junit.xml")
    assert properties(pytester, "TOY-01") == {
        "measurement": "TOY-01",
        "suite": "toy",
        "verdict": "REFUTED",
        "reason": "the interval lies outside the bar (>= 0.5)",
        "quantity": "score",
        "bar": ">= 0.5",
        "part": "all",
        "value": "0.1",
        "interval_low": "0",
        "interval_high": "0.2",
    }
    missing = properties(pytester, "TOY-02")
    assert (missing["verdict"], missing["reason"]) == ("NOT RUN", "no weights")
    assert "value" not in missing


def test_reports_that_cannot_be_written_are_why_the_gate_fails(claims, pytester) -> None:
    claims.write(0.9)
    (pytester.path / "taken").write_text("a file")
    result = claims("--report-dir", "taken", "--require", "TOY-01")
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    assert "Gate failed (--require): the reports could not be written." in conclusion(result)
