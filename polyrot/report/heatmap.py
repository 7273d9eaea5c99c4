"""The calibration matrix as a picture."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from polyrot.report.calibration import mark
from polyrot.verdict.calibration import Calibration


def heat_map(calibration: Calibration, path: Path) -> None:
    """Draw the share of draws in which each bar was met, and mark where it should be.

    A row that could not be measured stays empty.  The same matrix gives the same bytes.
    """
    rows = calibration.rows
    shares = np.full((len(rows), len(calibration.worlds)), np.nan)
    figure = Figure(figsize=(1.5 + 0.55 * len(calibration.worlds), 1.8 + 0.3 * len(rows)))
    axes = figure.add_subplot()
    for y, row in enumerate(rows):
        for cell in row.cells:
            x = calibration.worlds.index(cell.world)
            shares[y, x] = cell.share
            label = f"{cell.share:.2f}"
            known = mark(row, cell.world)
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
    axes.set_xticks(range(len(calibration.worlds)), calibration.worlds, rotation=45, ha="right")
    axes.set_yticks(range(len(rows)), [row.id for row in rows])
    axes.tick_params(labelsize=7)
    axes.set_title(
        "Share of draws in which the bar is met (T: claim true, F: false, "
        "F!: false, and not met clearly less often than where true)",
        fontsize=8,
    )
    figure.colorbar(image, ax=axes, pad=0.01)
    # Neither a date nor random element names: two equal matrices are one file.
    with mpl.rc_context({"svg.hashsalt": "polyrot", "svg.fonttype": "none"}):
        figure.savefig(path, format="svg", bbox_inches="tight", metadata={"Date": None})
