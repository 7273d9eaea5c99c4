"""Time against size on logarithmic axes."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from harness.rows import GroupFacts, Row


def plot(facts: GroupFacts, rows: Sequence[Row], path: Path) -> None:
    """Draw a line for each contender, ours thick; the same rows give the same bytes."""
    figure = Figure(figsize=(6, 4))
    axes = figure.add_subplot()
    for name in dict.fromkeys(row.contender for row in rows):
        own = sorted((row for row in rows if row.contender == name), key=lambda row: row.size)
        axes.loglog(
            [row.size for row in own],
            [row.seconds for row in own],
            marker="o",
            markersize=4,
            linewidth=2.5 if own[0].ours else 1,
            label=name,
            zorder=3 if own[0].ours else 2,
        )
    known = sorted({row.size for row in rows})
    axes.set_xticks(known, [str(size) for size in known])
    axes.minorticks_off()
    axes.set_xlabel(facts.axis)
    axes.set_ylabel(f"seconds per {facts.unit}")
    axes.set_title(facts.title, fontsize=10)
    axes.grid(visible=True, linewidth=0.3)
    axes.legend(fontsize=7)
    with mpl.rc_context({"svg.hashsalt": "polyrot", "svg.fonttype": "none"}):
        figure.savefig(path, format="svg", bbox_inches="tight", metadata={"Date": None})
