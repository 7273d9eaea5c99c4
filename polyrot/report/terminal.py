"""The verdict table of a run, in 80 columns or fewer, with and without colour."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from polyrot.report.columns import LARGEST
from polyrot.report.conclusion import Conclusion
from polyrot.report.words import (
    COLORS,
    WHERE,
    bar_of,
    controls_sentence,
    differences,
    interval,
    operating_characteristic,
    presupposed,
    what_would_decide,
)
from polyrot.verdict.bar import Placement
from polyrot.verdict.claim import Kind
from polyrot.verdict.judge import ControlResult, Part, Verdict, worst_part
from polyrot.verdict.policy import FINDINGS
from polyrot.verdict.record import Record

MARGIN = 13
Line = tuple[str, str]
"""A line and its colour; empty for none."""


def table(
    records: Sequence[Record], *, verbosity: int = 0, columns: int = LARGEST
) -> Iterator[Line]:
    """Yield the lines of one suite's table.

    Each measurement has one line: verdict, id, estimate, bar, and the number of controls that
    behaved.  The statement follows and, unless it is REPLICATED, what was expected and what was
    seen.  A verbosity of 1 or more adds every part and control; below 0 there is only the line.
    """
    for record in sorted(records, key=lambda record: record.id):
        color = COLORS[record.verdict]
        yield from ((line, color) for line in _row(record, columns))
        if verbosity < 0:
            continue
        yield from _indented(record.statement, columns)
        for label, text in _explained(record):
            yield from _labelled(label, text, columns)
        if verbosity > 0:
            yield from _in_full(record, columns)


def _row(record: Record, columns: int) -> Iterator[str]:
    cells = [f"{record.verdict:<{MARGIN}}{record.id:<18}"]
    if record.parts:
        part = worst_part(record.parts)
        cells += [interval(part.estimate), bar_of(record, part)[1]]
        controls = [control for part in record.parts for control in part.controls]
        misbehaved = _named(control for control in controls if not control.behaved)
        every = _named(controls)
        if every:
            cells.append(f"controls {len(every) - len(misbehaved)}/{len(every)}")
    line = cells[0]
    for cell in cells[1:]:
        if len(line) + len(cell) + 2 > columns:
            yield line.rstrip()
            line = " " * (MARGIN - 2)
        line += ("" if line == cells[0] else "  ") + cell
    yield line.rstrip()


def _named(controls: Iterable[ControlResult]) -> set[tuple[str, str]]:
    """Name the controls, each once: a control may occur in several parts."""
    return {(control.kind, control.name) for control in controls}


def _explained(record: Record) -> Iterator[tuple[str, str]]:
    """Explain a verdict: what was expected and what was seen, or why it is undecided."""
    if record.verdict is Verdict.REPLICATED:
        return
    if record.verdict not in FINDINGS or not record.parts:
        yield "why", record.reason
        if advice := what_would_decide(record):
            yield "decides", advice
        return
    part = worst_part(record.parts)
    expected = " ".join(bar_of(record, part))
    if record.verdict is Verdict.VACUOUS:
        expected += ", and not where the claim is false"
    yield "expected", expected
    seen = f"{interval(part.estimate)}, {WHERE[part.placement]}"
    if len(record.parts) > 1:
        seen = f"{part.name}: {seen}"
    met = [
        control.name
        for control in part.controls
        if control.kind is Kind.NEGATIVE and control.placement is Placement.INSIDE
    ]
    if record.verdict is Verdict.VACUOUS:
        meets = "meets" if len(met) == 1 else "meet"
        seen += f"; {', '.join(met)}, where the claim is false, {meets} it too"
    yield "seen", seen


def _in_full(record: Record, columns: int) -> Iterator[Line]:
    for quantity, bar in dict.fromkeys(bar_of(record, part) for part in record.parts):
        yield from _labelled("measured", f"{quantity} {bar}", columns)
    if record.unreachable:
        yield from _labelled("never", record.unreachable, columns)
    if record.printed:
        yield from _labelled("printed", record.printed, columns)
    if characteristic := operating_characteristic(record):
        yield from _labelled("bar met", f"in synthetic worlds: {characteristic}", columns)
    if said := controls_sentence(record):
        yield from _indented(said, columns)
    for part in record.parts:
        yield from _part(part, columns)


def closing_lines(
    records: Sequence[Record],
    conclusion: Conclusion,
    *,
    ending: str,
    written: Sequence[Path],
    kept: Sequence[Path],
    columns: int = LARGEST,
) -> Iterator[str]:
    """Yield the conclusion: counts, how the run ended, where the reports are."""
    counts = Counter(record.verdict for record in records)
    yield ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
    yield from textwrap.wrap(ending, columns)
    yield from textwrap.wrap(conclusion.headline, columns)
    for failure in conclusion.unmet:
        yield from textwrap.wrap(
            f"{failure.name}: {failure.why}",
            columns,
            initial_indent="  ",
            subsequent_indent="    ",
        )
    # A command is not wrapped, so that it can be copied.
    for command in conclusion.explained_by:
        yield f"explain: {command}"
    for path in written:
        yield f"report: {path}"
    for path in kept:
        yield f"left unchanged, because this run was compared with it: {path}"


def _part(part: Part, columns: int) -> Iterator[Line]:
    yield from _wrapped(f"{part.verdict:<13}{part.name:<15} {interval(part.estimate)}", 4, columns)
    for control in part.controls:
        mark = "ok" if control.behaved else "!!"
        what = f"{control.kind.value[:3]} {control.name}"
        yield from _wrapped(f"{mark} {what:<36} {interval(control.estimate)}", 6, columns)
    if met := presupposed(part):
        yield from _wrapped(f"precondition: {met}", 6, columns)
    for name, less in differences(part).items():
        yield from _wrapped(f"models less {name}: {less}", 6, columns)


def _indented(text: str, columns: int) -> Iterator[Line]:
    yield from _wrapped(text, MARGIN, columns, hanging=0)


def _labelled(label: str, text: str, columns: int) -> Iterator[Line]:
    yield from _wrapped(f"{label:<10}{text}", MARGIN, columns, hanging=10)


def _wrapped(text: str, margin: int, columns: int, *, hanging: int = 4) -> Iterator[Line]:
    first, rest = " " * margin, " " * (margin + hanging)
    for line in textwrap.wrap(text, columns, initial_indent=first, subsequent_indent=rest):
        yield line, ""
