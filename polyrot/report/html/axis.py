"""Positions of numbers on the axis of a bar, in percent of its width."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

VISIBLE = 0.04
"""Share of the axis below which the deciding distance would be invisible."""
MARGIN = 0.03
"""Share of the axis that is empty at each end."""
FREE, WIDE = 4.0, 2.2
"""Least gap between the labels of ticks, and width of a character, in percent of the axis on a
phone."""


@dataclass(frozen=True)
class Axis:
    """A linear axis, or a logarithmic one of the distances from a centre."""

    low: float
    high: float
    centre: float = 0.0
    unit: float = 0.0
    """The distance from the centre at which the axis becomes logarithmic; 0 if it is linear."""

    @classmethod
    def over(cls, numbers: Iterable[float], *, centre: float, detail: float) -> "Axis":
        """Span the finite numbers.

        If the deciding distance, `detail`, would be invisible on a linear scale, distances from the
        `centre` are drawn on a logarithmic one.
        """
        finite = [number for number in numbers if math.isfinite(number)]
        low, high = min(finite), max(finite)
        if low == high:
            low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
        zoomed = 0 < detail < VISIBLE * (high - low)
        return cls(low, high, centre, detail / 2 if zoomed else 0.0)

    @property
    def linear(self) -> bool:
        return not self.unit

    def at(self, number: float) -> float:
        """Return the position of a number, from 0 to 100; infinities are at the ends."""
        if math.isinf(number):
            return 0.0 if number < 0 else 100.0
        low, high = self._scaled(self.low), self._scaled(self.high)
        share = (self._scaled(number) - low) / (high - low)
        place = 100 * (MARGIN + (1 - 2 * MARGIN) * share)
        return round(min(100.0, max(0.0, place)), 2)

    def ticks(self, first: Iterable[float]) -> list[float]:
        """Choose the ticks: those of `first` that lie on the axis, and round numbers."""
        chosen: list[float] = []
        for number in (*first, *self._round_numbers()):
            inside = self.low <= number <= self.high
            if inside and all(self._apart(number, other) for other in chosen):
                chosen.append(number)
        return sorted(chosen)

    def _apart(self, one: float, other: float) -> bool:
        """Do the labels of two ticks fit without overlapping?"""
        characters = (len(label(one)) + len(label(other))) / 2
        return abs(self.at(one) - self.at(other)) >= FREE + WIDE * characters

    def _scaled(self, number: float) -> float:
        if self.linear:
            return number
        distance = number - self.centre
        return math.copysign(math.log1p(abs(distance) / self.unit), distance)

    def _round_numbers(self) -> Iterator[float]:
        yield from round_numbers(self.low, self.high)
        reach = (self.high - self.low) / 10
        while not self.linear and reach > self.unit / 10:
            low, high = max(self.low, self.centre - reach), min(self.high, self.centre + reach)
            if low < high:
                yield from round_numbers(low, high)
            reach /= 10


def label(tick: float) -> str:
    """Format the label of a tick."""
    return f"{tick:g}"


def round_numbers(low: float, high: float) -> list[float]:
    """List multiples of 1, 2 or 5 times a power of ten between two numbers: four to nine."""
    power = 10 ** math.floor(math.log10((high - low) / 4))
    step = max(m * power for m in (1, 2, 5) if m * power <= (high - low) / 4)
    first, last = math.ceil(low / step), math.floor(high / step)
    # Rounded to 12 digits: 3 * 0.1 would print as 0.30000000000000004.
    return [float(f"{k * step:.12g}") for k in range(first, last + 1)]
