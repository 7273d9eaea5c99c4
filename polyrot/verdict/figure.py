"""A picture as data: what a claim wants drawn beside its verdict; `polyrot.report` draws it."""

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
    """Something that the models are compared with, of no known truth."""
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
    """Numbers that are drawn alike."""

    label: str
    role: Role
    x: tuple[float | str, ...]
    """Positions, or names of categories."""
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    """Lower ends of the intervals of `y`, -inf where one is not known; empty where none is."""
    high: tuple[float, ...] = ()

    @classmethod
    def of(
        cls, label: str, role: Role, x: Sequence[float | str], estimates: Iterable[Estimate]
    ) -> "Series":
        """Draw estimates with their intervals."""
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
    """Of its file: short, and another than those of the same measurement."""
    title: str
    caption: str
    """What is drawn, over what, and how to read it."""
    x: str
    """What the axis shows, with its unit."""
    y: str
    mark: Mark
    series: tuple[Series, ...]
    diagonal: bool = False
    """Draw the line on which y = x."""
    bar: tuple[float, ...] = ()
    """The finite ends of the bar, to draw across, where `y` is the quantity that it is of."""
    log_y: bool = False
    """Is the vertical axis logarithmic?"""
    log_x: bool = False
    """Is the horizontal one, of numbers?"""

    def __post_init__(self) -> None:
        """Refuse what could not be drawn while it is known who made it."""
        for own in self.series:
            of = f"of series {own.label!r} of figure {self.name!r}"
            edges = len(own.y) + (self.mark is Mark.STEPS)
            ends = {len(own.low), len(own.high)}
            if len(own.x) != edges or ends not in ({0}, {len(own.y)}):
                lengths = ", ".join(
                    f"{len(getattr(own, which))} {which}" for which in ("x", "y", "low", "high")
                )
                raise ValueError(
                    f"Expected {edges} x and as many low and high as y, or none, {of} but got "
                    f"{lengths}"
                )
            if self.mark is not Mark.POINTS and any(isinstance(x, str) for x in own.x):
                raise ValueError(f"Expected numbers as x {of}: names are for points alone")
            for low, y, high in zip(own.low, own.y, own.high, strict=True) if own.low else ():
                if low > y or y > high:
                    raise ValueError(
                        f"Expected low <= y <= high {of} but got {low:g}, {y:g} and {high:g}"
                    )

    @property
    def file_stem(self) -> str:
        """Its name as it stands in the name of a file."""
        return re.sub(r"[^\w.-]+", "-", self.name)


def figure_from_json(fields: Mapping[str, Any]) -> Figure:
    """Read a figure back; what is not finite was written as a string."""
    series = tuple(
        Series(
            own["label"],
            Role(own["role"]),
            tuple(own["x"]),
            *(tuple(float(v) for v in own[which]) for which in ("y", "low", "high")),
        )
        for own in fields["series"]
    )
    bar = tuple(map(float, fields["bar"]))
    return Figure(**{**fields, "mark": Mark(fields["mark"]), "series": series, "bar": bar})
