"""Both verdicts of every measurement can be had, or the measurement says which cannot.

What a control measured in the reference runs takes the place of the models: numbers that the
claim's own code gave on models or data of the same kind.  They are judged by its bars, beside all
its controls, as if twenty seeds had given them.  The other modules here plant activations and
weights.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest
from claim_runs import CLAIMS, claim_module

from polyrot.stats.estimate import Estimate
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Kind, Measurement, names_of
from polyrot.verdict.judge import Evidence, Part, Verdict, judge, roll_up
from polyrot.verdict.levels import place_parts
from polyrot.verdict.record import Record, read_verdict

REPORTS = Path(__file__).parents[2] / "reports"
SEEDS = 20
KINDS = {Verdict.REPLICATED: Kind.POSITIVE, Verdict.REFUTED: Kind.NEGATIVE}


def measurements() -> Iterator[Measurement]:
    for file in sorted(CLAIMS.glob("*/*_[0-9][0-9]_*.py")):
        module = claim_module("-".join(file.stem.split("_")[:2]).upper())
        for which in ("HARDENED", "PUBLISHED"):
            if found := getattr(module, which, None):
                yield found


MEASUREMENTS = {measurement.id: measurement for measurement in measurements()}


@lru_cache
def records(id: str) -> list[Record]:
    """The reference records of a measurement in which every part has controls."""
    reports = [read_verdict(file) for file in sorted(REPORTS.glob("*/verdict.json"))]
    return [r for report in reports for r in report.records if r.id == id and r.parts]


def of_many_seeds(estimate: Estimate) -> Estimate:
    """The same value and interval, of as many seeds as the last look has."""
    count = estimate.count and round(estimate.count * SEEDS / estimate.n)
    return replace(estimate, n=max(SEEDS, estimate.n), count=count, anchor=None)


def planted(part: Part, bar: Bar, kind: Kind) -> Estimate:
    """The control of a kind that is furthest inside, or outside; else what the models gave."""
    found = [of_many_seeds(c.estimate) for c in part.controls if c.kind is kind]
    p = bar.p_inside if kind is Kind.POSITIVE else bar.p_outside
    return min(found, key=p, default=part.estimate)


def verdict_of(measurement: Measurement, record: Record, kind: Kind) -> Verdict:
    """Judge the record's controls of a kind as if they were the models."""
    bars = {part.name: measurement.bar_of(part.name) for part in record.parts}
    models = {part.name: planted(part, bars[part.name], kind) for part in record.parts}
    placed = place_parts(bars, models)
    parts = [
        judge(
            part.name,
            Evidence(
                bars[part.name],
                models[part.name],
                placed[part.name],
                len(models),
                part.controls,
                characteristic=record.characteristic,
            ),
        )
        for part in record.parts
    ]
    return roll_up(parts)[0]


@pytest.mark.parametrize("verdict", KINDS)
@pytest.mark.parametrize("id", MEASUREMENTS)
def test_a_verdict_can_be_had_or_is_said_to_be_out_of_reach(id: str, verdict: Verdict) -> None:
    measurement = MEASUREMENTS[id]
    had = {r.suite: verdict_of(measurement, r, KINDS[verdict]) for r in records(id)}
    if not had:
        pytest.skip("no reference run measures it")
    assert (verdict in had.values()) != measurement.unreachable.startswith(f"{verdict}:"), had


def test_every_bar_of_a_part_is_of_a_part_that_is_measured() -> None:
    for id, measurement in MEASUREMENTS.items():
        parts = {name for r in records(id) for part in r.parts for name in names_of(part.name)}
        if parts:
            assert set(measurement.part_bars) <= parts, id
