"""The figures of claims as data, made from the measured estimates."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from polyrot.stats.estimate import Estimate, ends_of
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import MODELS, Control, Worlds
from polyrot.verdict.figure import Figure, Mark, Role, Series


@dataclass(frozen=True)
class Curve:
    """What one series of a figure shows."""

    label: str
    role: Role
    world: str = MODELS
    """`MODELS`, or the name of a control."""
    detail: str = ""
    """The detail of the estimates to show; empty for the estimates themselves.

    For `ByDose`, a pattern of detail names: `given at {dose:g}, logits`.
    """


def control_curves(controls: Iterable[Control], *, detail: str = "") -> tuple[Curve, ...]:
    """Make curves of controls, each with the role of its kind."""
    return tuple(
        Curve(control.name, Role(control.kind), control.name, detail) for control in controls
    )


@dataclass(frozen=True)
class ByPart:
    """A figure with every part, for example every site, side by side, with intervals."""

    name: str
    title: str
    caption: str
    y: str
    curves: tuple[Curve, ...]
    bar: Bar | None = None
    """Drawn across, if `y` is the bar's quantity."""
    log_y: bool = False
    parts: tuple[str, ...] = ()
    """The parts to draw; empty for all."""

    def __call__(self, worlds: Worlds) -> list[Figure]:
        parts = [part for part in worlds[MODELS] if part in (self.parts or worlds[MODELS])]
        series = []
        for curve in self.curves:
            found, detail = worlds.get(curve.world, {}), curve.detail
            have = [
                part
                for part in parts
                if part in found and (not detail or detail in found[part].details)
            ]
            if not have:
                continue
            if detail:
                drawn = (detail_of(found[part], detail) for part in have)
                y, low, high = zip(*drawn, strict=True)
                series.append(Series(curve.label, curve.role, tuple(have), y, low, high))
            else:
                estimates = (found[part] for part in have)
                series.append(Series.of(curve.label, curve.role, have, estimates))
        caption = self.caption + (f" Dashed: the bar, {self.bar}." if self.bar else "")
        if not all(known for one in series for known in one.has_interval):
            caption += " Hollow: without an interval."
        ends = (self.bar.low, self.bar.high) if self.bar else ()
        edges = tuple(end for end in ends if math.isfinite(end))
        return [
            Figure(
                self.name,
                self.title,
                caption,
                "",
                self.y,
                Mark.POINTS,
                tuple(series),
                bar=edges,
                log_y=self.log_y,
            )
        ]


@dataclass(frozen=True)
class ByDose:
    """One figure per part that has such details, of its effect by dose.

    It is named by the part without what follows a comma: that may be the dose that is judged.
    """

    title: str
    """Contains `{part}`."""
    caption: str
    y: str
    curves: tuple[Curve, ...]
    doses: tuple[float, ...]

    def __call__(self, worlds: Worlds) -> list[Figure]:
        figures = [self._of(worlds, part) for part in worlds[MODELS]]
        return [figure for figure in figures if figure.series]

    def _of(self, worlds: Worlds, part: str) -> Figure:
        series = []
        for curve in self.curves:
            found = worlds.get(curve.world, {})
            details = found[part].details if part in found else {}
            keys = {dose: curve.detail.format(dose=dose) for dose in self.doses}
            have = {dose: float(details[key]) for dose, key in keys.items() if key in details}
            if have:  # at dose 0 there is no effect
                x, y = (0.0, *have), (0.0, *have.values())
                series.append(Series(curve.label, curve.role, x, y))
        name = part.partition(", ")[0]
        return Figure(
            name,
            self.title.format(part=name),
            self.caption,
            "alpha: times the vector is added",
            self.y,
            Mark.LINES,
            tuple(series),
        )


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
            *(numbers(values.flatten()) for values in (second, first)),
        )
        for number, (label, (first, second)) in enumerate(predicted.items())
    ]
    return Figure(name, title, caption, x, y, Mark.POINTS, tuple(series), diagonal=True)


def detail_of(estimate: Estimate, name: str) -> tuple[float, float, float]:
    """Return a detail with the ends of its interval, which are infinite if it has none."""
    low, high = ends_of(name)
    details = estimate.details
    ends = details.get(low, -math.inf), details.get(high, math.inf)
    return float(details[name]), float(ends[0]), float(ends[1])


def numbers(values: Tensor) -> tuple[float, ...]:
    """Turn a vector into the numbers of a series."""
    return tuple(map(float, values))
