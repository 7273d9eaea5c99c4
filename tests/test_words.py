"""Numbers as a reader sees them."""

import math

import pytest

from polyrot.report.words import controls_sentence, number
from polyrot.stats.estimate import exact
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Kind, Measurement
from polyrot.verdict.judge import judge
from polyrot.verdict.record import Record


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.123456, "0.123"),
        (1.241, "1.24"),
        (2.45e-6, "2.45e-06"),
        (0.99951, "0.99951"),  # an agreement just above a bar of 0.999 must not read 1
        (1.0003, "1.00030"),
        (0.995, "0.9950"),
        (1 - 1e-12, "1"),
        (1.0, "1"),
        (-math.inf, "-inf"),
    ],
)
def test_a_number_keeps_the_digits_that_decide(value: float, shown: str) -> None:
    assert number(value) == shown


def test_the_controls_that_misbehaved_at_any_part_are_named() -> None:
    bar = Bar.at_least(0.5, "score")

    def part(name: str, **controls: float):
        kinds = {"noise": Kind.NEGATIVE, "shuffled": Kind.NEGATIVE, "rotated": Kind.POSITIVE}
        known = {key: exact(v, unit="seed", n=5, method="by hand") for key, v in controls.items()}
        return judge(
            name, bar, next(iter(known.values())), [(k, kinds[k], known[k]) for k in known]
        )

    def said(*parts) -> str:
        return controls_sentence(
            Record.of(Measurement(Claim("X", "", ""), bar, ()), "toy", parts=parts)
        )

    good = part("early", noise=0.0, shuffled=0.1, rotated=1.0)
    assert said(good) == (
        "Controls: the bar was missed where the claim is false (noise, shuffled) "
        "and was met where the claim is true (rotated)."
    )
    assert said(good, part("late", noise=0.9, shuffled=0.1, rotated=0.2)) == (
        "Controls: the bar was missed where the claim is false (shuffled), "
        "but was not missed where the claim is false (noise) "
        "and was not met where the claim is true (rotated)."
    )
    assert said(part("late", rotated=1.0)) == (
        "Controls: the bar was met where the claim is true (rotated)."
    )
