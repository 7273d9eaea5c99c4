"""Intervals: the jackknife against theory and simulation, p-values against their null."""

import math

import numpy as np
import pytest
from scipy import stats

from polyrot.stats.estimate import benjamini_hochberg, jackknife, monte_carlo_p


def pairs(values: np.ndarray) -> dict[tuple[int, int], float]:
    n = len(values)
    return {(i, j): (values[i] + values[j]) / 2 for i in range(n) for j in range(n) if i != j}


def test_pairs_that_are_means_of_seeds_give_the_t_interval_of_the_seeds() -> None:
    # Then leaving a seed out must cost what it costs in a sample of seeds.
    seeds = np.random.default_rng(0).normal(size=7)
    estimate = jackknife(pairs(seeds))
    expected = stats.t.interval(0.95, 6, seeds.mean(), stats.sem(seeds))
    assert estimate.value == pytest.approx(seeds.mean())
    assert (estimate.low, estimate.high) == pytest.approx(expected)
    assert (estimate.unit, estimate.n) == ("seed", 7)


def test_coverage_over_seeds_is_near_nominal_where_counting_pairs_is_not() -> None:
    rng = np.random.default_rng(0)
    covered = naive = 0
    for _ in range(400):
        values = pairs(rng.normal(size=5))
        estimate = jackknife(values)
        covered += estimate.low <= 0 <= estimate.high
        half = 1.96 * np.std(list(values.values()), ddof=1) / len(values) ** 0.5
        naive += abs(estimate.value) <= half
    assert 0.92 <= covered / 400 <= 0.98
    assert naive / 400 < 0.7


def test_anchored_pairs_have_the_other_seeds_as_units() -> None:
    values = {(0, i): float(x) for i, x in enumerate([3.0, 5.0, 4.0], start=1)}
    estimate = jackknife(values, anchor=0)
    expected = stats.t.interval(0.95, 2, 4.0, stats.sem([3, 5, 4]))
    assert (estimate.low, estimate.high) == pytest.approx(expected)
    assert estimate.n == 3


def test_too_few_seeds_give_no_interval() -> None:
    for values, anchor in (({(0, 1): 1.0, (1, 0): 2.0}, None), ({(0, 1): 1.0}, 0)):
        estimate = jackknife(values, anchor=anchor)
        assert estimate.low == -math.inf
        assert estimate.high == math.inf
    with pytest.raises(ValueError, match="at least one pair"):
        jackknife({})


def test_monte_carlo_p() -> None:
    estimate = monte_carlo_p(0, 1999)
    assert estimate.value == 1 / 2000
    assert estimate.low == 0
    assert 1 / 2000 < estimate.high < 0.003
    assert monte_carlo_p(1999, 1999).value == 1


def test_benjamini_hochberg_by_hand() -> None:
    assert benjamini_hochberg([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.04, 0.04])


def test_pairs_that_all_hold_one_seed_give_no_interval_and_the_reason() -> None:
    estimate = jackknife({(0, 1): 0.9, (2, 1): 0.8})
    assert estimate.value == pytest.approx(0.85)
    assert (estimate.low, estimate.high) == (-math.inf, math.inf)
    assert estimate.method == "no interval: every pair holds the same seed"
