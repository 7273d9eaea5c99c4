"""Numbers as a reader sees them."""

import math

import pytest
from judged import judged

from polyrot.report.markdown import markdown
from polyrot.report.words import controls_sentence, interval, number, prediction
from polyrot.stats.estimate import Estimate, exact, jackknife
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Kind, Measurement, negative, positive
from polyrot.verdict.judge import Verdict
from polyrot.verdict.record import Record, Report
from polyrot.verdict.run import run


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


def whole_line(value: float, method: str) -> Estimate:
    return Estimate(value, -math.inf, math.inf, "seed", 5, method)


def test_what_has_no_interval_or_no_value_shows_neither() -> None:
    assert interval(whole_line(0.5, "why")) == "0.5, no interval"
    assert interval(whole_line(-math.inf, "why")) == "no value"
    assert prediction(whole_line(0.5, "why")) == ""


def test_the_method_that_is_named_is_one_that_gave_an_interval() -> None:
    values = {(i, j): 0.9 + 0.01 * i for i in range(3) for j in range(3) if i != j}
    measurement = Measurement(Claim("TOY-01", "", ""), Bar.at_least(0.5, "score"), ())
    parts = {"open": whole_line(0.5, "no interval: for a reason"), "closed": jackknife(values)}
    record = run(measurement, lambda: parts, suite="toy")
    text = markdown(Report("toy", (record,)))
    assert "Unit of replication: seed, n = 3; delete-one-seed jackknife, t." in text
    assert "open: no interval: for a reason" in text


def test_the_controls_that_misbehaved_at_any_part_are_named() -> None:
    bar = Bar.at_least(0.5, "score")

    def part(name: str, **controls: float):
        kinds = {"noise": Kind.NEGATIVE, "shuffled": Kind.NEGATIVE, "rotated": Kind.POSITIVE}
        known = {key: exact(v, unit="seed", n=5, method="by hand") for key, v in controls.items()}
        return judged(
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
        "Controls, over all parts: the bar was missed where the claim is false (shuffled), "
        "but was not missed where the claim is false (noise) "
        "and was not met where the claim is true (rotated)."
    )
    assert said(part("late", rotated=1.0)) == (
        "Controls: the bar was met where the claim is true (rotated)."
    )


def test_a_control_of_one_part_leaves_the_others_cells_empty() -> None:
    bar = Bar.at_least(0.5, "score")
    score = {
        name: exact(v, unit="seed", n=5, method="by hand")
        for name, v in (("models", 0.7), ("zero", 0.0))
    }
    measurement = Measurement(
        Claim("X", "", ""),
        bar,
        (negative("linear", "linear", "second"), positive("linear", "linear", "first")),
    )

    def measure(world: str = "models"):
        second = "zero" if world == "linear" else "models"
        return {"first": score["models"], "second": score[second]}

    record = run(measurement, measure, suite="toy")
    assert [[c.name for c in part.controls] for part in record.parts] == [["linear"], ["linear"]]
    assert [part.controls[0].kind for part in record.parts] == [Kind.POSITIVE, Kind.NEGATIVE]
    verdicts = [part.verdict for part in record.parts]
    assert verdicts == [Verdict.INCONCLUSIVE, Verdict.REPLICATED]
    text = markdown(Report("toy", (record,), {}, {}))
    assert "| part | verdict | models | + linear | - linear |" in text
    assert "| first | INCONCLUSIVE | 0.7 | 0.7 |  |" in text
    assert "| second | REPLICATED | 0.7 |  | 0 |" in text
    assert controls_sentence(record) == (
        "Controls, over all parts: the bar was missed where the claim is false (linear) "
        "and was met where the claim is true (linear)."
    )
