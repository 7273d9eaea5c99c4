"""Averages over units: what is left out, and what that costs."""

import math

import pytest

from polyrot.stats.average import Measured, Unmeasured, average, average_by_part

PAIRS = [(a, b) for a in range(4) for b in range(4) if a != b]


def value(pair: tuple[int, int]) -> Measured:
    return Measured(float(pair[0] + pair[1]), lowest={"lowest pair": float(pair[0] + pair[1])})


def test_where_all_is_measured_there_is_an_interval() -> None:
    estimate = average(PAIRS, value)
    assert estimate.low < estimate.value < estimate.high
    assert estimate.details == {"lowest pair": 1.0}


def test_pairs_without_a_measurement_take_the_interval_and_leave_the_others() -> None:
    def but_to_3(pair: tuple[int, int]) -> Measured | Unmeasured:
        return Unmeasured("the target does not answer") if pair[1] == 3 else value(pair)

    estimate = average(PAIRS, but_to_3)
    assert estimate.method == (
        "no interval: in 3 of 12 pairs the target does not answer; the value is of the others"
    )
    assert (estimate.low, estimate.high, estimate.n) == (-math.inf, math.inf, 4)
    assert estimate.value == pytest.approx(sum(estimate.pairs.values()) / 9)
    assert estimate.pairs.keys() == {f"{a} to {b}" for a, b in PAIRS if b != 3}
    assert estimate.details == {"lowest pair": 1.0}


def test_a_part_that_no_unit_has_says_why_and_has_no_value() -> None:
    parts = average_by_part(
        [0, 1, 2], lambda seed: {"here": float(seed), "nowhere": Unmeasured("nothing is there")}
    )
    assert math.isfinite(parts["here"].low)
    nowhere = parts["nowhere"]
    assert nowhere.method == "no interval: in 3 of 3 seeds nothing is there"
    assert (nowhere.value, nowhere.low, nowhere.high) == (-math.inf, -math.inf, math.inf)
    assert nowhere.n == 3
    assert not nowhere.pairs
