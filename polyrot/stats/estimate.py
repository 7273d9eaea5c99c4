"""A number with its interval, and the methods that make intervals here."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import stats

from polyrot.stats.scale import Scale

CONFIDENCE = 0.95
LEAST_UNITS = 3
"""Fewer give no interval: two would decide by the luck of being alike."""
ROUNDING = 1e-12
"""Relative spread below which values are the same."""
SEED = "seed"
"""The unit of replication of cohorts."""


@dataclass(frozen=True)
class Estimate:
    """A value, its 95% interval, the unit of replication and how the interval was made.

    Raises:
        ValueError: where it is no measurement: a value that is not a number or outside its
            interval, an interval with one infinite end, or a single unit that is not all there is.
    """

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
    left_out: Mapping[str, float] = field(default_factory=dict)
    """The average without each unit, by its name, if it is an average."""
    scale: Scale = Scale.LINEAR
    """On which the interval is symmetric, unless it is Clopper and Pearson's."""
    count: int | None = None
    """For a share: of the n units, those counted.  The interval is Clopper and Pearson's."""
    anchor: int | None = None
    """The seed that is in every pair: the interval is for that seed alone."""
    exhaustive: bool = False
    """Are the n units all there are, so that nothing was sampled?"""

    def __post_init__(self) -> None:
        """Refuse what is no measurement, while its maker is still known."""
        if any(math.isnan(number) for number in (self.value, self.low, self.high)):
            raise ValueError(f"Expected an estimate to be a number but got {self}")
        if not self.low <= self.value <= self.high:
            raise ValueError(f"Expected an estimate inside its interval but got {self}")
        if math.isinf(self.low) != math.isinf(self.high):
            raise ValueError(
                f"Expected an interval with two finite ends, or none known, but got {self}"
            )
        wide = self.low < self.high
        if self.has_interval and self.n < 2 and (wide or not self.exhaustive):
            raise ValueError(
                f"Expected an interval from at least 2 units but got {self}; say `exhaustive` if "
                "there are no others"
            )

    def __str__(self) -> str:
        return f"{self.value:g} [{self.low:g}, {self.high:g}], {self.unit}, n = {self.n}"

    @property
    def has_interval(self) -> bool:
        return math.isfinite(self.low)

    @property
    def seeds(self) -> int | None:
        """The number of seeds of the cohort, if seeds are the units."""
        if self.unit != SEED:
            return None
        return self.n + (self.anchor is not None)

    def on(self, scale: Scale) -> "Estimate":
        """Make the jackknife interval on another scale; the value stays the average.

        Unchanged where it is not the jackknife's, and where an average lies outside what the scale
        can show: `method` then says so.
        """
        if not (self.left_out and self.has_interval) or scale is self.scale:
            return self
        if self.low == self.high:  # rounding on the way back would give it a spread
            return replace(self, scale=scale)
        points = [scale.of(value) for value in (self.value, *self.left_out.values())]
        if not all(map(math.isfinite, points)):
            where = f"; not on the scale {scale}, which cannot show every value"
            return replace(self, method=self.method + where)
        half = _quantile(self.n) * _jackknife_error(points[1:])
        ends = (scale.back(points[0] - half), scale.back(points[0] + half))
        return replace(
            self,
            low=min(ends[0], self.value),
            high=max(ends[1], self.value),
            method=f"{self.method}, on the scale {scale}",
            scale=scale,
        )

    def p_at_most(self, edge: float) -> float:
        """One-sided p-value of "the true value is at most `edge`": small if it is clearly above."""
        return self._p(edge, below=False)

    def p_at_least(self, edge: float) -> float:
        """One-sided p-value of "the true value is at least `edge`"."""
        return self._p(edge, below=True)

    def _p(self, edge: float, *, below: bool) -> float:
        """P-value for an edge; `below` if the evidence sought is that the value is below it."""
        if not self.has_interval:
            return 1.0
        if self.count is not None:
            edge = min(max(edge, 0.0), 1.0)
            tail = stats.binom.cdf if below else stats.binom.sf
            return float(tail(self.count - (not below), self.n, edge))
        end = self.high if below else self.low
        distance, half = (abs(self._to(self.value, to)) for to in (edge, end))
        beyond = self.value < edge if below else self.value > edge
        if not beyond:
            return 1.0
        if not half:
            return self.p_without_spread
        return float(stats.t.sf(distance / half * _quantile(self.n), self.n - 1))

    @property
    def p_without_spread(self) -> float:
        """P-value of the other side of an edge for a value whose interval has no width.

        0 for what is known exactly.  Units that happen to agree say no more than a sign test: 2^-n,
        and for pairs, of which n/2 share no seed, 2^-(n/2).
        """
        if not self.left_out:
            return 0.0
        of_pairs = self.anchor is None and any(" to " in name for name in self.pairs)
        return float(0.5 ** (self.n // 2 if of_pairs else self.n))

    def _to(self, start: float, end: float) -> float:
        return self.scale.of(end) - self.scale.of(start)

    @property
    def prediction(self) -> tuple[float, float]:
        """The 95% interval for the value of another run with the same number of seeds.

        Both runs have errors, so it is wider by the root of two on its scale (Patil, Peng & Leek
        2016, doi:10.1177/1745691616646366).  A printed number is compared with it.
        """
        if not self.has_interval:
            return self.low, self.high
        scale, root = self.scale, 2**0.5
        start = scale.of(self.value)
        low, high = (
            scale.back(start + root * self._to(self.value, end)) for end in (self.low, self.high)
        )
        return (low, high) if self.count is None else (max(low, 0.0), min(high, 1.0))


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
    if anchor is not None and (without := [pair for pair in values if anchor not in pair]):
        raise ValueError(f"Expected the anchor {anchor} in every pair but not in {without[0]}")
    units = sorted({seed for pair in values for seed in pair} - {anchor})
    left_out = []
    for unit in units:
        rest = [value for pair, value in values.items() if unit not in pair]
        if rest:
            left_out.append(float(np.mean(rest)))
    mean = float(np.mean(list(values.values())))
    known: dict[str, Any] = {
        "details": details or {},
        "pairs": {pair_name(*pair): float(value) for pair, value in values.items()},
        "anchor": anchor,
    }
    n = len(units)
    if len(left_out) < n or n < LEAST_UNITS:
        besides = "" if anchor is None else f" besides seed {anchor}"
        few = f"1 seed{besides} gives" if n == 1 else f"{n} seeds give"
        method = (
            f"{few} no interval; give at least three"
            if n < LEAST_UNITS
            else "no interval: every pair holds the same seed"
        )
        return Estimate(mean, -math.inf, math.inf, SEED, n, method, **known)
    half = _quantile(n) * _jackknife_error(left_out)
    if half < ROUNDING * abs(mean):  # equal values, but for the order of their sum
        half, left_out = 0.0, [mean] * n
    method = "delete-one-seed jackknife, t"
    if anchor is not None:
        method += f"; for seed {anchor} as the source of every pair"
    known["left_out"] = {str(unit): value for unit, value in zip(units, left_out, strict=True)}
    return Estimate(mean, mean - half, mean + half, SEED, n, method, **known)


def _jackknife_error(left_out: Sequence[float]) -> float:
    n, values = len(left_out), np.array(left_out)
    return float(((n - 1) / n * np.sum((values - values.mean()) ** 2)) ** 0.5)


def _quantile(n: int) -> float:
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1))


