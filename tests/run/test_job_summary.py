"""The job summary of a CI service: what it begins with, and what it leaves out."""

import json
from pathlib import Path

import pytest
from toy_claim import conclusion

from polyrot.report import summary as summary_module
from polyrot.report.conclusion import Conclusion
from polyrot.report.summary import summary
from polyrot.verdict.record import read_verdict

RECORDED = "reports/toy/verdict.json"


def test_the_job_summary_begins_with_the_gate_and_why(claims, job_summary) -> None:
    claims.write(0.1)
    claims("--suite", "other", "--report-dir", "old")
    job_summary.unlink()
    claims.write(0.9)
    claims("--expect", "old/toy/verdict.json", "--suite", "other")
    text = job_summary.read_text()
    assert text.splitlines()[:13] == [
        "# Claims: failed",
        "",
        "Gate failed (--expect): 2 measurements not as demanded.",
        "The run completed.",
        "",
        "- **TOY-01 on other**: no verdict recorded, now REPLICATED: inside the bar; every "
        "control behaved",
        "- **TOY-01 on toy**: recorded REFUTED, now REPLICATED: inside the bar; every control "
        "behaved",
        "",
        "To explain the drift:",
        "",
        "```",
        "polyrot diff old/toy/verdict.json reports/toy/verdict.json",
        "```",
    ]
    for suite in ("toy", "other"):
        assert text.count(f"## Verdicts on `{suite}`") == 1
    assert text.count("| TOY-01 | The number is large | **REPLICATED** |") == 2
    assert text.count("<details>") == text.count("</details>") == 2


def test_the_job_summary_of_a_run_without_a_gate_tells_findings(claims, job_summary) -> None:
    claims.write(0.1)
    claims()
    assert job_summary.read_text().splitlines()[:3] == [
        "# Claims: failed",
        "",
        "1 of 1 measurement REFUTED or VACUOUS: such failures are findings about the published "
        "claims, not crashes.",
    ]
    job_summary.unlink()
    claims.write(0.9)
    claims()
    assert job_summary.read_text().startswith("# Claims: passed\n\nNothing was REFUTED")


def test_the_job_summary_shows_also_what_was_not_reported(claims, job_summary) -> None:
    claims.write(0.9)
    claims.write(0.9, id="TOY-02")
    claims()
    job_summary.unlink()
    claims("-k", "TOY-02")
    assert "| TOY-02 |" in job_summary.read_text()
    job_summary.unlink()
    claims.write(0.9, before="raise KeyboardInterrupt", id="TOY-02")
    result = claims("--require", "TOY-01", no_reraise_ctrlc=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert job_summary.read_text().splitlines()[:4] == [
        "# Claims: failed",
        "",
        "Gate failed (--require): the run did not finish.",
        "The run did not finish; reports of earlier runs are unchanged.",
    ]


def test_a_job_summary_that_cannot_be_written_costs_no_report(claims, pytester, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "no" / "folder.md"))
    claims.write(0.9)
    result = claims()
    assert result.ret == 0
    assert "The job summary could not be written:" in result.stdout.str()
    assert json.loads((pytester.path / RECORDED).read_text())["verdicts"] == {
        "TOY-01": "REPLICATED"
    }


def test_a_summary_longer_than_the_service_shows_leaves_the_details_out(monkeypatch) -> None:
    report = read_verdict(Path(__file__).parents[2] / "reports" / "dyck3" / "verdict.json")
    full = summary([report], Conclusion(True, "Gate passed."), ending="")
    monkeypatch.setattr(summary_module, "LARGEST", len(full.encode()) - 1)
    short = summary([report], Conclusion(True, "Gate passed."), ending="")
    assert "<details>" not in short
    assert "are in this suite's `verdict.md`." in short
    assert short.count("\n| PIR-") == full.count("\n| PIR-")


def test_a_gate_that_measured_nothing_says_so(claims, job_summary: Path) -> None:
    claims.write(0.9, before="raise NotRun('no weights')")
    claims()
    result = claims("--expect", RECORDED)
    assert result.ret == 0
    said = " ".join(" ".join(conclusion(result)).split())
    assert "Nothing was measured: every measurement is NOT RUN, for the reasons given." in said
    assert job_summary.read_text().splitlines().count("# Claims: nothing measured") == 2
