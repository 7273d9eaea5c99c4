"""The verdict table of a run, in 80 columns, with and without colour."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from polyrot.report.conclusion import Conclusion
from polyrot.report.words import (
    COLORS,
    controls_sentence,
    interval,
    operating_characteristic,
)
from polyrot.verdict.judge import Part, Verdict, worst_part
from polyrot.verdict.record import Record

WIDTH = 80


def table(records: Sequence[Record], *, verbose: bool) -> Iterator[tuple[str, str]]:
    """Yield the lines of one suite's table, each with its colour (empty for none)."""
    for record in sorted(records, key=lambda record: record.id):
        figures = (
            f"{interval(worst_part(record.parts).estimate)}  {record.bar}" if record.parts else ""
        )
        yield f"{record.verdict:<13}{record.id:<18}{figures}".rstrip(), COLORS[record.verdict]
        yield from _indented(f"{record.statement}; measured: {record.quantity}", 13)
        if record.verdict is not Verdict.REPLICATED:
            yield from _indented(record.reason, 13)
        if characteristic := operating_characteristic(record, total=not verbose):
            yield from _indented(f"bar met in synthetic worlds: {characteristic}", 13)
        if verbose:
            yield from _indented(controls_sentence(record), 13)
            for part in record.parts:
                yield from _part(part)


def closing_lines(
    records: Sequence[Record],
    conclusion: Conclusion,
    *,
    ending: str,
    written: Sequence[Path],
    kept: Sequence[Path],
) -> Iterator[str]:
    """Yield what a reader should take away: counts, how it ended, where the reports are."""
    counts = Counter(record.verdict for record in records)
    yield ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
    yield from textwrap.wrap(ending, WIDTH)
    yield from textwrap.wrap(conclusion.headline, WIDTH)
    for failure in conclusion.unmet:
        yield from textwrap.wrap(
            f"{failure.name}: {failure.why}",
            WIDTH,
            initial_indent="  ",
            subsequent_indent="    ",
        )
    # A command is one line, however long: it is there to be copied.
    for command in conclusion.explained_by:
        yield f"explain: {command}"
    for path in written:
        yield f"report: {path}"
    for path in kept:
        yield f"kept as it was, for its verdicts were expected: {path}"


def _part(part: Part) -> Iterator[tuple[str, str]]:
    yield f"    {part.verdict:<13}{part.name:<15} {interval(part.estimate)}", ""
    for control in part.controls:
        mark = "ok" if control.behaved else "!!"
        what = f"{control.kind.value[:3]} {control.name}"
        yield f"      {mark} {what:<36} {interval(control.estimate)}", ""


def _indented(text: str, margin: int) -> Iterator[tuple[str, str]]:
    for line in textwrap.wrap(text, WIDTH - margin):
        yield " " * margin + line, ""
