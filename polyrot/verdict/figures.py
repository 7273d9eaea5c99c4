"""The figures of claims as data, from the estimates that were measured."""

import math
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

from polyrot.stats.estimate import Estimate, ends_of
from polyrot.verdict.bar import Bar
from polyrot.verdict.figure import Figure, Mark, Role, Series
from polyrot.verdict.run import MODELS

Worlds = Mapping[str, Mapping[str, Estimate]]
"""Estimates by world (`MODELS`, or the name of a control) and part."""


Curve = tuple[str, Role, str, str]
"""Label and role of a series, its world, and the detail that it shows; empty: the estimate."""


def by_part(
    worlds: Worlds,
    curves: Iterable[Curve],
    *,
    name: str,
    title: str,
    caption: str,
    y: str,
    bar: Bar | None = None,
    log_y: bool = False,
) -> Figure:
    """Draw figures of every part, say of every site, side by side, with their intervals.

    The `bar` is drawn across, where `y` is the quantity that it is of.
    """
    parts = list(worlds[MODELS])
    series = []
    for label, role, world, detail in curves:
        own = worlds.get(world, {})
        have = [
            part for part in parts if part in own and (not detail or detail in own[part].details)
        ]
        if not have:
            continue
        if detail:
            drawn = (detail_of(own[part], detail) for part in have)
            series.append(Series(label, role, tuple(have), *zip(*drawn, strict=True)))
        else:
            series.append(Series.of(label, role, have, (own[part] for part in have)))
    if bar:
        caption += f" Dashed: the bar, {bar}."
    if not all(known for own in series for known in own.has_interval):
        caption += " Hollow: without an interval."
    edges = tuple(end for end in (bar.low, bar.high) if math.isfinite(end)) if bar else ()
    return Figure(name, title, caption, "", y, Mark.POINTS, tuple(series), bar=edges, log_y=log_y)


def by_dose(
    worlds: Worlds,
    part: str,
    curves: Iterable[Curve],
    doses: Sequence[float],
    *,
    name: str,
    title: str,
    caption: str,
    y: str,
) -> Figure:
    """Draw how the effect on one part grows with the dose.

    The detail of a curve is a pattern: `given at {dose:g}, logits`.
    """
    series = []
    for label, role, world, pattern in curves:
        details = worlds[world][part].details if part in worlds.get(world, {}) else {}
        keys = {dose: pattern.format(dose=dose) for dose in doses}
        have = {dose: float(details[key]) for dose, key in keys.items() if key in details}
        if have:  # without a dose there is no effect
            series.append(Series(label, role, (0.0, *have), (0.0, *have.values())))
    x_label = "alpha: times the vector is added"
    return Figure(name, title, caption, x_label, y, Mark.LINES, tuple(series))


def against_each_other(
    predicted: Mapping[str, tuple[Tensor, Tensor]],
    *,
    name: str,
    title: str,
    caption: str,
    x: str,
    y: str,
) -> Figure:
    """Draw what was predicted (the first of two tensors) over what was measured."""
    series = [
        Series(
            label,
            Role.BESIDE if number else Role.MODELS,
            *(_numbers(values.flatten()) for values in (second, first)),
        )
        for number, (label, (first, second)) in enumerate(predicted.items())
    ]
    return Figure(name, title, caption, x, y, Mark.POINTS, tuple(series), diagonal=True)


def detail_of(estimate: Estimate, name: str) -> tuple[float, float, float]:
    """Return a detail with the ends of its interval, which are infinite where it has none."""
    low, high = ends_of(name)
    own = estimate.details
    return float(own[name]), float(own.get(low, -math.inf)), float(own.get(high, math.inf))


def _numbers(values: Tensor) -> tuple[float, ...]:
    return tuple(map(float, values))
