"""The region an estimate must fall in, fixed before the run."""

import math
from dataclasses import dataclass
from enum import StrEnum

from polyrot.stats.estimate import Estimate
from polyrot.stats.scale import Scale


class Placement(StrEnum):
    """Where an interval lies with respect to a bar's region."""

    INSIDE = "inside"
    OUTSIDE = "outside"
    STRADDLES = "straddles"


@dataclass(frozen=True)
class Bar:
    """An interval of allowed values of a named quantity; each end open or closed."""

    quantity: str
    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    scale: Scale = Scale.LINEAR
    """The scale on which intervals of the quantity are made."""

    def __post_init__(self) -> None:
        """Refuse a region that every number is in, or none."""
        unbounded = math.isinf(self.low) and math.isinf(self.high)
        if unbounded or not self.low <= self.high:
            raise ValueError(
                f"Expected a region of {self.quantity!r} with some numbers inside, and not all, "
                f"but got {self.low:g} to {self.high:g}"
            )

    @classmethod
    def at_least(cls, low: float, quantity: str, *, scale: Scale = Scale.LINEAR) -> "Bar":
        return cls(quantity, low=low, scale=scale)

    @classmethod
    def at_most(cls, high: float, quantity: str, *, scale: Scale = Scale.LINEAR) -> "Bar":
        return cls(quantity, high=high, scale=scale)

    @classmethod
    def above(cls, low: float, quantity: str, *, scale: Scale = Scale.LINEAR) -> "Bar":
        return cls(quantity, low=low, open_low=True, scale=scale)

    @classmethod
    def below(cls, high: float, quantity: str, *, scale: Scale = Scale.LINEAR) -> "Bar":
        return cls(quantity, high=high, open_high=True, scale=scale)

    @classmethod
    def between(
        cls, low: float, high: float, quantity: str, *, scale: Scale = Scale.LINEAR
    ) -> "Bar":
        """Make a region with two ends: an equivalence region if it holds what a theory gives."""
        return cls(quantity, low=low, high=high, scale=scale)

    @property
    def region(self) -> tuple[float, float]:
        return self.low, self.high

    def holds(self, value: float) -> bool:
        """Is a single value in the region?"""
        return not (self._below(value) or self._above(value))

    def margin(self, value: float) -> float:
        """Distance of a value from the nearest edge of the region; negative outside."""
        if math.isinf(value):  # nothing was measured
            return -math.inf
        return min(value - self.low, self.high - value)

    def place(self, estimate: Estimate) -> Placement:
        """Compare a whole 95% interval with the region."""
        if self.holds(estimate.low) and self.holds(estimate.high):
            return Placement.INSIDE
        if self._below(estimate.high) or self._above(estimate.low):
            return Placement.OUTSIDE
        return Placement.STRADDLES

    def place_control(self, estimate: Estimate) -> Placement:
        """Compare a control with the region.

        A share that must be 1 ("for every seed"), or 0, is met if no seed of the control is a
        counterexample, and missed if one is: no number of seeds has an interval without width.
        """
        if estimate.count is None or not (self.low >= 1 or self.high <= 0):
            return self.place(estimate)
        return Placement.INSIDE if self.holds(estimate.value) else Placement.OUTSIDE

    def p_inside(self, estimate: Estimate) -> float:
        """P-value of "the true value is outside": small if the estimate is clearly inside.

        Two one-sided tests, if the region has two ends (Schuirmann 1987, doi:10.1007/BF01068419).
        """
        if not self.holds(estimate.value):
            return 1.0
        tests = []
        if math.isfinite(self.low):
            tests.append(estimate.p_at_most(self.low))
        if math.isfinite(self.high):
            tests.append(estimate.p_at_least(self.high))
        return _unless_without_spread(estimate, max(tests, default=0.0))

    def p_outside(self, estimate: Estimate) -> float:
        """P-value of "the true value is inside": small if the estimate is clearly outside."""
        if self.holds(estimate.value):
            return 1.0
        below = self._below(estimate.value)
        p = estimate.p_at_least(self.low) if below else estimate.p_at_most(self.high)
        return _unless_without_spread(estimate, p)

    def _below(self, value: float) -> bool:
        return value < self.low or (self.open_low and value == self.low)

    def _above(self, value: float) -> bool:
        return value > self.high or (self.open_high and value == self.high)

    def __str__(self) -> str:
        if math.isinf(self.low):
            return f"{'<' if self.open_high else '<='} {self.high:g}"
        if math.isinf(self.high):
            return f"{'>' if self.open_low else '>='} {self.low:g}"
        left, right = "(" if self.open_low else "[", ")" if self.open_high else "]"
        return f"in {left}{self.low:g}, {self.high:g}{right}"


def _unless_without_spread(estimate: Estimate, p: float) -> float:
    """Return `p`, or that of a value without spread, which may lie on an end of the region."""
    without = estimate.has_interval and estimate.low == estimate.high
    return estimate.p_without_spread if without else p
