"""Every measurement can give both verdicts, or says which it cannot give.

The modules beside this one plant activations and models.  For measurements that they leave out,
estimates are planted here: values that controls of the part had in a reference run, inside the bar
or outside, in twenty seeds that differ little.  They are judged by the claim's own bars, controls
and precondition.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from runpy import run_path
from typing import Any

import pytest
from claim_runs import CLAIMS, claim_module

from polyrot.stats.estimate import Estimate, over_seeds
from polyrot.verdict.bar import Bar, Placement
from polyrot.verdict.claim import Control, Kind, Measurement, names_of
from polyrot.verdict.judge import Verdict
from polyrot.verdict.record import Record, read_verdict
from polyrot.verdict.run import run

REPORTS = Path(__file__).parents[2] / "reports"
SEEDS = 20
REPLICATED, REFUTED = Verdict.REPLICATED, Verdict.REFUTED
WHERE = {Kind.POSITIVE: Placement.INSIDE, Kind.NEGATIVE: Placement.OUTSIDE}
FOOLED = {
    "PIR-11/published": "a drop in accuracy has no sign: random directions cause as large ones",
    "PIR-17/published": "the joint loss as released does not align a model's own image either",
}
"""Measurements with a part whose negative control met the bar in every reference run, and why.
Where models meet it, they are VACUOUS; in other models the control may miss it."""
ELSEWHERE = {"d = 512"}
"""Parts of suites that have no reference run."""


def measurements() -> Iterator[Measurement]:
    for file in sorted(CLAIMS.glob("*/*_[0-9][0-9]_*.py")):
        module = claim_module("-".join(file.stem.split("_")[:2]).upper())
        for which in ("HARDENED", "PUBLISHED"):
            if found := getattr(module, which, None):
                yield found


MEASUREMENTS = {measurement.id: measurement for measurement in measurements()}


def reached_in(module: str) -> Any:
    """Return what a module beside this one reaches, by planted worlds."""
    return run_path(str(Path(__file__).with_name(f"{module}.py")))["REACHED"]


def named(id: str, which: str) -> str:
    return f"{id}/published" if which == "published" else id


IN_WORLDS = {
    (named(id, which), verdict)
    for module in ("test_pair_verdicts", "test_sasa_reachable")
    for (id, which), worlds in reached_in(module).items()
    for verdict, world in zip((REPLICATED, REFUTED), worlds, strict=True)
    if world
} | {(named(id, which), verdict) for id, which, verdict, _ in reached_in("test_core_verdicts")}
"""Verdicts that a planted world has."""
OUT_OF_REACH = {
    (id, verdict)
    for id, measurement in MEASUREMENTS.items()
    for verdict in (REPLICATED, REFUTED)
    if f"{verdict}:" in measurement.unreachable
}
ALL = {(id, verdict) for id in MEASUREMENTS for verdict in (REPLICATED, REFUTED)}
OTHERS = sorted(ALL - IN_WORLDS - OUT_OF_REACH)


@lru_cache
def records(id: str) -> list[Record]:
    """The reference records of a measurement."""
    reports = [read_verdict(file) for file in sorted(REPORTS.glob("*/verdict.json"))]
    return [r for report in reports for r in report.records if r.id == id and r.parts]


def seen(id: str, name: str, bar: Bar, kind: Kind) -> float | None:
    """The value of a control of this kind that behaved, at this part or one of the same name."""
    for names in (lambda part: {part}, lambda part: set(names_of(part))):
        for record in records(id):
            for part in record.parts:
                for control in part.controls:
                    value = control.estimate.value
                    same = names(part.name) & names(name)
                    inside = bar.holds(value) == (WHERE[kind] is Placement.INSIDE)
                    if same and control.kind is kind and inside:
                        return value
    return None


def beyond(value: float, bar: Bar) -> float:
    """A value as far outside the nearest edge as this one is inside."""
    edge = min(bar.region, key=lambda end: abs(end - value))
    return 2 * edge - value


def planted(value: float, bar: Bar) -> Estimate:
    """Twenty seeds whose values lie close together, on the side of the edge that this one is on."""
    distance = min(abs(value - edge) for edge in bar.region)
    spread = 0.01 * min(distance, 1.0)
    return over_seeds({seed: value + spread * (-1) ** seed for seed in range(SEEDS)})


def judged(measurement: Measurement, kind: Kind) -> Record:
    """Judge models that have the values of controls of a kind, beside all controls."""
    largest = max(records(measurement.id), key=lambda record: len(record.parts))

    def value(name: str, world: object) -> float:
        bar = measurement.bar_of(name)
        inside = seen(measurement.id, name, bar, Kind.POSITIVE)
        assert inside is not None, f"no positive control of {name} was ever inside"
        outside = seen(measurement.id, name, bar, Kind.NEGATIVE)
        if isinstance(world, Control):
            # A negative control that never behaved is left where it was.
            return inside if world.kind is Kind.POSITIVE or outside is None else outside
        if kind is Kind.POSITIVE:
            return inside
        return outside if outside is not None else beyond(inside, bar)

    def measure(world: object = None) -> dict[str, Estimate]:
        return {
            part.name: planted(value(part.name, world), measurement.bar_of(part.name))
            for part in largest.parts
        }

    def precondition() -> dict[str, Estimate]:
        assert measurement.precondition
        return {"": planted(1.0, measurement.precondition.bar)}

    controls = tuple(
        replace(control, world=control, name=f"{control.name} {i}")
        for i, control in enumerate(measurement.controls)
    )
    return run(
        replace(measurement, figures=(), controls=controls),
        measure,
        suite="planted",
        precondition=precondition if measurement.precondition else None,
    )


@pytest.mark.parametrize(("id", "verdict"), OTHERS)
def test_a_verdict_is_had_by_what_controls_measured(id: str, verdict: Verdict) -> None:
    if not records(id):
        pytest.skip("no reference run measures it")
    kind = Kind.POSITIVE if verdict is REPLICATED else Kind.NEGATIVE
    found = judged(MEASUREMENTS[id], kind)
    fooled = id in FOOLED and verdict is REPLICATED
    assert found.verdict is (Verdict.VACUOUS if fooled else verdict), found.reason


def test_what_is_out_of_reach_is_not_reached() -> None:
    assert OUT_OF_REACH
    assert not OUT_OF_REACH & IN_WORLDS


def test_every_bar_of_a_part_is_of_a_part_that_is_measured() -> None:
    for id, measurement in MEASUREMENTS.items():
        parts = {name for r in records(id) for part in r.parts for name in names_of(part.name)}
        if parts:
            assert set(measurement.part_bars) <= parts | ELSEWHERE, id
