"""Figures as SVG; the page or the file sets their colours for light and dark schemes."""

import re
import textwrap
from functools import lru_cache
from html import escape
from io import StringIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from polyrot.verdict.figure import Figure, Mark, Role, Series

WIDTH, HEIGHT, LINE = 3.5, 2.6, 0.17
"""Inches: width and height of a drawing without its legend, and height of a legend line.
The width fits a phone unscaled."""
FITS = 46
"""Characters that fit below the horizontal axis."""
LABEL = 28
"""Characters in a line of the vertical axis' label."""
STAND_IN = {
    "--ink": "#000001",
    "--faint": "#000002",
    "--models": "#000003",
    "--negative": "#000004",
    "--positive": "#000005",
    "--beside": "#000006",
    "--null": "#000007",
}
"""Placeholder colours for matplotlib, by the CSS variable that replaces them."""
LIGHT = {
    "--ink": "#1b1b1b",
    "--faint": "#8a8a8a",
    "--models": "#0055a4",
    "--negative": "#b34700",
    "--positive": "#007a5a",
    "--beside": "#8a3a78",
    "--null": "#767676",
}
DARK = {
    "--ink": "#ececec",
    "--faint": "#8f8f8f",
    "--models": "#6db6ff",
    "--negative": "#ff9d57",
    "--positive": "#4fd1a5",
    "--beside": "#e6a0d4",
    "--null": "#a6a6a6",
}
DASHES = {
    Role.MODELS: "-",
    Role.POSITIVE: (0, (5, 2)),
    Role.NEGATIVE: (0, (1, 1.5)),
    Role.BESIDE: (0, (4, 1.5, 1, 1.5)),
    Role.NULL: "-",
}
MARKERS = {
    Role.MODELS: "o",
    Role.POSITIVE: "^",
    Role.NEGATIVE: "s",
    Role.BESIDE: "D",
    Role.NULL: "_",
}
MORE_MARKERS = "vPX<p>"
"""Markers of further series of the same role: no two look alike."""


@lru_cache(maxsize=256)
def drawing(figure: Figure, *, of: str = "") -> str:
    """Draw a figure as an `<svg>` element with CSS variables such as `var(--ink)` as colours.

    Equal figures give equal text.  Element names depend on `of`, the measurement, because they must
    be unique in a page.  Drawings are cached, because the page and the file both use them.
    """
    settings: Any = {
        "svg.hashsalt": f"{of} {figure.name}",
        "svg.fonttype": "none",
        "font.size": 9,
        "text.parse_math": False,  # a dollar sign in a label is literal
    }
    with mpl.rc_context(settings):
        height = HEIGHT + LINE * len(figure.series)
        canvas = Canvas(figsize=(WIDTH, height), layout="constrained")
        axes = canvas.add_subplot()
        draw = {Mark.LINES: _lines, Mark.POINTS: _points, Mark.STEPS: _steps}[figure.mark]
        draw(axes, figure)
        _dress(axes, figure)
        text = StringIO()
        canvas.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return _for_the_page(text.getvalue())


def file_text(figure: Figure, *, of: str = "") -> str:
    """Draw a figure as the text of an SVG file in the viewer's colour scheme; see `drawing`."""
    light, dark = (
        "".join(f"{name}:{color};" for name, color in colors.items()) for colors in (LIGHT, DARK)
    )
    style = f"<style>svg{{{light}}}@media(prefers-color-scheme:dark){{svg{{{dark}}}}}</style>"
    opening, rest = drawing(figure, of=of).split(">", 1)
    return f"{opening}><title>{escape(figure.title)}</title>{style}{rest}\n"


def _lines(axes: Axes, figure: Figure) -> None:
    for number, series in enumerate(figure.series):
        axes.plot(
            np.array(series.x, dtype=float),
            series.y,
            label=_place(number),
            color=_color(series),
            linestyle=DASHES[series.role],
            marker=_marker(figure, number),
            markersize=4,
        )
        if series.low:
            x, ends = np.array(series.x, dtype=float), (_finite(series.low), _finite(series.high))
            axes.fill_between(x, *ends, color=_color(series), alpha=0.15, linewidth=0)
    if not figure.log_y:
        axes.axhline(0, color=STAND_IN["--faint"], linewidth=0.6)


