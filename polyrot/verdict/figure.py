"""A picture as data: what a claim wants drawn beside its verdict; `polyrot.report` draws it."""

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
    """Lower ends of the intervals of `y`; empty where it has none."""
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
    return Figure(**{**fields, "mark": Mark(fields["mark"]), "series": series})
