"""The verdict rule, every row of its table, and the bars it rests on."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyrot.stats.estimate import Estimate
from polyrot.verdict.bar import Bar, Placement
from polyrot.verdict.calibration import Cell, Characteristic
from polyrot.verdict.claim import Kind
from polyrot.verdict.judge import Verdict, judge, roll_up, worst_part

BAR = Bar.at_least(0.5, "score")


def estimate(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, low, high, "seed", 5, "by hand")


IN, OUT, ACROSS = estimate(0.6, 0.7), estimate(0.1, 0.2), estimate(0.4, 0.6)


def verdict(models: Estimate, *controls: tuple[str, Estimate], **options) -> Verdict:
    kinds = {"-": Kind.NEGATIVE, "+": Kind.POSITIVE}
    named = [(f"control {i}", kinds[sign], e) for i, (sign, e) in enumerate(controls)]
    return judge("part", BAR, models, named, **options).verdict


TABLE = [
    (IN, [("-", OUT), ("+", IN)], Verdict.REPLICATED),
    (IN, [], Verdict.REPLICATED),
    (OUT, [("-", OUT), ("+", IN)], Verdict.REFUTED),
    (OUT, [("-", IN), ("+", IN)], Verdict.REFUTED),
    (OUT, [("-", OUT)], Verdict.REFUTED),
    (OUT, [("+", OUT)], Verdict.INCONCLUSIVE),
    (OUT, [("+", ACROSS)], Verdict.INCONCLUSIVE),
    (IN, [("-", IN), ("+", IN)], Verdict.VACUOUS),
    (IN, [("-", OUT), ("-", IN), ("+", IN)], Verdict.VACUOUS),
    (IN, [("-", ACROSS), ("+", IN)], Verdict.INCONCLUSIVE),
    (IN, [("-", OUT), ("+", OUT)], Verdict.INCONCLUSIVE),
    (IN, [("-", OUT), ("+", ACROSS)], Verdict.INCONCLUSIVE),
    (ACROSS, [("-", OUT), ("+", IN)], Verdict.INCONCLUSIVE),
    (ACROSS, [("-", IN), ("+", OUT)], Verdict.INCONCLUSIVE),
]


@pytest.mark.parametrize(("models", "controls", "expected"), TABLE)
def test_every_row_of_the_table(models, controls, expected) -> None:
    assert verdict(models, *controls) is expected


def test_a_proxy_never_decides() -> None:
    for models in (IN, OUT):
        assert verdict(models, ("-", OUT), proxy="smaller model") is Verdict.INCONCLUSIVE


def test_low_power_against_any_alternative_never_replicates() -> None:
    def power(*met: int) -> Characteristic:
        """Of alternatives in which the bar is met in so many of 100 draws."""
        true = (Cell("true", 100, 100),)
        return Characteristic(true, tuple(Cell(f"false {m}", m, 100) for m in met))

    # The interval of 12 of 100 ends at 0.200, that of 11 at 0.188.
    assert verdict(IN, ("-", OUT), characteristic=power(0, 13)) is Verdict.INCONCLUSIVE
    assert verdict(IN, ("-", OUT), characteristic=power(0, 11)) is Verdict.REPLICATED
    assert verdict(OUT, ("-", OUT), characteristic=power(90)) is Verdict.REFUTED
    part = judge("part", BAR, IN, [], characteristic=power(30, 90, 0))
    assert "90 of 100 draws of the world false 90" in part.reason


def test_an_undefined_estimate_is_an_error_and_never_evidence() -> None:
    for broken in (estimate(math.nan, 0.7), estimate(0.6, math.nan)):
        with pytest.raises(ValueError, match="to be a number"):
            verdict(broken)
        with pytest.raises(ValueError, match="to be a number"):
            verdict(IN, ("-", broken))


def test_a_single_seed_decides_nothing() -> None:
    unknown = Estimate(0.9, -math.inf, math.inf, "seed", 1, "a single seed")
    assert verdict(unknown) is Verdict.INCONCLUSIVE


def test_reasons_name_the_control() -> None:
    part = judge("late", BAR, IN, [("shuffled tokens", Kind.NEGATIVE, IN)])
    assert part.reason == "the bar (>= 0.5) is met where the claim is false: shuffled tokens"
    assert not part.controls[0].behaved
    assert roll_up([part, part])[1].startswith("late: the bar (>= 0.5)")


def test_among_equal_verdicts_the_part_furthest_out_decides() -> None:
    near, far = estimate(0.8, 0.9), estimate(0.6, 0.7)
    replicated = [judge("near", BAR, near, []), judge("far", BAR, far, [])]
    assert worst_part(replicated).name == "far"
    within = Bar.between(-1, 1, "score")
    refuted = [
        judge("above", within, estimate(3, 3), []),
        judge("below", within, estimate(-4, -4), []),
    ]
    assert worst_part(refuted).name == "below"


def test_the_worst_part_decides_in_the_documented_order() -> None:
    parts = {
        Verdict.REPLICATED: judge("a", BAR, IN, []),
        Verdict.REFUTED: judge("b", BAR, OUT, []),
        Verdict.VACUOUS: judge("c", BAR, IN, [("x", Kind.NEGATIVE, IN)]),
        Verdict.INCONCLUSIVE: judge("d", BAR, ACROSS, []),
    }
    order = [Verdict.REFUTED, Verdict.VACUOUS, Verdict.INCONCLUSIVE, Verdict.REPLICATED]
    for first, second in itertools.combinations(order, 2):
        assert roll_up([parts[second], parts[first]])[0] is first
    names = [v.value for v in Verdict]
    assert names == ["ERROR", "REFUTED", "VACUOUS", "INCONCLUSIVE", "NOT RUN", "REPLICATED"]
    with pytest.raises(ValueError, match="at least one part"):
        roll_up([])


@pytest.mark.parametrize(
    ("bar", "text", "inside", "outside"),
    [
        (Bar.at_least(0.98, "x"), ">= 0.98", 0.98, 0.9799),
        (Bar.at_most(0.025, "x"), "<= 0.025", 0.025, 0.0251),
        (Bar.above(0.5, "x"), "> 0.5", 0.5001, 0.5),
        (Bar.below(1e-4, "x"), "< 0.0001", 0.99e-4, 1e-4),
        (Bar.between(0.95, 1.05, "x"), "in [0.95, 1.05]", 1.05, 1.051),
    ],
)
def test_bars(bar: Bar, text: str, inside: float, outside: float) -> None:
    assert str(bar) == text
    assert bar.holds(inside)
    assert not bar.holds(outside)
    assert bar.place(estimate(inside, inside)) is Placement.INSIDE
    assert bar.place(estimate(outside, outside)) is Placement.OUTSIDE


numbers = st.floats(-10, 10)


@given(numbers, numbers, numbers, numbers)
def test_placement_agrees_with_every_point_of_the_interval(a, b, c, d) -> None:
    low, high = sorted((a, b))
    bar = Bar.between(*sorted((c, d)), "x")
    points = [low, high, *(low + (high - low) * i / 50 for i in range(51))]
    points += [p for p in (bar.low, bar.high) if low <= p <= high]
    held = {bar.holds(p) for p in points}
    expected = {
        (True,): Placement.INSIDE,
        (False,): Placement.OUTSIDE,
        (False, True): Placement.STRADDLES,
    }[tuple(sorted(held))]
    assert bar.place(Estimate(low, low, high, "seed", 2, "")) is expected


def test_an_interval_that_covers_the_whole_region_straddles() -> None:
    assert Bar.between(0.4, 0.6, "x").place(estimate(0, 1)) is Placement.STRADDLES
