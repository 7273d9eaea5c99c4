"""What a user sees of `pytest claims/`, end to end, on a claim small enough to know."""

import json
import warnings
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from toy_claim import ToyClaim

from polyrot.verdict.record import SCHEMA


@pytest.fixture
def claims(pytester: pytest.Pytester) -> ToyClaim:
    return ToyClaim(pytester)


def verdict(pytester: pytest.Pytester, folder: str = "reports") -> dict:
    return json.loads((pytester.path / folder / "toy" / "verdict.json").read_text())


@pytest.mark.parametrize(
    ("value", "negative", "word", "status"),
    [
        (0.9, 0.0, "REPLICATED", 0),
        (0.1, 0.0, "REFUTED", 1),
        (0.9, 0.9, "VACUOUS", 1),
        (0.5, 0.0, "INCONCLUSIVE", 0),
    ],
)
def test_words_and_exit_codes(claims, pytester, value, negative, word, status) -> None:
    claims.write(value, negative=negative)
    result = claims("-v")
    assert result.ret == status
    result.stdout.fnmatch_lines([f"*toy_01.py::test_hardened*{word}*", f"{word}*TOY-01*"])
    assert verdict(pytester)["verdicts"] == {"TOY-01": word}
    if status:
        said = " ".join(result.stdout.str().split())
        assert "findings about the published claims, not crashes." in said


def test_the_table_fits_eighty_columns_and_names_controls(claims) -> None:
    claims.write(0.9, negative=0.9)
    result = claims("-v")
    start = next(i for i, line in enumerate(result.outlines) if "verdicts on toy" in line)
    end = next(i for i, line in enumerate(result.outlines) if "conclusion" in line)
    assert all(len(line) <= 80 for line in result.outlines[start:end])
    result.stdout.fnmatch_lines(
        [
            "*the bar (>= 0.5) is met where the claim is false: small world*",
            "*VACUOUS*all*0.9 [[]0.8, 1[]]*",
            "*!!*neg small world*0.9*",
            "*ok*pos big world*1 *",
        ]
    )


def test_an_exception_is_an_error_and_never_evidence(claims, pytester) -> None:
    claims.write(0.9, before="raise ZeroDivisionError('oops')")
    result = claims()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["ERROR*TOY-01*", "*ZeroDivisionError: oops*", "*fault of the run*"]
    )
    assert verdict(pytester)["verdicts"] == {"TOY-01": "ERROR"}


def test_a_nan_is_an_error(claims, pytester) -> None:
    claims.write(0.9, before="value = float('nan')")
    assert claims().ret == 1
    assert verdict(pytester)["verdicts"] == {"TOY-01": "ERROR"}


def test_figures_that_fail_cost_no_verdict_even_where_warnings_are_errors(claims, pytester) -> None:
    claims.write(0.9)
    file = pytester.path / "toy_01.py"
    file.write_text(
        file.read_text().replace("judge(measure)", "judge(measure, figures=[lambda _: [1 / 0]])")
    )
    pytester.makeini("[pytest]\npython_files = toy_*.py\nfilterwarnings = error\n")
    result = claims()
    assert result.ret == 0
    said = "ZeroDivisionError: division by zero"
    result.stdout.fnmatch_lines([f"*FigureWarning: The figures of TOY-01 on toy were not*{said}"])
    assert verdict(pytester)["verdicts"] == {"TOY-01": "REPLICATED"}
    assert verdict(pytester)["records"][0]["not_drawn"] == said
    for name in ("verdict.md", "index.html"):
        assert f"Figures not drawn: {said}." in (pytester.path / "reports/toy" / name).read_text()


def test_something_missing_is_not_run_with_its_reason(claims, pytester) -> None:
    claims.write(0.9, before="raise NotRun('no weights; get them with `polyrot train toy`')")
    result = claims("-rs")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["NOT RUN*TOY-01*", "*get them with `polyrot train toy`*"])
    assert verdict(pytester)["records"][0]["reason"].startswith("no weights")
    result.stdout.fnmatch_lines(["Nothing was measured:*"])
    assert claims("--strict").ret == 1


def test_a_suite_that_is_missing_is_not_run_as_expected(claims, pytester) -> None:
    claims.write(0.9)
    pytester.makeconftest(
        "import pytest\n"
        "from polyrot.verdict.run import NotRun\n"
        "@pytest.fixture(autouse=True)\n"
        "def suite():\n"
        "    raise NotRun('no weights')\n"
    )
    result = claims()
    assert result.ret == 0
    result.stdout.fnmatch_lines(["NOT RUN*TOY-01*", "*no weights*"])
    again = claims("--expect", "reports/toy/verdict.json")
    assert again.ret == 0
    again.assert_outcomes(skipped=1)
    assert len(verdict(pytester)["records"]) == 1


def test_a_suite_that_there_is_not_is_refused_for_any_claim(claims) -> None:
    claims.write(0.9)
    result = claims("--suite", "nope")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --suite: Expected a suite among dyck3, *but got 'nope'*"])


