"""The verdict rule, every row of its table, and the bars it rests on."""

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from judged import judged

from polyrot.errors import NotRun
from polyrot.stats.estimate import Estimate, jackknife
from polyrot.verdict.bar import Bar, Placement
from polyrot.verdict.calibration import Cell, Characteristic
from polyrot.verdict.claim import Claim, Control, Kind, Measurement, negative, positive
from polyrot.verdict.judge import Met, Part, Verdict, roll_up, worst_part
from polyrot.verdict.record import Record
from polyrot.verdict.run import run
from polyrot.verdict.undecided import Cause, Help

BAR = Bar.at_least(0.5, "score")


def estimate(low: float, high: float, seeds: int = 20) -> Estimate:
    return Estimate((low + high) / 2, low, high, "seed", seeds, "by hand")


IN, OUT, ACROSS = estimate(0.6, 0.7), estimate(0.1, 0.2), estimate(0.4, 0.6)
KINDS = {"-": Kind.NEGATIVE, "+": Kind.POSITIVE}


def part_of(models: Estimate, *controls: tuple[str, Estimate], **options: Any) -> Part:
    named = [(f"control {i}", KINDS[sign], e) for i, (sign, e) in enumerate(controls)]
    return judged("part", BAR, models, named, **options)


def verdict(models: Estimate, *controls: tuple[str, Estimate], **options: Any) -> Verdict:
    return part_of(models, *controls, **options).verdict


