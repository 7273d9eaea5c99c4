"""Average what is measured on single units: seeds, or pairs of them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from polyrot.stats.estimate import Estimate, beside, jackknife

Seeds = tuple[int, int]
"""A pair of seeds; of a single seed, it and itself."""


@runtime_checkable
class HasSeeds(Protocol):
    """A unit that knows which pair of seeds it is of."""

    @property
    def seeds(self) -> Seeds: ...


@runtime_checkable
class HasSeed(Protocol):
    """A unit that knows which seed it is of."""

    @property
    def seed(self) -> int: ...


Unit = TypeVar("Unit", bound=int | Seeds | HasSeeds | HasSeed)


@dataclass(frozen=True)
class Measured:
    """What was measured on one unit."""

    value: float
    """What is judged, once averaged."""
    also: Mapping[str, float] = field(default_factory=dict)
    """Figures to report averaged, with intervals."""
    means: Mapping[str, float] = field(default_factory=dict)
    """Figures to report averaged, without intervals."""
    each: Mapping[str, Any] = field(default_factory=dict)
    """Figures of this unit to report as they are; their names differ between units."""


def average(
    units: Iterable[Unit],
    measure: Callable[[Unit], float | Measured],
    *,
    anchor: int | None = None,
    details: Mapping[str, Any] | None = None,
) -> Estimate:
    """Average a measurement over units, with a seed-level interval.

    Args:
        units: seeds, pairs of seeds, or what has a `seed` or `seeds`.
        measure: of one unit; a number, or with figures that are reported with it.
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
    """Average a measurement that has several parts; as `average`, part by part.

    A unit may lack a part, which is then averaged over the others.
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
    """Average what was measured on each pair of seeds."""
    told: dict[str, Any] = {}
    with np.errstate(invalid="ignore"):  # an infinite figure has no interval
        for name, values in _columns(found, "also").items():
            told |= beside(name, jackknife(values, anchor=anchor))
    for name, values in _columns(found, "means").items():
        told[name] = sum(values.values()) / len(values)
    for own in found.values():
        told |= own.each
    values = {seeds: own.value for seeds, own in found.items()}
    return jackknife(values, anchor=anchor, details={**told, **(details or {})})


def seeds_of(unit: int | Seeds | HasSeeds | HasSeed) -> Seeds:
    """Return the pair of seeds that a unit is of; of a single seed, it and itself."""
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
    for seeds, own in found.items():
        for name, figure in getattr(own, kind).items():
            columns.setdefault(name, {})[seeds] = figure
    return columns
