"""A number with its interval, and the two methods that make intervals here."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A value, its 95% interval, the unit of replication and how the interval was made."""

    value: float
    """-inf where there is none, with an interval that is the whole line."""
    low: float
    high: float
    unit: str
    n: int
    method: str
    """How the interval was made; for the whole line, why nothing narrower is possible."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Figures reported with the value; they never decide a verdict."""
    pairs: Mapping[str, float] = field(default_factory=dict)
    """The values that were averaged, by pair of seeds, if it is an average of these."""

    @property
    def prediction(self) -> tuple[float, float]:
        """The 95% interval for the value of another run with the same number of seeds.

        Both runs have errors, so it is wider by the root of two (Patil, Peng & Leek 2016,
        doi:10.1177/1745691616646366).  A printed number is compared with it.
        """
        root = 2**0.5
        return (
            self.value - root * (self.value - self.low),
            self.value + root * (self.high - self.value),
        )


def jackknife(
    values: Mapping[tuple[int, int], float],
    *,
    anchor: int | None = None,
    details: Mapping[str, Any] | None = None,
) -> Estimate:
    """Average a statistic of pairs of seeds, with a delete-one-seed jackknife interval.

    Pairs share seeds, so the seed is the unit: leaving a seed out removes every pair it
    is in.  The width is Student's t with one degree of freedom less than there are seeds.
    With an `anchor`, a seed that is in every pair, the other seeds are the units.  For a
    single unit only the value is known: the interval is the whole line.

    References:
        Jackknife of U-statistics: Arvesen 1969, doi:10.1214/aoms/1177697287.
    """
    if not values:
        raise ValueError("Expected at least one pair of seeds but got none")
    units = sorted({seed for pair in values for seed in pair} - {anchor})
    left_out = []
    for unit in units:
        rest = [value for pair, value in values.items() if unit not in pair]
        if rest:
            left_out.append(float(np.mean(rest)))
    mean = float(np.mean(list(values.values())))
    pairs = {pair_name(*pair): float(value) for pair, value in values.items()}
    n = len(units)
    if len(left_out) < n or n < 2:
        besides = "" if anchor is None else f" besides seed {anchor}"
        few = f"1 seed{besides} gives" if n == 1 else f"{n} seeds give"
        method = (
            f"{few} no interval; give at least three"
            if n < 3
            else "no interval: every pair holds the same seed"
        )
        return Estimate(mean, -math.inf, math.inf, "seed", n, method, details or {}, pairs)
    variance = (n - 1) / n * float(np.sum((np.array(left_out) - np.mean(left_out)) ** 2))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * variance**0.5
    return Estimate(
        mean,
        mean - half,
        mean + half,
        "seed",
        n,
        "delete-one-seed jackknife, t",
        details or {},
        pairs,
    )


def over_seeds(
    values: Mapping[int, float], *, details: Mapping[str, Any] | None = None
) -> Estimate:
    """Average a statistic of single seeds, with a delete-one-seed jackknife interval.

    >>> estimate = over_seeds({0: 1.0, 1: 2.0, 2: 3.0})
    >>> estimate.value, estimate.n
    (2.0, 3)
    """
    return jackknife({(seed, seed): value for seed, value in values.items()}, details=details)


def estimate_details(name: str, estimate: Estimate) -> dict[str, float]:
    """Make details of an estimate: its value, and the ends of its interval if they are finite.

    >>> estimate_details("mean EV", exact(0.5, unit="seed", n=5, method="by hand"))
    {'mean EV': 0.5, 'mean EV, low': 0.5, 'mean EV, high': 0.5}
    """
    low, high = ends_of(name)
    if math.isfinite(estimate.low) and math.isfinite(estimate.high):
        return {name: estimate.value, low: estimate.low, high: estimate.high}
    return {name: estimate.value}


def ends_of(name: str) -> tuple[str, str]:
    """Name the details that hold the ends of a detail's interval."""
    return f"{name}, low", f"{name}, high"


def pair_name(source: int, target: int) -> str:
    """Name a pair of seeds, or a seed that is paired with itself."""
    return f"{source}" if source == target else f"{source} to {target}"


def monte_carlo_p(
    exceeding: int, draws: int, *, factor: float = 1.0, details: Mapping[str, Any] | None = None
) -> Estimate:
    """Turn a count of null draws at least as extreme into a p-value with an interval.

    The value is (exceeding + 1) / (draws + 1) (Phipson & Smyth 2010,
    doi:10.2202/1544-6115.1585); the interval is Clopper and Pearson's for the share of
    the null that exceeds.  `factor` is the multiplicity correction, applied to all three.
    """
    low, high = stats.binomtest(exceeding, draws).proportion_ci(CONFIDENCE, method="exact")
    value = (exceeding + 1) / (draws + 1)
    corrected = [min(1.0, factor * p) for p in (value, min(low, value), max(high, value))]
    return Estimate(
        corrected[0],
        corrected[1],
        corrected[2],
        "null draw",
        draws,
        "Monte-Carlo p-value, Clopper-Pearson",
        details or {},
    )


def exact(
    value: float, *, unit: str, n: int, method: str, details: Mapping[str, Any] | None = None
) -> Estimate:
    """Report a number without sampling error, such as an analytic p-value."""
    return Estimate(value, value, value, unit, n, method, details or {})


def benjamini_hochberg(p: Collection[float]) -> list[float]:
    """Adjust p-values for multiplicity (Benjamini & Hochberg 1995): rejected if <= level."""
    return [float(q) for q in stats.false_discovery_control(list(p), method="bh")]
