"""Averages of measurements on single units: seeds, or pairs of them."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from polyrot.stats.estimate import Estimate, estimate_details, jackknife, pair_name

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
    lowest: Mapping[str, float] = field(default_factory=dict)
    """Figures of which to report the lowest."""
    each: Mapping[str, Any] = field(default_factory=dict)
    """Figures of this unit, reported unchanged; their names differ between units."""


@dataclass(frozen=True)
class Unmeasured:
    """A unit on which there is nothing to measure: the average is of the others.

    The average then has no interval, because the missing units could change it by any amount.
    """

    why: str
    """Said of units: "in 2 of 20 pairs" comes before it."""


def average(
    units: Iterable[Unit],
    measure: Callable[[Unit], float | Measured | Unmeasured],
    *,
    anchor: int | None = None,
    details: Mapping[str, Any] | None = None,
) -> Estimate:
    """Average a measurement over units, with a seed-level interval.

    Args:
        units: seeds, pairs of seeds, or objects with a `seed` or `seeds`.
        measure: measures one unit: gives a number, or one with figures that are reported with it,
            or why there is none.
        anchor: a seed that is in every pair; the others are then the units of replication.
        details: further figures to report.

    Raises:
        ValueError: where there is no unit.

    >>> average([0, 1, 2], lambda seed: Measured(float(seed), also={"twice": 2.0 * seed})).details
    {'twice': 2.0, 'twice, low': -2.9682754235006596, 'twice, high': 6.96827542350066}
    """
    found: dict[Seeds, Measured | Unmeasured] = {}
    for unit in units:
        _add(found, unit, measure(unit))
    return averaged(found, anchor=anchor, details=details)


def average_by_part(
    units: Iterable[Unit],
    measure: Callable[[Unit], Mapping[str, float | Measured | Unmeasured]],
    *,
    anchor: int | None = None,
    details: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Estimate]:
    """Average a measurement with several parts; as `average`, part by part.

    A part is averaged over the units that have it.
    """
    by_part: dict[str, dict[Seeds, Measured | Unmeasured]] = {}
    for unit in units:
        for part, value in measure(unit).items():
            _add(by_part.setdefault(part, {}), unit, value)
    return {
        part: averaged(found, anchor=anchor, details=(details or {}).get(part))
        for part, found in by_part.items()
    }


def averaged(
    found: Mapping[Seeds, Measured | Unmeasured],
    *,
    anchor: int | None = None,
    details: Mapping[str, Any] | None = None,
) -> Estimate:
    """Average the measurements of pairs of seeds."""
    measured = {seeds: value for seeds, value in found.items() if isinstance(value, Measured)}
    if len(measured) == len(found):
        return _averaged(measured, anchor, details)
    why = next(value.why for value in found.values() if isinstance(value, Unmeasured))
    units = "seeds" if all(first == second for first, second in found) else "pairs"
    method = f"no interval: in {len(found) - len(measured)} of {len(found)} {units} {why}"
    whole_line = Estimate(
        value=-math.inf,
        low=-math.inf,
        high=math.inf,
        unit="seed",
        n=len({seed for pair in found for seed in pair} - {anchor}),
        method=method,
        anchor=anchor,
    )
    if not measured:
        return whole_line
    of_others = _averaged(measured, anchor, details)
    return replace(
        whole_line,
        value=of_others.value,
        method=f"{method}; the value is of the others",
        details=of_others.details,
        pairs=of_others.pairs,
    )


def _averaged(
    found: Mapping[Seeds, Measured], anchor: int | None, details: Mapping[str, Any] | None
) -> Estimate:
    told: dict[str, Any] = {}
    with np.errstate(invalid="ignore"):  # an infinite figure has no interval
        for name, values in _columns(found, "also").items():
            told |= estimate_details(name, jackknife(values, anchor=anchor))
    for name, values in _columns(found, "means").items():
        told[name] = sum(values.values()) / len(values)
    for name, values in _columns(found, "lowest").items():
        told[name] = min(values.values())
    for unit in found.values():
        told |= unit.each
    values = {seeds: unit.value for seeds, unit in found.items()}
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


def _add(
    found: dict[Seeds, Measured | Unmeasured], unit: Unit, value: float | Measured | Unmeasured
) -> None:
    seeds = seeds_of(unit)
    if seeds in found:
        raise ValueError(f"Expected each unit once but got several of {pair_name(*seeds)}")
    found[seeds] = _measured(value)


def _measured(value: float | Measured | Unmeasured) -> Measured | Unmeasured:
    return value if isinstance(value, (Measured, Unmeasured)) else Measured(value)


def _columns(found: Mapping[Seeds, Measured], kind: str) -> dict[str, dict[Seeds, float]]:
    columns: dict[str, dict[Seeds, float]] = {}
    for seeds, unit in found.items():
        for name, figure in getattr(unit, kind).items():
            columns.setdefault(name, {})[seeds] = figure
    return columns
