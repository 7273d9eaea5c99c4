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
"""Makes figures of what was measured."""


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
    """The parts whose truth is known there; all of them where empty."""

    def concerns(self, part: str) -> bool:
        return not self.parts or part in self.parts


def negative(name: str, world: Any, *parts: str) -> Control:
    """A control that must miss the bar, of all parts or of those named."""
    return Control(name, Kind.NEGATIVE, world, parts)


def positive(name: str, world: Any, *parts: str) -> Control:
    """A control that must meet the bar, of all parts or of those named."""
    return Control(name, Kind.POSITIVE, world, parts)


@dataclass(frozen=True)
class Printed:
    """Published numbers in the quantity of a bar."""

    numbers: tuple[float, ...]
    of: str
    """What they are of, in a few words."""
    parts: tuple[str, ...] = ()
    """The parts that they are of; where empty, the paper says none, or there is only one."""
    ends: bool = False
    """Are they a lowest and a highest number, with others between that are not printed?"""

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

    How often a bar is met in others is compared with the first.
    """
    false_in: tuple[str, ...] = ()
    """The named alternatives: synthetic worlds in which it is false."""


@dataclass(frozen=True)
class Measurement:
    """One way to measure a claim: its bar and its controls."""

    claim: Claim
    bar: Bar
    controls: tuple[Control, ...]
    published: bool = False
    """Exactly the author's definition, beside the hardened measurement of the same claim."""
    printed: Mapping[str, tuple[Printed, ...]] = field(default_factory=dict)
    """The published numbers by suite, where they are of the bar's quantity: drawn on its axis."""
    figures: tuple[Draw, ...] = ()
    """Drawn after the verdict, say a `polyrot.verdict.figures.ByPart`."""

    @property
    def id(self) -> str:
        return f"{self.claim.id}/published" if self.published else self.claim.id
