"""The output of `polyrot align`, in 80 columns."""

from collections.abc import Iterator, Sequence

from polyrot.compare.compare import ALTERNATIVES, SiteComparison
from polyrot.report.words import interval, number

Rows = list[list[str]]


def comparison_lines(comparisons: Sequence[SiteComparison]) -> Iterator[str]:
    """Yield the rotations, one site per line, the EV of other maps, and what the columns mean."""
    rows = [["site", "EV [95% interval]", "det", "rank", "Haar p"]]
    others = [["site", *("none" if name == "identity" else name for name in ALTERNATIVES)]]
    for c in comparisons:
        rank = f"{c.fit.identifiable_rank} of {len(c.fit.rotation)}"
        figures = [f"{c.fit.det:+.0f}", rank, number(c.haar.pvalue)]
        rows.append([c.site, interval(c.ev["O"]), *figures])
        others.append([c.site, *(number(c.ev[group].value) for group in ALTERNATIVES)])
    yield "rotation"
    yield from _aligned(rows)
    yield ""
    yield "EV of other maps"
    yield from _aligned(others)
    yield ""
    n = comparisons[0].ev["O"].n
    yield f"EV: share of the target's variance, token by token, on {n} held-out sequences."
    yield "rank: directions that the text determines; the rotation of others is arbitrary."
    yield "Haar p: smallest adjusted p of five statistics; at most 0.05 means not Haar."


def haar_lines(comparisons: Sequence[SiteComparison]) -> Iterator[str]:
    """Yield the p-value of every statistic of the battery, one site per line."""
    names = list(comparisons[0].haar.pvalues)
    rows = [["site", *names]]
    rows += [[c.site, *(number(c.haar.pvalues[name]) for name in names)] for c in comparisons]
    yield "Haar battery, p by statistic"
    yield from _aligned(rows)


def _aligned(rows: Rows) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  " + "  ".join(cells).rstrip()
