"""The summary page of a CI job: whether the gate passed and why, then every suite's verdicts."""

from collections.abc import Sequence

from polyrot.report.conclusion import Conclusion, nothing_was_measured
from polyrot.report.markdown import details, overview
from polyrot.verdict.record import Report

LARGEST = 1_000_000
"""Bytes; GitHub does not show a summary above 1 MiB."""


def summary(reports: Sequence[Report], conclusion: Conclusion, *, ending: str) -> str:
    """Render a run as Markdown, with folded details; they are left out if they are too long."""
    outcome = "passed" if conclusion.passed else "failed"
    if conclusion.passed and nothing_was_measured(
        [r for report in reports for r in report.records]
    ):
        outcome = "nothing measured"
    lines = [f"# Claims: {outcome}", "", conclusion.headline, ending]
    if conclusion.unmet:
        lines.append("")
        lines += [f"- **{f.name}**: {' '.join(f.why.split())}" for f in conclusion.unmet]
    if conclusion.explained_by:
        lines += ["", "To explain the drift:", "", "```", *conclusion.explained_by, "```"]
    lines.append("")
    full = "\n".join([*lines, *_suites(reports, folded=True)])
    if len(full.encode()) <= LARGEST:
        return full
    return "\n".join([*lines, *_suites(reports, folded=False)])


def _suites(reports: Sequence[Report], *, folded: bool) -> list[str]:
    lines = []
    for report in reports:
        lines += [f"## Verdicts on `{report.suite}`", "", *overview(report), ""]
        if folded:
            summary = "<summary>Parts, controls and reasons</summary>"
            lines += ["<details>", summary, *details(report), "</details>", ""]
        else:
            lines += ["Parts, controls and reasons are in this suite's `verdict.md`.", ""]
    return lines