def test_a_warning_fails_a_test_of_the_library() -> None:
    with pytest.raises(UserWarning, match="of these tests"):
        warnings.warn("of these tests", stacklevel=1)


@pytest.mark.process
def test_a_warning_of_a_users_model_is_no_verdict(pytester) -> None:
    # The settings of the clone, as `pytest claims/` reads them; the tests' own do not reach there.
    ToyClaim(pytester).write(0.9, before="import warnings; warnings.warn('of a model')")
    settings = Path(__file__).parent.parent / "pyproject.toml"
    result = pytester.runpytest_subprocess(
        f"-c={settings}", f"--rootdir={pytester.path}", "toy_01.py", "--suite", "world:haar"
    )
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*UserWarning: of a model*", "REPLICATED*TOY-01*"])


def test_strict_fails_the_undecided(claims) -> None:
    claims.write(0.5)
    assert claims().ret == 0
    assert claims("--strict").ret == 1


def test_require_fails_only_for_what_it_names(claims) -> None:
    claims.write(0.1)
    result = claims("--require", "TOY-01")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "Gate failed (--require): 1 measurement not as demanded.",
            "  TOY-01 on toy: REFUTED: the interval lies outside the bar (>= 0.5)",
        ]
    )
    missing = claims("--require", "TOY-99")
    assert missing.ret == pytest.ExitCode.USAGE_ERROR
    missing.stderr.fnmatch_lines(["*--require: expected measurements*TOY-99; it has TOY-01"])
    claims.write(0.9)
    assert claims("--require", "TOY-01").ret == 0


def test_expect_passes_a_recorded_finding_and_fails_a_drift(claims, pytester) -> None:
    claims.write(0.1)
    claims()
    recorded = "reports/toy/verdict.json"
    before = (pytester.path / recorded).read_text()
    same = claims("--expect", recorded)
    assert same.ret == 0
    same.stdout.fnmatch_lines(["Gate passed (--expect): every verdict equals the one recorded."])
    claims.write(0.9)
    drift = claims("--expect", recorded)
    assert drift.ret == 1
    drift.stdout.fnmatch_lines(["  TOY-01 on toy: recorded REFUTED, now REPLICATED: *"])
    # The record it was compared with is not overwritten, or a second run would pass.
    kept = json.loads((pytester.path / recorded).read_text())
    assert kept["verdicts"] == json.loads(before)["verdicts"]
    assert claims("--expect", recorded).ret == 1
    drifted = json.loads((pytester.path / "reports/toy/verdict-drifted.json").read_text())
    assert drifted["verdicts"] == {"TOY-01": "REPLICATED"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "*no such file*"),
        ("{}", "*is not one*"),
        ('{"schema": 99}', "*but got 99*"),
        (f'{{"schema": {SCHEMA}}}', "*lacks*suite*"),
    ],
)
def test_a_bad_expectation_is_one_line(claims, pytester, text, message) -> None:
    claims.write(0.9)
    if text is not None:
        (pytester.path / "old.json").write_text(text)
    result = claims("--expect", "old.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --expect: {message}"])
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


@pytest.mark.process
def test_k_selects_by_claim_and_a_partial_run_keeps_the_full_report(claims, pytester) -> None:
    claims.write(0.9)
    claims()
    source = (pytester.path / "toy_01.py").read_text()
    pytester.makepyfile(toy_02=source.replace("TOY-01", "TOY-02").replace("0.9", "0.1", 1))
    result = claims("-k", "TOY-02")
    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(
        ["No report: the one in reports/ holds claims that did not run now*"]
    )
    assert verdict(pytester)["verdicts"] == {"TOY-01": "REPLICATED"}
    claims("-k", "TOY-02", "-n", "1")
    claims("toy_02.py")
    assert verdict(pytester)["verdicts"] == {"TOY-01": "REPLICATED"}
    claims("-k", "TOY-02", "--report-dir", "other")
    assert verdict(pytester, "other")["verdicts"] == {"TOY-02": "REFUTED"}


def test_an_interrupt_keeps_earlier_reports_and_says_so(claims, pytester) -> None:
    claims.write(0.9)
    claims()
    claims.write(0.1)
    source = (pytester.path / "toy_01.py").read_text().replace("TOY-01", "TOY-02")
    pytester.makepyfile(toy_02=source.replace("    pass\n", "    raise KeyboardInterrupt\n"))
    result = claims(no_reraise_ctrlc=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        ["REFUTED*TOY-01*", "The run did not finish; reports of earlier runs are unchanged."]
    )
    assert verdict(pytester)["verdicts"] == {"TOY-01": "REPLICATED"}


def test_a_folder_that_cannot_be_written_is_one_clear_line(claims, pytester) -> None:
    claims.write(0.9)
    (pytester.path / "taken").write_text("a file")
    result = claims("--report-dir", "taken")
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(["The reports could not be written: *taken*"])
    assert "Traceback" not in result.stdout.str()


