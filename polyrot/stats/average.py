"""Averages of measurements on single units: seeds, or pairs of them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from polyrot.stats.estimate import Estimate, estimate_details, jackknife

Seeds = tuple[int, int]
"""A pair of seeds; a single seed is paired with itself."""


@runtime_checkable
class HasSeeds(Protocol):
    """A unit that has a pair of seeds."""

    @property
    def seeds(self) -> Seeds: ...


@runtime_checkable
class HasSeed(Protocol):
    """A unit that has a seed."""

    @property
    def seed(self) -> int: ...


Unit = TypeVar("Unit", bound=int | Seeds | HasSeeds | HasSeed)


@dataclass(frozen=True)
class Measured:
    """The measurement of one unit."""

    value: float
    """The number that is judged, once averaged."""
    also: Mapping[str, float] = field(default_factory=dict)
    """Figures to report averaged, with intervals."""
    means: Mapping[str, float] = field(default_factory=dict)
    """Figures to report averaged, without intervals."""
    each: Mapping[str, Any] = field(default_factory=dict)
    """Figures of this unit, reported unchanged; their names differ between units."""


def average(
    units: Iterable[Unit],
    measure: Callable[[Unit], float | Measured],
    *,
    anchor: int | None = None,
    details: Mapping[str, Any] | None = None,
) -> Estimate:
    """Average a measurement over units, with a seed-level interval.

    Args:
        units: seeds, pairs of seeds, or objects with a `seed` or `seeds`.
        measure: measures one unit: a number, or one with figures that are reported with it.
        anchor: a seed that is in every pair; the others are then the units of replication.
        details: further figures to report.

    Raises:
        ValueError: where there is no unit.

    >>> average([0, 1, 2], lambda seed: Measured(float(seed), also={"twice": 2.0 * seed})).details
    {'twice': 2.0, 'twice, low': -2.9682754235006596, 'twice, high': 6.96827542350066}
    """
    found = {seeds_of(unit): _measured(measure(unit)) for unit in units}
    return averaged(found, anchor=anchor, details=details)


def average_by_part(
    units: Iterable[Unit],
    measure: Callable[[Unit], Mapping[str, float | Measured]],
    *,
    anchor: int | None = None,
    details: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Estimate]:
    """Average a measurement with several parts; as `average`, part by part.

    A part is averaged over the units that have it.
    """
    by_part: dict[str, dict[Seeds, Measured]] = {}
    for unit in units:
        for part, value in measure(unit).items():
            by_part.setdefault(part, {})[seeds_of(unit)] = _measured(value)
    return {
        part: averaged(found, anchor=anchor, details=(details or {}).get(part))
        for part, found in by_part.items()
    }


def averaged(
    found: Mapping[Seeds, Measured],
    *,
    anchor: int | None = None,
    details: Mapping[str, Any] | None = None,
) -> Estimate:
    """Average the measurements of pairs of seeds."""
    told: dict[str, Any] = {}
    with np.errstate(invalid="ignore"):  # an infinite figure has no interval
        for name, values in _columns(found, "also").items():
            told |= estimate_details(name, jackknife(values, anchor=anchor))
    for name, values in _columns(found, "means").items():
        told[name] = sum(values.values()) / len(values)
    for measured in found.values():
        told |= measured.each
    values = {seeds: measured.value for seeds, measured in found.items()}
    return jackknife(values, anchor=anchor, details={**told, **(details or {})})


def seeds_of(unit: int | Seeds | HasSeeds | HasSeed) -> Seeds:
    """Return the pair of seeds of a unit; a single seed is paired with itself."""
    if isinstance(unit, int):
        return unit, unit
    if isinstance(unit, tuple):
        return unit
    if isinstance(unit, HasSeeds):
        return unit.seeds
    return unit.seed, unit.seed


def _measured(value: float | Measured) -> Measured:
    return value if isinstance(value, Measured) else Measured(value)


def _columns(found: Mapping[Seeds, Measured], kind: str) -> dict[str, dict[Seeds, float]]:
    columns: dict[str, dict[Seeds, float]] = {}
    for seeds, measured in found.items():
        for name, figure in getattr(measured, kind).items():
            columns.setdefault(name, {})[seeds] = figure
    return columns
