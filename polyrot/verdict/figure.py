"""Figures as data: what a claim shows with its verdict; `polyrot.report` draws them."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from polyrot.stats.estimate import Estimate


class Role(StrEnum):
    """What a series stands for; it decides colour, dash and marker."""

    MODELS = "models"
    NEGATIVE = "negative"
    """A world in which the claim is false."""
    POSITIVE = "positive"
    """A world in which it is true."""
    BESIDE = "beside"
    """Something that the models are compared with, whose truth is unknown."""
    NULL = "null"
    """What chance gives."""


class Mark(StrEnum):
    """How the series of a figure are drawn."""

    LINES = "lines"
    POINTS = "points"
    STEPS = "steps"
    """A histogram: `x` holds the edges of the bins, one more than `y`."""


@dataclass(frozen=True)
class Series:
    """Numbers that are drawn in one style."""

    label: str
    role: Role
    x: tuple[float | str, ...]
    """Positions, or names of categories."""
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    """Lower ends of the intervals of `y`, -inf where unknown; empty if all are."""
    high: tuple[float, ...] = ()

    @classmethod
    def of(
        cls, label: str, role: Role, x: Sequence[float | str], estimates: Iterable[Estimate]
    ) -> "Series":
        """Make a series of estimates with their intervals."""
        every = list(estimates)
        return cls(
            label,
            role,
            tuple(x),
            tuple(e.value for e in every),
            tuple(e.low for e in every),
            tuple(e.high for e in every),
        )

    @property
    def has_interval(self) -> tuple[bool, ...]:
        """Which of the numbers have an interval?"""
        if not self.low:
            return (False,) * len(self.y)
        ends = zip(self.low, self.high, strict=True)
        return tuple(math.isfinite(low) or math.isfinite(high) for low, high in ends)


@dataclass(frozen=True)
class Figure:
    """A picture with one pair of axes."""

    name: str
    """Name of its file: short, and different from those of the same measurement."""
    title: str
    caption: str
    """What is drawn, over what, and how to read it."""
    x: str
    """Label of the axis, with its unit."""
    y: str
    mark: Mark
    series: tuple[Series, ...]
    diagonal: bool = False
    """Draw the line on which y = x."""
    bar: tuple[float, ...] = ()
    """Finite ends of the bar, drawn across, if `y` is the bar's quantity."""
    log_y: bool = False
    """Is the vertical axis logarithmic?"""
    log_x: bool = False
    """Is the horizontal axis logarithmic, if it shows numbers?"""

    def __post_init__(self) -> None:
        """Refuse what could not be drawn, while its maker is still known."""
        for one in self.series:
            of = f"of series {one.label!r} of figure {self.name!r}"
            edges = len(one.y) + (self.mark is Mark.STEPS)
            ends = {len(one.low), len(one.high)}
            if len(one.x) != edges or ends not in ({0}, {len(one.y)}):
                lengths = ", ".join(
                    f"{len(getattr(one, which))} {which}" for which in ("x", "y", "low", "high")
                )
                raise ValueError(
                    f"Expected {edges} x, and {len(one.y)} low and high or none, {of} but got "
                    f"{lengths}"
                )
            if self.mark is not Mark.POINTS and any(isinstance(x, str) for x in one.x):
                raise ValueError(f"Expected numbers as x {of}: names are for points alone")
            for low, y, high in zip(one.low, one.y, one.high, strict=True) if one.low else ():
                if low > y or y > high:
                    raise ValueError(
                        f"Expected low <= y <= high {of} but got {low:g}, {y:g} and {high:g}"
                    )

    @property
    def file_stem(self) -> str:
        """Its name as it appears in file names."""
        return re.sub(r"[^\w.-]+", "-", self.name)


def figure_from_json(fields: Mapping[str, Any]) -> Figure:
    """Read a figure back; numbers that are not finite were written as strings."""
    series = tuple(
        Series(
            one["label"],
            Role(one["role"]),
            tuple(one["x"]),
            *(tuple(float(v) for v in one[which]) for which in ("y", "low", "high")),
        )
        for one in fields["series"]
    )
    bar = tuple(map(float, fields["bar"]))
    return Figure(**{**fields, "mark": Mark(fields["mark"]), "series": series, "bar": bar})