def _points(axes: Axes, figure: Figure) -> None:
    categories = list(dict.fromkeys(x for series in figure.series for x in series.x))
    named = any(isinstance(x, str) for x in categories)
    for number, series in enumerate(figure.series):
        x = np.array([categories.index(x) for x in series.x] if named else series.x, dtype=float)
        if named and len(figure.series) > 1:  # side by side
            x += 0.5 * (number / (len(figure.series) - 1) - 0.5)
        style: dict[str, Any] = {
            "color": _color(series),
            "marker": _marker(figure, number),
            "markersize": 4.5 if named else 3,
            "linestyle": "none",
        }
        y = _finite(series.y)
        known = np.array(series.has_interval)
        if known.any():
            ends = np.nan_to_num([y - _finite(series.low), _finite(series.high) - y])
            axes.errorbar(
                x[known], y[known], ends[:, known], elinewidth=1.2, label=_place(number), **style
            )
        if not known.all():
            if named:  # points against a numeric axis are measured values, not means
                style["markerfacecolor"] = "none"
            if not known.any():
                style["label"] = _place(number)
            axes.plot(x[~known], y[~known], **style)
    if named:
        tilted = sum(len(str(category)) + 2 for category in categories) > FITS
        axes.set_xticks(
            range(len(categories)),
            [str(category) for category in categories],
            rotation=40 if tilted else 0,
            ha="right" if tilted else "center",
            rotation_mode="anchor",
        )


def _steps(axes: Axes, figure: Figure) -> None:
    for number, series in enumerate(figure.series):
        edges, color = np.array(series.x, dtype=float), _color(series)
        if series.low:
            axes.stairs(series.high, edges, baseline=series.low, fill=True, color=color, alpha=0.35)
        filled = series.role is Role.NULL and not series.low
        axes.stairs(
            series.y,
            edges,
            label=_place(number),
            color=color,
            fill=filled,
            alpha=0.45 if filled else 1,
            linewidth=1.6,
        )
    axes.set_ylim(bottom=0)


def _dress(axes: Axes, figure: Figure) -> None:
    ink = STAND_IN["--ink"]
    if figure.diagonal:
        axes.axline((0, 0), slope=1, color=STAND_IN["--faint"], linewidth=0.8)
    axes.set_xlabel(figure.x, color=ink)
    axes.set_ylabel(textwrap.fill(figure.y, LABEL), color=ink)
    axes.tick_params(colors=ink, labelcolor=ink)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(STAND_IN["--faint"])
    if figure.log_x:
        axes.set_xscale("log", nonpositive="clip")
        _plain_numbers(axes.xaxis)
    if figure.log_y:
        axes.set_yscale("log", nonpositive="clip")
        _plain_numbers(axes.yaxis)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(6))
    for end in figure.bar:
        axes.axhline(end, color=ink, linewidth=1, linestyle=(0, (6, 3)))
    # matplotlib lists error bars last; the legend follows the order of the series.
    drawn = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    # Above the axes: inside, the legend would cover the data.
    legend = axes.figure.legend(
        [drawn[_place(i)] for i in range(len(figure.series))],
        # matplotlib ignores labels that begin with an underscore.
        [re.sub("^_", " _", series.label) for series in figure.series],
        loc="outside upper left",
        frameon=False,
        fontsize=8.5,
        labelspacing=0.3,
    )
    for text in legend.get_texts():
        text.set_color(ink)


def _plain_numbers(axis: Axis) -> None:
    """Print ticks as plain numbers: by default a logarithmic axis has formulas as labels."""
    axis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:g}"))
    axis.set_minor_formatter(NullFormatter())


def _finite(values: tuple[float, ...]) -> NDArray[np.float64]:
    """Replace infinities by NaN: they cannot be drawn on the axis."""
    array = np.array(values)
    return np.where(np.isfinite(array), array, np.nan)


def _place(number: int) -> str:
    """Name a series by its position, because two may have the same label."""
    return f"series {number}"


def _color(series: Series) -> str:
    return STAND_IN[f"--{series.role}"]


def _marker(figure: Figure, number: int) -> str:
    """Choose a different marker for every series of one role."""
    role = figure.series[number].role
    before = sum(series.role is role for series in figure.series[:number])
    return MARKERS[role] if not before else MORE_MARKERS[(before - 1) % len(MORE_MARKERS)]


def _for_the_page(text: str) -> str:
    """Extract the element from matplotlib's document; its names must be unique in a page."""
    svg = text[text.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r' id="(?![mpc][0-9a-f]{10})[^"]*"', "", svg)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    # A style sheet in a drawing would apply to the whole page.
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    svg = svg.replace("<svg ", '<svg style="stroke-linejoin: round; stroke-linecap: butt" ', 1)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: sans-serif", svg)
    for name, color in STAND_IN.items():
        svg = svg.replace(color, f"var({name})")
    return re.sub(r"\s*\n\s*", "\n", svg).strip()
