"""Scales on which intervals are made, and what they keep inside the quantity's range."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyrot.stats.estimate import Estimate, difference, over_seeds, share_of_seeds
from polyrot.stats.scale import Scale

RANGES = {
    Scale.LINEAR: (-100.0, 100.0),
    Scale.LOG: (1e-6, 1e6),
    Scale.LOG_LOST: (-100.0, 0.999999),
    Scale.LOGIT: (1e-6, 1 - 1e-6),
    Scale.FISHER: (-0.999999, 0.999999),
}


@pytest.mark.parametrize("scale", Scale)
@given(data=st.data())
def test_a_scale_increases_and_maps_back(scale: Scale, data: st.DataObject) -> None:
    values = data.draw(st.tuples(*[st.floats(*RANGES[scale])] * 2))
    low, high = sorted(values)
    assert scale.of(low) <= scale.of(high)
    assert scale.back(scale.of(low)) == pytest.approx(low, rel=1e-6, abs=1e-6)


def test_beyond_the_range_of_a_quantity_a_scale_is_infinite() -> None:
    assert Scale.LOG.of(0.0) == Scale.LOG.of(-1.0) == -math.inf
    assert Scale.LOG_LOST.of(1.0) == math.inf
    assert (Scale.LOGIT.of(0.0), Scale.LOGIT.of(1.0)) == (-math.inf, math.inf)
    for scale, (low, high) in {Scale.LOG: (0, math.inf), Scale.FISHER: (-1, 1)}.items():
        assert (scale.back(-math.inf), scale.back(math.inf)) == (low, high)


@pytest.mark.parametrize("scale", [Scale.LOG, Scale.LOG_LOST, Scale.LOGIT, Scale.FISHER])
def test_an_interval_on_a_scale_stays_in_range_and_its_value_stays_the_average(
    scale: Scale,
) -> None:
    values = {0: 0.001, 1: 0.02, 2: 0.3, 3: 0.999}
    linear = over_seeds(values)
    found = linear.on(scale)
    low, high = RANGES[scale]
    assert linear.low < 0 or linear.high > 1  # so it leaves the range without a scale
    assert low < found.low < found.value < found.high < high
    assert found.value == linear.value
    assert found.method.endswith(f"on the scale {scale}")
    assert found.on(scale) is found


def test_on_the_log_scale_the_interval_is_that_of_the_logarithm_of_the_mean() -> None:
    values = {0: 1.0, 1: 2.0, 2: 4.0}
    means = [3.0, 2.5, 1.5]  # without one
    error = (2 / 3 * np.sum((np.log(means) - np.mean(np.log(means))) ** 2)) ** 0.5
    found = over_seeds(values).on(Scale.LOG)
    t = 4.302652729911275  # of two degrees of freedom
    assert found.low == pytest.approx(7 / 3 * np.exp(-t * error))
    assert found.high == pytest.approx(7 / 3 * np.exp(t * error))
    assert found.prediction[1] == pytest.approx(7 / 3 * np.exp(t * 2**0.5 * error))


def test_a_value_that_a_scale_cannot_show_leaves_the_interval_linear_and_says_so() -> None:
    linear = over_seeds({0: -1.0, 1: 0.1, 2: 0.2})
    found = linear.on(Scale.LOG)
    assert (found.low, found.high, found.scale) == (linear.low, linear.high, Scale.LINEAR)
    assert "not on the scale log" in found.method


def test_a_share_has_clopper_and_pearsons_interval_on_any_scale() -> None:
    share = share_of_seeds({0: True, 1: True, 2: True})
    assert (share.value, share.high) == (1.0, 1.0)
    assert share.low == pytest.approx(0.025 ** (1 / 3))
    assert share.on(Scale.LOGIT) is share
    assert share.p_at_most(0.5) == pytest.approx(0.5**3)
    assert share_of_seeds({0: True, 1: False}).p_at_least(1.0) == 0.0
    assert not share_of_seeds({0: True}).has_interval


@pytest.mark.parametrize(
    ("numbers", "n", "message"),
    [
        ((math.nan, 0.0, 1.0), 5, "to be a number"),
        ((0.5, math.nan, 1.0), 5, "to be a number"),
        ((2.0, 0.0, 1.0), 5, "inside its interval"),
        ((0.5, 0.9, 0.1), 5, "inside its interval"),
        ((0.9, 0.6, math.inf), 5, "two finite ends"),
        ((0.5, 0.5, 0.5), 1, "at least 2 units"),
    ],
)
def test_what_is_no_measurement_is_refused_where_it_is_made(numbers, n, message) -> None:
    # Old rule: each of these decided a verdict.
    with pytest.raises(ValueError, match=message):
        Estimate(*numbers, "seed", n, "by hand")


def test_one_number_of_all_there_is_is_a_measurement() -> None:
    assert Estimate(0.5, 0.5, 0.5, "model", 1, "by hand", exhaustive=True).value == 0.5


def test_paired_differences_leave_out_what_both_have_in_common() -> None:
    rng = np.random.default_rng(0)
    common = rng.standard_normal(6)
    of, less = (
        over_seeds(dict(enumerate(map(float, common + 0.01 * rng.random(6) + shift))))
        for shift in (0.5, 0.0)
    )
    found = difference(of, less)
    assert found.value == pytest.approx(of.value - less.value)
    assert found.high - found.low < 0.05 * (of.high - of.low)
    assert difference(of, over_seeds({0: 1.0, 1: 2.0})) is None
    assert difference(of, share_of_seeds({0: True, 1: True})) is None


def test_an_average_without_spread_keeps_none_on_a_scale() -> None:
    # Old rule: the logarithm and back made 52 [51.99999999999999, 52], which is not known exactly.
    found = over_seeds(dict.fromkeys(range(5), 52.0)).on(Scale.LOG)
    assert found.low == found.value == found.high == 52
    assert found.scale is Scale.LOG