def difference(of: Estimate, less: Estimate) -> Estimate | None:
    """Return the paired difference of two averages over the same units, or None for others.

    Leaving a unit out of both keeps what they have in common out of the interval.
    """
    if not of.left_out or of.left_out.keys() != less.left_out.keys():
        return None
    value = of.value - less.value
    half = _quantile(of.n) * _jackknife_error(
        [of.left_out[unit] - less.left_out[unit] for unit in of.left_out]
    )
    method = "delete-one-seed jackknife of the paired difference, t"
    return Estimate(value, value - half, value + half, of.unit, of.n, method, anchor=of.anchor)


def share_of_seeds(
    holds: Mapping[int, bool], *, details: Mapping[str, Any] | None = None
) -> Estimate:
    """Estimate the share of seeds of which something holds, with Clopper and Pearson's interval.

    A single counterexample refutes "for every seed", a bar at 1.

    >>> round(share_of_seeds({0: True, 1: True, 2: False, 3: True}).low, 3)
    0.194
    """
    return _share(sum(holds.values()), len(holds), SEED, details, each=holds)


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
    exceeding: int, draws: int, *, details: Mapping[str, Any] | None = None
) -> Estimate:
    """Turn a count of null draws at least as extreme into a p-value with an interval.

    The value is (exceeding + 1) / (draws + 1) (Phipson & Smyth 2010,
    doi:10.2202/1544-6115.1585); the interval is Clopper and Pearson's for the share of
    the null that exceeds.
    """
    share = _share(exceeding, draws, "null draw", details)
    value = (exceeding + 1) / (draws + 1)
    method = "Monte-Carlo p-value, Clopper-Pearson"
    high = max(share.high, value)
    return replace(share, value=value, low=min(share.low, value), high=high, method=method)


def _share(
    count: int,
    n: int,
    unit: str,
    details: Mapping[str, Any] | None,
    *,
    each: Mapping[int, bool] | None = None,
) -> Estimate:
    if not n:
        raise ValueError(f"Expected at least one {unit} but got none")
    low, high = stats.binomtest(count, n).proportion_ci(CONFIDENCE, method="exact")
    if n < 2:
        low, high = -math.inf, math.inf
    pairs = {str(seed): float(held) for seed, held in (each or {}).items()}
    method = "share, Clopper-Pearson" if n > 1 else f"1 {unit} gives no interval"
    known: dict[str, Any] = {"details": details or {}, "pairs": pairs, "count": count}
    return Estimate(count / n, float(low), float(high), unit, n, method, **known)


def exact(
    value: float,
    *,
    unit: str,
    n: int,
    method: str,
    exhaustive: bool = False,
    details: Mapping[str, Any] | None = None,
) -> Estimate:
    """Report a number without sampling error, such as an analytic p-value.

    `exhaustive` says that its n units are all there are; a number of one unit must be.
    """
    return Estimate(value, value, value, unit, n, method, details or {}, exhaustive=exhaustive)


def benjamini_hochberg(p: Collection[float]) -> list[float]:
    """Adjust p-values for multiplicity (Benjamini & Hochberg 1995): rejected if <= level."""
    return [float(q) for q in stats.false_discovery_control(list(p), method="bh")]
