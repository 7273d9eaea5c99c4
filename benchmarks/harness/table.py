"""Tables of rows: aligned text for a terminal of 80 columns, Markdown for the report."""

from collections.abc import Sequence
from math import log

from harness import units
from harness.rows import GroupFacts, Row, is_met, ratios

WIDTH = 80


def headings(facts: GroupFacts, rows: Sequence[Row]) -> list[str]:
    """Name the columns; memory is one only where a row has it."""
    memory = ["memory"] if any(row.peak_bytes is not None for row in rows) else []
    return [facts.axis, "", "median", "n", "ratio", "asked", "", "error", *memory]


def cells(rows: Sequence[Row]) -> list[list[str]]:
    """Write what the columns of `headings` hold; ratios are to ours, marked `*`."""
    found = ratios(rows)
    memory = any(row.peak_bytes is not None for row in rows)
    table = []
    for before, row in zip([None, *rows], rows, strict=False):
        ratio = found.get(row.key)
        line = [
            row.case if before is None or before.case != row.case else "",
            f"{'*' if row.ours else ' '} {row.contender}",
            units.seconds(row.seconds),
            str(row.rounds),
            "" if ratio is None else units.ratio(ratio),
            "" if row.at_least is None else f"{row.at_least:g}x",
            _mark(row, ratio),
            units.error(row.error),
        ]
        if memory:
            line.append("" if row.peak_bytes is None else units.size(row.peak_bytes))
        table.append(line)
    return table


def terminal(facts: GroupFacts, rows: Sequence[Row]) -> list[str]:
    """Lay out a group's table in lines."""
    table = [headings(facts, rows), *cells(rows)]
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    lines = [f"{facts.title}; time per {facts.unit}"]
    for line in table:
        texts = [
            text.ljust(width) if i in (0, 1, 6) else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        lines.append(" ".join(texts).rstrip())
    return lines


def markdown(facts: GroupFacts, rows: Sequence[Row]) -> list[str]:
    """Lay out a group's table in Markdown."""
    names = headings(facts, rows)
    names[1] = "contender"
    align = [":--" if i in (0, 1, 6) else "--:" for i in range(len(names))]
    lines = [_line(names), _line(align)]
    for line in cells(rows):
        star, name = line[1][0], line[1][2:]
        lines.append(_line([line[0], f"**{name}**" if star == "*" else name, *line[2:]]))
    return lines


def growth(rows: Sequence[Row]) -> dict[str, float]:
    """Compute each contender's exponent between its two largest plotted sizes."""
    exponents = {}
    for name in dict.fromkeys(row.contender for row in rows):
        own = sorted((r for r in rows if r.contender == name and r.plotted), key=lambda r: r.size)
        if len(own) > 1 and own[-1].size > own[-2].size:
            small, large = own[-2:]
            exponents[name] = log(large.seconds / small.seconds) / log(large.size / small.size)
    return exponents


def _mark(row: Row, ratio: float | None) -> str:
    if row.at_least is None or ratio is None:
        return ""
    return "met" if is_met(ratio, row.at_least) else "short"


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"
