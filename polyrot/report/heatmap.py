"""The calibration matrix as a picture."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from polyrot.report.words import mark
from polyrot.verdict.calibration import Calibration, Row

CELL = 0.55, 0.3
LEFT, BETWEEN, BELOW, ABOVE = 1.4, 1.5, 1.3, 0.4
"""Inches: size of a cell, and margins left of, between, below and above the blocks."""


def heat_map(calibration: Calibration, path: Path) -> None:
    """Draw the share of draws in which each bar was met, and mark where it should be met.

    Measurements with the same worlds form a block.  The same matrix gives the same bytes.
    """
    blocks = calibration.blocks
    widest = max(len(worlds) for worlds, _ in blocks) if blocks else 1
    tall = sum(len(rows) for _, rows in blocks) * CELL[1]
    width = LEFT + widest * CELL[0] + 0.8
    height = ABOVE + tall + BETWEEN * max(0, len(blocks) - 1) + BELOW
    figure = Figure(figsize=(width, height))
    top, image = height - ABOVE, None
    for worlds, rows in blocks:
        size = len(worlds) * CELL[0], len(rows) * CELL[1]
        top -= size[1]
        box = (LEFT / width, top / height, size[0] / width, size[1] / height)
        image = _block(figure.add_axes(box), worlds, rows)
        top -= BETWEEN
    figure.suptitle(
        "Share of draws in which the bar is met (T: claim true, F: false, "
        "F!: false, and not met clearly less often than where true)",
        fontsize=8,
        y=1 - 0.15 / height,
    )
    if image is not None:
        right = (LEFT + widest * CELL[0] + 0.2) / width
        scale = figure.add_axes((right, 1 - (ABOVE + 2) / height, 0.15 / width, 2 / height))
        figure.colorbar(image, cax=scale)
    # Without a date or random element names, so that equal matrices give equal files.
    with mpl.rc_context({"svg.hashsalt": "polyrot", "svg.fonttype": "none"}):
        figure.savefig(path, format="svg", bbox_inches="tight", metadata={"Date": None})


def _block(axes: Axes, worlds: Sequence[str], rows: Sequence[Row]) -> AxesImage:
    shares = np.full((len(rows), len(worlds)), np.nan)
    for y, row in enumerate(rows):
        for cell in row.cells:
            x = worlds.index(cell.world)
            shares[y, x] = cell.share
            known = mark(row, cell.world)
            label = f"{cell.share:.2f}" if known else f"{cell.met}/{cell.draws}"
            axes.text(
                x,
                y,
                f"{label} {known}" if known else label,
                ha="center",
                va="center",
                fontsize=6,
                weight="bold" if known == "F!" else "normal",
                color="white" if cell.share > 0.6 else "black",
            )
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    axes.set_xticks(range(len(worlds)), worlds, rotation=45, ha="right")
    axes.set_yticks(range(len(rows)), [row.id for row in rows])
    axes.tick_params(labelsize=7)
    return image
