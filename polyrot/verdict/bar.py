"""The region an estimate must fall in, fixed before the run."""

import math
from dataclasses import dataclass
from enum import StrEnum

from polyrot.stats.estimate import Estimate


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

    @classmethod
    def at_least(cls, low: float, quantity: str) -> "Bar":
        return cls(quantity, low=low)

    @classmethod
    def at_most(cls, high: float, quantity: str) -> "Bar":
        return cls(quantity, high=high)

    @classmethod
    def above(cls, low: float, quantity: str) -> "Bar":
        return cls(quantity, low=low, open_low=True)

    @classmethod
    def below(cls, high: float, quantity: str) -> "Bar":
        return cls(quantity, high=high, open_high=True)

    @classmethod
    def between(cls, low: float, high: float, quantity: str) -> "Bar":
        return cls(quantity, low=low, high=high)

    def holds(self, value: float) -> bool:
        """Is a single value in the region?"""
        return not (self._below(value) or self._above(value))

    def margin(self, value: float) -> float:
        """Distance of a value from the nearest edge of the region; negative outside."""
        return min(value - self.low, self.high - value)

    def place(self, estimate: Estimate) -> Placement:
        """Compare a whole interval with the region.

        Raises:
            ValueError: where the estimate is not a number: a failed measurement is an error,
                never evidence.
        """
        if any(math.isnan(v) for v in (estimate.value, estimate.low, estimate.high)):
            raise ValueError(f"Expected {self.quantity} to be a number but got {estimate!r}")
        if self.holds(estimate.low) and self.holds(estimate.high):
            return Placement.INSIDE
        if self._below(estimate.high) or self._above(estimate.low):
            return Placement.OUTSIDE
        return Placement.STRADDLES

    def _below(self, value: float) -> bool:
        return value < self.low or (self.open_low and value == self.low)

    def _above(self, value: float) -> bool:
        return value > self.high or (self.open_high and value == self.high)

    def __str__(self) -> str:
        if math.isinf(self.low):
            return f"{'<' if self.open_high else '<='} {self.high:g}"
        if math.isinf(self.high):
            return f"{'>' if self.open_low else '>='} {self.low:g}"
        return f"in [{self.low:g}, {self.high:g}]"
