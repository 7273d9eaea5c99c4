"""A verdict report as Markdown, for a pull request or a job summary."""

import math
from typing import Any

from polyrot.report import words
from polyrot.report.words import (
    bar_of,
    controls_of,
    controls_sentence,
    differences,
    interval,
    operating_characteristic,
    prediction,
    presupposed,
    what_would_decide,
)
from polyrot.verdict.judge import ControlResult, worst_part
from polyrot.verdict.record import Record, Report


def markdown(report: Report) -> str:
    """Render all records of a suite: an overview, then each record with its parts."""
    return "\n".join([f"# Verdicts on `{report.suite}`", "", *overview(report), *details(report)])


def overview(report: Report) -> list[str]:
    """Render the records of a suite as a table, one row each."""
    lines = [
        "| claim | statement | verdict | estimate | another run | bar | in worlds | published |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for record in report.records:
        figures = again = ""
        bar = f"{record.quantity} {record.bar}"
        if record.parts:
            deciding = worst_part(record.parts)
            figures, again = interval(deciding.estimate), prediction(deciding.estimate)
            bar = " ".join(bar_of(record, deciding))
        lines.append(
            f"| {record.id} | {record.statement} | **{record.verdict}** | {figures} "
            f"| {again} | {bar} "
            f"| {operating_characteristic(record, total=True)} | {record.printed} |"
        )
    return lines


def details(report: Report) -> list[str]:
    """Render each record of a suite with its parts, and where they came from."""
    lines = []
    for record in report.records:
        lines += ["", *_section(record)]
    accuracy = report.provenance.get("lowest accuracy")
    if accuracy:
        seeds = ", ".join(f"seed {seed} {value:.3%}" for seed, value in accuracy.items())
        lines += ["", f"Models: lowest held-out accuracy of any head: {seeds}."]
    commit = report.provenance.get("commit", "unknown")
    return [
        *lines,
        "",
        f"Measured by commit {commit}. Intervals are 95%; verdicts are given at levels that are",
        "spent over looks at 5, 9, 12 and 20 seeds. *Another run* is where the estimate of",
        "a run with the same number of other seeds would fall, 95 times in 100.",
        "*In worlds* counts the draws of synthetic worlds in which the bar was met.",
        "",
    ]


def _section(record: Record) -> list[str]:
    lines = [
        f"## {record.id}: {record.verdict}",
        "",
        f"{record.statement} ({record.source}). Bar: {_bars(record)}.",
        f"Reason: {record.reason}." if record.parts else record.reason,
    ]
    if advice := what_would_decide(record):
        lines += [f"What would decide it: {advice}."]
    if record.unreachable:
        lines += [f"Out of reach: {record.unreachable}."]
    if said := controls_sentence(record):
        lines += [said]
    characteristic = operating_characteristic(record) or "not calibrated"
    lines += [f"Bar met in synthetic worlds: {characteristic}."]
    if record.not_drawn:
        lines += [f"Figures not drawn: {record.not_drawn}."]
    if not record.parts:
        return lines
    controls = controls_of(record)
    header = [f"{'+' if kind == 'positive' else '-'} {name}" for kind, name in controls]
    lines += [
        "",
        "| part | verdict | models | " + " | ".join(header) + " |",
        "|---" * (3 + len(header)) + "|",
    ]
    for part in record.parts:
        cells = [_cell(by_part.get(part.name)) for by_part in controls.values()]
        lines.append(
            f"| {part.name} | {part.verdict} | {interval(part.estimate)} | "
            + " | ".join(cells)
            + " |"
        )
    further = [
        f"- {part.name}: "
        + ", ".join(f"{key} {text}" for key, text in words.details(part.estimate, _detail).items())
        for part in record.parts
        if part.estimate.details
    ]
    further += [f"- {part.name}: {met}" for part in record.parts if (met := presupposed(part))]
    further += [
        f"- {part.name}, models less {name}: {less}"
        for part in record.parts
        for name, less in differences(part).items()
    ]
    # If a part has no interval, the verdict's reason says why.
    estimates = [part.estimate for part in record.parts]
    first = next((e for e in estimates if math.isfinite(e.low)), estimates[0])
    unit = f"Unit of replication: {first.unit}, n = {first.n}; {first.method}."
    return [*lines, "", unit, *([""] if further else []), *further]


def _bars(record: Record) -> str:
    bars = dict.fromkeys(bar_of(record, part) for part in record.parts)
    return "; ".join(map(" ".join, bars or {(record.quantity, record.bar): None}))


def _detail(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cell(control: ControlResult | None) -> str:
    """Format a control's result at a part; empty if the control does not apply to the part."""
    if control is None:
        return ""
    return interval(control.estimate) + ("" if control.behaved else " **!**")