def test_a_cache_that_cannot_be_written_costs_no_verdict(claims, pytester, monkeypatch) -> None:
    (pytester.path / "file").write_text("not a folder")
    monkeypatch.setenv("POLYROT_CACHE", str(pytester.path / "file"))
    claims.write(0.1)
    assert claims().ret == 1
    assert verdict(pytester)["verdicts"] == {"TOY-01": "REFUTED"}


@pytest.mark.process
def test_xdist_gives_the_same_report_annotations_and_properties(
    claims, pytester, monkeypatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    claims.write(0.1)
    claims.write(0.1, id="TOY-02")
    claims.write(0.5, id="TOY-03")
    claims.write(0.9, before="raise NotRun('no weights')", id="TOY-04")
    told = []
    for workers in ((), ("-n", "2")):
        result = claims("--junitxml", "junit.xml", *workers)
        assert result.ret == 1
        result.stdout.fnmatch_lines(["REFUTED*TOY-01*", "REFUTED*TOY-02*"])
        report = verdict(pytester)
        del report["timing"]
        annotations = [line for line in result.outlines if line.startswith("::")]
        properties = {
            tuple((p.get("name"), p.get("value")) for p in case.iter("property"))
            for case in ElementTree.parse(pytester.path / "junit.xml").iter("testcase")  # noqa: S314
        }
        told.append((report, annotations, properties))
    assert told[0] == told[1]
    assert [len(told[0][i]) for i in (1, 2)] == [4, 4]


def test_junit_carries_the_verdict(claims, pytester) -> None:
    claims.write(0.1)
    claims("--junitxml", "junit.xml")
    assert '<property name="verdict" value="REFUTED"' in (pytester.path / "junit.xml").read_text()


def test_two_runs_differ_in_timing_alone(claims, pytester) -> None:
    claims.write(0.9)
    texts = []
    for _ in range(2):
        claims()
        report = verdict(pytester)
        del report["timing"]
        texts.append(json.dumps(report))
    assert texts[0] == texts[1]


def test_estimates_are_kept_and_a_changed_claim_is_measured_again(
    claims, pytester, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("POLYROT_CACHE", str(tmp_path / "own"))
    count = "open('calls', 'a').write('x')"
    calls = pytester.path / "calls"
    claims.write(0.9, before=count)
    for _ in range(2):
        claims()
        assert calls.read_text() == "xxx"  # models and two controls, once
    claims.write(0.1, before=count)
    claims()
    assert calls.read_text() == "xxx" * 2
    assert verdict(pytester)["verdicts"] == {"TOY-01": "REFUTED"}
    for file in (tmp_path / "own" / "estimates").iterdir():
        file.write_text(file.read_text().replace("0.1", "0.9"))
    claims()
    assert len(calls.read_text()) > 6  # tampered or damaged: measured again
    assert verdict(pytester)["verdicts"] == {"TOY-01": "REFUTED"}


def test_a_job_summary_is_appended(claims, pytester, monkeypatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "summary.md"))
    claims.write(0.9)
    claims()
    assert (
        "| TOY-01 | The number is large | **REPLICATED** |"
        in (pytester.path / "summary.md").read_text()
    )


def test_other_test_suites_are_left_alone(pytester) -> None:
    pytester.makepyfile("def test_plain():\n    assert True\n")
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)
    assert "verdicts on" not in result.stdout.str()
    assert not (pytester.path / "reports").exists()


def test_the_plugin_imports_nothing_heavy(pytester) -> None:
    result = pytester.run(
        "python", "-c", "import polyrot.plugin, sys; print('torch' in sys.modules)"
    )
    result.stdout.fnmatch_lines(["False"])


def test_retraining_comes_before_the_measurement(claims, pytester, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(
        "polyrot.suites.registry.train_suite", lambda name, **options: asked.append((name, options))
    )
    claims.write(0.9)
    claims("--retrain", "--device", "cpu")
    ((name, options),) = asked
    assert name == "toy"
    assert options["device"] == "cpu"
    assert options["command"].endswith(" --retrain")
    assert verdict(pytester)["verdicts"] == {"TOY-01": "REPLICATED"}


def test_models_trained_anew_are_not_looked_for_in_another_folder(claims) -> None:
    claims.write(0.9)
    refused = claims("--retrain", "--artifacts", "elsewhere")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(["ERROR: Expected --retrain or --artifacts but got both: *"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_device_that_is_not_there_is_not_run(claims, pytester) -> None:
    claims.write(0.9)
    file = pytester.path / "toy_01.py"
    file.write_text(file.read_text().replace("(suite_name, judge)", "(suite, judge)"))
    result = claims("--device", "cuda", "-v")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*NOT RUN*", "*--device cuda, but torch sees no CUDA device*"])
    assert verdict(pytester)["verdicts"] == {"TOY-01": "NOT RUN"}
