"""A published statement, and the measurements of it that can fail."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from polyrot.stats.estimate import Estimate
from polyrot.verdict.bar import Bar
from polyrot.verdict.figure import Figure

Worlds = Mapping[str, Mapping[str, Estimate]]
"""Estimates by world (`MODELS`, or the name of a control) and part."""
Draw = Callable[[Worlds], Sequence[Figure]]
"""Makes figures from the estimates."""


MODELS, PRECONDITION = "models", "precondition"
"""What is measured besides controls, and so no name of a control."""
RESERVED = (MODELS, PRECONDITION)


class Kind(StrEnum):
    """What a control must do to the bar."""

    NEGATIVE = "negative"
    """The claim is false there: the bar must be missed."""
    POSITIVE = "positive"
    """The claim is true there: the bar must be met."""


@dataclass(frozen=True)
class Control:
    """A world in which the truth is known; `world` is what the measurement runs in."""

    name: str
    kind: Kind
    world: Any
    parts: tuple[str, ...] = ()
    """The parts whose truth is known there, by `names_of`; empty for all of them."""

    def concerns(self, part: str) -> bool:
        return not self.parts or any(name in self.parts for name in names_of(part))


def names_of(part: str) -> tuple[str, str]:
    """Return the names by which a part is meant: its whole name, or its last component.

    >>> names_of("resid_mid.0, EV")
    ('resid_mid.0, EV', 'EV')
    """
    return part, part.rpartition(", ")[2]


def negative(name: str, world: Any, *parts: str) -> Control:
    """Make a control that must miss the bar, for all parts or those named."""
    return Control(name, Kind.NEGATIVE, world, parts)


def positive(name: str, world: Any, *parts: str) -> Control:
    """Make a control that must meet the bar, for all parts or those named."""
    return Control(name, Kind.POSITIVE, world, parts)


@dataclass(frozen=True)
class Printed:
    """Published numbers in the quantity of a bar."""

    numbers: tuple[float, ...]
    of: str
    """What they measure, in a few words."""
    parts: tuple[str, ...] = ()
    """The parts that they belong to; empty if the paper does not say, or there is only one."""
    ends: bool = False
    """Are they the lowest and the highest of several numbers, with the others not printed?"""

    def concerns(self, part: str) -> bool:
        return not self.parts or part in self.parts


@dataclass(frozen=True)
class Claim:
    """A published statement and where it was published."""

    id: str
    statement: str
    source: str
    printed: Mapping[str, str] = field(default_factory=dict)
    """The published numbers, by suite, as printed."""
    true_in: tuple[str, ...] = ()
    """Synthetic worlds in which the claim is true, for the calibration of its bars.

    How often the bar is met in any other world is compared with the first.
    """
    false_in: tuple[str, ...] = ()
    """The named alternatives: synthetic worlds in which the claim is false."""


@dataclass(frozen=True)
class Precondition:
    """What a statement presupposes of the models: without it, it is neither true nor false."""

    what: str
    """Said of models: `a map explains more than shuffled tokens do`."""
    bar: Bar
    """Met if the whole interval is inside."""


@dataclass(frozen=True)
class Measurement:
    """One way to measure a claim: its bar and its controls."""

    claim: Claim
    bar: Bar
    controls: tuple[Control, ...]
    published: bool = False
    """Does it use exactly the author's definition, unlike the hardened measurement?"""
    printed: Mapping[str, tuple[Printed, ...]] = field(default_factory=dict)
    """Published numbers of the bar's quantity, by suite: drawn on its axis."""
    figures: tuple[Draw, ...] = ()
    """Drawn after the verdict, for example a `polyrot.verdict.figures.ByPart`."""
    part_bars: Mapping[str, Bar] = field(default_factory=dict)
    """Bars of parts that are measured on axes of their own, by `names_of`."""
    precondition: Precondition | None = None
    unreachable: str = ""
    """Which verdict no models can get, and why; empty if both can be had."""

    def __post_init__(self) -> None:
        """Refuse controls that would take each other's place."""
        worlds: dict[str, Any] = {}
        for control in self.controls:
            if control.name in RESERVED:
                raise ValueError(f"Expected another name of a control than {control.name!r}")
            if worlds.setdefault(control.name, control.world) is not control.world:
                raise ValueError(
                    f"Expected a different name for each control's world but several of {self.id} "
                    f"are {control.name!r}"
                )

    def bar_of(self, part: str) -> Bar:
        """Return the bar of a part."""
        found = (self.part_bars.get(name) for name in names_of(part))
        return next(filter(None, found), self.bar)

    @property
    def bars(self) -> tuple[Bar, ...]:
        """The different bars of its parts."""
        return tuple(dict.fromkeys((self.bar, *self.part_bars.values())))

    @property
    def bar_text(self) -> str:
        return "; ".join(str(bar) for bar in self.bars)

    @property
    def quantity(self) -> str:
        return "; ".join(bar.quantity for bar in self.bars)

    @property
    def id(self) -> str:
        return f"{self.claim.id}/published" if self.published else self.claim.id