TABLE = [
    (IN, [("-", OUT), ("+", IN)], Verdict.REPLICATED),
    (IN, [("-", OUT)], Verdict.REPLICATED),
    (IN, [], Verdict.INCONCLUSIVE),  # old rule: REPLICATED
    (IN, [("+", IN)], Verdict.INCONCLUSIVE),  # old rule: REPLICATED
    (OUT, [("-", OUT), ("+", IN)], Verdict.REFUTED),
    (OUT, [("-", IN), ("+", IN)], Verdict.REFUTED),
    (OUT, [("+", IN)], Verdict.REFUTED),
    (OUT, [], Verdict.INCONCLUSIVE),  # old rule: REFUTED
    (OUT, [("-", OUT)], Verdict.INCONCLUSIVE),  # old rule: REFUTED
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
    part = part_of(models, *controls)
    assert part.verdict is expected
    assert (part.undecided is not None) == (expected is Verdict.INCONCLUSIVE)


def test_a_proxy_never_decides() -> None:
    for models in (IN, OUT):
        part = part_of(models, ("-", OUT), ("+", IN), proxy="smaller model")
        assert part.verdict is Verdict.INCONCLUSIVE
        assert part.undecided.cause is Cause.PROXY
        assert part.undecided.help is Help.TRAINING


def test_without_its_precondition_a_statement_is_neither_true_nor_false() -> None:
    bar = Bar.above(0.0, "gain")
    for models, found in itertools.product((IN, OUT), (estimate(-0.1, 0.1), estimate(0.1, 0.2))):
        met = Met("a map relates the seeds", "gain > 0", found, bar.place(found))
        part = part_of(models, ("-", OUT), ("+", IN), precondition=met)
        if met.placement is Placement.INSIDE:
            assert part.verdict in (Verdict.REPLICATED, Verdict.REFUTED)
        else:
            assert part.undecided.cause is Cause.PRECONDITION
            assert "a map relates the seeds" in part.reason


def test_low_power_against_any_alternative_never_replicates() -> None:
    def power(*met: int) -> Characteristic:
        """Of alternatives in which the bar is met in so many of 100 draws."""
        true = (Cell("true", 100, 100),)
        return Characteristic(true, tuple(Cell(f"false {m}", m, 100) for m in met))

    controls = ("-", OUT), ("+", IN)
    # The interval of 12 of 100 ends at 0.200, that of 11 at 0.188.
    assert verdict(IN, *controls, characteristic=power(0, 13)) is Verdict.INCONCLUSIVE
    assert verdict(IN, *controls, characteristic=power(0, 11)) is Verdict.REPLICATED
    assert verdict(OUT, *controls, characteristic=power(90)) is Verdict.REFUTED
    part = part_of(IN, *controls, characteristic=power(30, 90, 0))
    assert "90 of 100 draws of the world false 90" in part.reason
    assert part.undecided.cause is Cause.NO_POWER


def test_a_bar_that_was_not_measured_in_the_worlds_of_its_claim_decides_nothing() -> None:
    for models in (IN, OUT):
        part = part_of(models, ("-", OUT), ("+", IN), uncalibrated=True)
        assert part.undecided.cause is Cause.NOT_CALIBRATED
    assert verdict(IN, ("-", IN), uncalibrated=True) is Verdict.VACUOUS


def test_a_bar_that_a_true_world_misses_cannot_refute() -> None:
    def missed(count: int) -> Characteristic:
        return Characteristic((Cell("haar", 20, 20), Cell("noisy", 0, 20, count)), ())

    controls = ("-", OUT), ("+", IN)
    assert verdict(OUT, *controls, characteristic=missed(2)) is Verdict.REFUTED
    part = part_of(OUT, *controls, characteristic=missed(3))  # old rule: REFUTED
    assert part.undecided.cause is Cause.TRUE_WORLD
    assert part.undecided.help is Help.BAR
    assert "noisy (3 of 20 draws)" in part.reason
    assert verdict(IN, *controls, characteristic=missed(20)) is Verdict.REPLICATED


@pytest.mark.parametrize(
    ("values", "anchor", "start"),
    [
        ({(0, 1): 0.9, (1, 0): 0.9}, None, "2 seeds give"),
        ({(0, 1): 0.9}, 0, "1 seed besides seed 0 gives"),
        ({(0, 0): 0.9}, None, "1 seed gives"),
    ],
)
def test_too_few_seeds_decide_nothing_and_the_reason_says_so(values, anchor, start) -> None:
    few = jackknife(values, anchor=anchor)
    part = part_of(few, ("-", few))
    assert part.verdict is Verdict.INCONCLUSIVE
    assert part.reason == f"{start} no interval; give at least three"
    assert part.undecided.cause is Cause.NO_INTERVAL
    many = jackknife({(i, j): 0.9 for i in range(20) for j in range(20) if i != j})
    assert verdict(many, ("-", OUT)) is Verdict.REPLICATED


def test_reasons_name_the_control() -> None:
    part = judged("late", BAR, IN, [("shuffled tokens", Kind.NEGATIVE, IN)])
    assert part.reason == "the bar (>= 0.5) is met where the claim is false: shuffled tokens"
    assert not part.controls[0].behaved
    assert roll_up([part, part])[1].startswith("late: the bar (>= 0.5)")


def test_among_equal_verdicts_the_part_furthest_out_decides() -> None:
    near, far = estimate(0.8, 0.9), estimate(0.6, 0.7)
    missed = [("x", Kind.NEGATIVE, OUT)]
    replicated = [judged("near", BAR, near, missed), judged("far", BAR, far, missed)]
    assert worst_part(replicated).name == "far"
    within = Bar.between(-1, 1, "score")
    seen = [("x", Kind.POSITIVE, estimate(0, 0))]
    refuted = [
        judged("above", within, estimate(3, 3), seen),
        judged("below", within, estimate(-4, -4), seen),
    ]
    assert worst_part(refuted).name == "below"


def test_the_worst_part_decides_in_the_documented_order() -> None:
    parts = {
        Verdict.REPLICATED: judged("a", BAR, IN, [("x", Kind.NEGATIVE, OUT)]),
        Verdict.REFUTED: judged("b", BAR, OUT, [("x", Kind.POSITIVE, IN)]),
        Verdict.VACUOUS: judged("c", BAR, IN, [("x", Kind.NEGATIVE, IN)]),
        Verdict.INCONCLUSIVE: judged("d", BAR, ACROSS),
    }
    assert {kind: part.verdict for kind, part in parts.items()} == {kind: kind for kind in parts}
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
        (Bar("x", 0.0, 1.0, open_low=True), "in (0, 1]", 1.0, 0.0),
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


GONE = "no models of another task"
ABSENT = [
    # Without a control nothing is shown that it would have had to show.
    (IN, [("-", OUT)], ["-"], Verdict.INCONCLUSIVE),
    (IN, [("-", OUT)], ["+"], Verdict.INCONCLUSIVE),
    (IN, [("-", OUT), ("+", IN)], ["-", "+"], Verdict.INCONCLUSIVE),
    # Whether a bar that is missed could be met elsewhere does not matter.
    (OUT, [("+", IN)], ["-"], Verdict.REFUTED),
    (OUT, [("-", IN), ("+", IN)], ["-", "-"], Verdict.REFUTED),
    # Without a positive control the instrument may be blind.
    (OUT, [("-", OUT)], ["+"], Verdict.INCONCLUSIVE),
    (OUT, [("+", IN)], ["-", "+"], Verdict.INCONCLUSIVE),
    # One control that is fooled is enough, whatever others would have done.
    (IN, [("-", IN)], ["-"], Verdict.VACUOUS),
    (IN, [("-", IN)], ["+"], Verdict.VACUOUS),
    (ACROSS, [], ["-", "+"], Verdict.INCONCLUSIVE),
    (OUT, [("+", OUT)], ["-"], Verdict.INCONCLUSIVE),
]


def missing(world: str = "") -> dict[str, Estimate]:
    raise NotRun(GONE)


def toy(*controls: Control) -> Measurement:
    return Measurement(Claim("TOY-01", "The number is large", "a toy"), BAR, controls)


@pytest.mark.parametrize(("models", "controls", "absent", "expected"), ABSENT)
def test_a_control_that_cannot_run_leaves_open_what_it_would_decide(
    models, controls, absent, expected
) -> None:
    make = {"-": negative, "+": positive}
    there = [make[sign](f"control {i}", e) for i, (sign, e) in enumerate(controls)]
    gone = [make[sign](f"absent {i}", None) for i, sign in enumerate(absent)]

    def measure(world: Estimate | None = models) -> dict[str, Estimate]:
        return missing() if world is None else {"part": world}

    # Whichever runs first.
    for order in (there + gone, gone + there):
        record = run(toy(*order), measure, suite="toy")
        assert record.verdict is expected
        assert len(record.parts[0].controls) == len(there)


def test_the_reason_names_the_control_that_is_missing_and_why() -> None:
    controls = (negative("other task", missing), positive("seen", lambda: {"part": IN}))
    record = run(toy(*controls), lambda world=lambda: {"part": IN}: world(), suite="toy")
    expected = f"inside the bar (>= 0.5), but a control could not run: other task: {GONE}"
    assert record.reason == expected
    assert Record.from_json(record.to_json()).reason == expected
    controls = (negative("other task", missing), positive("unseen", missing))
    record = run(toy(*controls), lambda world=lambda: {"part": OUT}: world(), suite="toy")
    expected = (
        f"outside the bar (>= 0.5), but a control could not run: other task: {GONE}; unseen: {GONE}"
    )
    assert record.reason == expected


@pytest.mark.parametrize(
    ("models", "there", "decided"),
    [
        (IN, negative("fooled", IN), "VACUOUS"),
        (OUT, positive("seen", IN), "REFUTED"),
        (ACROSS, positive("seen", IN), "INCONCLUSIVE"),
    ],
)
def test_a_missing_control_that_decides_nothing_is_named_too(models, there, decided) -> None:
    record = run(
        toy(there, negative("other task", None)),
        lambda world=models: missing() if world is None else {"part": world},
        suite="toy",
    )
    assert record.verdict == decided
    assert record.reason.endswith(f"; a control could not run: other task: {GONE}")


def test_a_missing_control_concerns_its_own_parts_alone() -> None:
    measurement = toy(
        negative("other task", missing, "late"),
        negative("shuffled", lambda: both(OUT)),
        positive("seen", lambda: both(IN)),
    )
    record = run(measurement, lambda world=lambda: both(IN): world(), suite="toy")
    verdicts = {part.name: part.verdict for part in record.parts}
    assert verdicts == {"late": Verdict.INCONCLUSIVE, "early": Verdict.REPLICATED}
    assert record.verdict is Verdict.INCONCLUSIVE


def test_controls_of_one_name_do_not_take_each_others_place() -> None:
    # Before: the one that was measured last counted for both.
    for control in (negative("noise", OUT), negative("models", OUT)):
        with pytest.raises(ValueError, match="name"):
            toy(negative("noise", IN), control)


def test_a_part_that_only_a_control_has_is_an_error() -> None:
    with pytest.raises(ValueError, match="in the models too but they lack early"):
        run(toy(negative("more", both(OUT))), lambda world=None: world or {"late": IN}, suite="toy")


def test_a_part_may_have_a_bar_and_controls_of_its_own() -> None:
    size = Bar.at_most(0.5, "size")
    measurement = replace(
        toy(negative("false", both(OUT)), negative("large", both(IN), "size")),
        part_bars={"size": size},
    )
    assert measurement.bar_of("late, size") is measurement.bar_of("size") is size
    assert measurement.bar_of("size, late") is BAR
    parts = {"late, score": IN, "late, size": OUT}
    worlds = {"late, score": OUT, "late, size": IN}
    measurement = replace(
        measurement, controls=(negative("false", worlds), negative("large", worlds, "size"))
    )
    record = run(measurement, lambda world=parts: world, suite="toy")
    score, of_size = record.parts
    assert [part.verdict for part in record.parts] == [Verdict.REPLICATED] * 2
    assert [len(part.controls) for part in record.parts] == [1, 2]
    assert (score.bar, of_size.bar, of_size.region) == ("", "<= 0.5", (-math.inf, 0.5))
    assert record.bar == ">= 0.5; <= 0.5"
    read = Record.from_json(record.to_json()).parts[1]
    assert (read.bar, read.quantity, read.region) == ("<= 0.5", "size", (-math.inf, 0.5))


def both(estimate: Estimate) -> dict[str, Estimate]:
    return {"late": estimate, "early": estimate}


def test_models_that_are_missing_are_no_matter_of_controls() -> None:
    with pytest.raises(NotRun, match=GONE):
        run(toy(), missing, suite="toy")


def test_a_control_that_fails_is_an_error_and_no_absence() -> None:
    def measure(world: Estimate | None = IN) -> dict[str, Estimate]:
        if world is None:
            raise ZeroDivisionError
        return {"part": world}

    with pytest.raises(ZeroDivisionError):
        run(toy(negative("broken", None)), measure, suite="toy")
    with pytest.raises(ValueError, match="in the control 'of other parts' but it lacks late"):
        run(toy(negative("of other parts", {})), lambda world=both(IN): world, suite="toy")


def test_a_control_of_a_part_that_is_not_there_is_an_error() -> None:
    # Old rule: it was ignored, and what it should have controlled was not.
    control = negative("misnamed", both(OUT), "latest")
    with pytest.raises(ValueError, match="parts among late, early but it names latest"):
        run(toy(control), lambda world=both(IN): world, suite="toy")
    with pytest.raises(ValueError, match="at least one part of TOY-01 but got none"):
        run(toy(), dict, suite="toy")
