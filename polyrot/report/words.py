"""Words and numbers that every rendering shares."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from polyrot.stats.estimate import Estimate, ends_of
from polyrot.verdict.bar import Placement
from polyrot.verdict.calibration import Cell
from polyrot.verdict.claim import Kind
from polyrot.verdict.judge import ControlResult, Verdict
from polyrot.verdict.record import Record

COLORS = {
    Verdict.REPLICATED: "green",
    Verdict.REFUTED: "red",
    Verdict.VACUOUS: "red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.NOT_RUN: "yellow",
    Verdict.ERROR: "red",
}
MEANINGS = {
    Verdict.REPLICATED: "inside the bar, and every control behaved",
    Verdict.REFUTED: "outside the bar, and the instrument could have seen it",
    Verdict.VACUOUS: "inside the bar, but so is a world in which the claim is false",
    Verdict.INCONCLUSIVE: "the interval straddles the bar, or a control or too little power leaves "
    "it open",
    Verdict.NOT_RUN: "something is missing; the reason says what and how to get it",
    Verdict.ERROR: "an exception: never evidence",
}
WHERE = {
    Placement.INSIDE: "inside the bar",
    Placement.OUTSIDE: "outside the bar",
    Placement.STRADDLES: "across the edge of the bar",
}
DOES = {
    Placement.INSIDE: "meets",
    Placement.OUTSIDE: "misses",
    Placement.STRADDLES: "straddles",
}


def number(value: float) -> str:
    """Three significant digits; close to 1, two of the distance from 1."""
    if math.isinf(value):
        return "-inf" if value < 0 else "inf"
    distance = abs(1 - value)
    if 1e-6 < distance < 0.01:
        return f"{value:.{1 - math.floor(math.log10(distance))}f}"
    return f"{value:.3g}"


def interval(estimate: Estimate) -> str:
    """A value with its interval; the value alone where it has no error of its own."""
    if estimate.low == estimate.high:
        return number(estimate.value)
    if math.isinf(estimate.value):
        return "no value"
    if math.isinf(estimate.low) and math.isinf(estimate.high):
        return f"{number(estimate.value)}, no interval"
    return f"{number(estimate.value)} [{number(estimate.low)}, {number(estimate.high)}]"


def details(estimate: Estimate, write: Callable[[Any], str]) -> dict[str, str]:
    """What stands beside an estimate, by name: each figure with its interval, where it has one."""
    own = estimate.details
    ends = {name: ends_of(name) for name in own if own.keys() >= set(ends_of(name))}
    within = {end for both in ends.values() for end in both}
    said = {name: write(value) for name, value in own.items() if name not in within}
    for name, (low, high) in ends.items():
        said[name] += f" [{write(own[low])}, {write(own[high])}]"
    return said


def prediction(estimate: Estimate) -> str:
    """Where another run would fall; nothing where seeds are not what was sampled."""
    if estimate.unit != "seed" or math.isinf(estimate.low):
        return ""
    low, high = estimate.prediction
    return f"[{number(low)}, {number(high)}]"


def met_in(cell: Cell) -> str:
    """In how many draws of a world a bar was met."""
    return f"{cell.met} of {cell.draws} draws of {cell.world}"


def operating_characteristic(record: Record, *, total: bool = False) -> str:
    """In how many synthetic worlds the bar is met where the claim is true, and where false.

    World by world, or in total.  Empty where it was not measured.
    """
    known = record.characteristic
    if known is None:
        return ""
    sides = [
        f"{_counts(cells, total=total)} where {truth}"
        for truth, cells in (("true", known.true), ("false", known.false))
        if cells
    ]
    return "; ".join(sides)


def _counts(cells: Sequence[Cell], *, total: bool) -> str:
    if total:
        return f"{sum(cell.met for cell in cells)}/{sum(cell.draws for cell in cells)}"
    return ", ".join(f"{cell.world} {cell.met}/{cell.draws}" for cell in cells)


def controls_of(record: Record) -> dict[tuple[Kind, str], dict[str, ControlResult]]:
    """By kind and name, what each control did to the parts that it concerns."""
    found: dict[tuple[Kind, str], dict[str, ControlResult]] = {}
    for part in record.parts:
        for control in part.controls:
            found.setdefault((control.kind, control.name), {})[part.name] = control
    return found


def controls_sentence(record: Record) -> str:
    """Say in one plain sentence what the controls showed; empty where none ran."""
    controls = controls_of(record)
    if not controls:
        return ""
    worst: dict[Kind, dict[str, bool]] = {Kind.NEGATIVE: {}, Kind.POSITIVE: {}}
    for (kind, name), by_part in controls.items():
        worst[kind][name] = all(control.behaved for control in by_part.values())
    said = [
        _behaved(worst[Kind.NEGATIVE], "where the claim is false", "was missed", "was not missed"),
        _behaved(worst[Kind.POSITIVE], "where the claim is true", "was met", "was not met"),
    ]
    where = "Controls, over all parts: " if len(record.parts) > 1 else "Controls: "
    return where + "the bar " + " and ".join(part for part in said if part) + "."


def _behaved(controls: Mapping[str, bool], where: str, did: str, failed: str) -> str:
    wrong = [name for name, behaved in controls.items() if not behaved]
    right = [name for name, behaved in controls.items() if behaved]
    said = [f"{did} {where} ({', '.join(right)})"] if right else []
    said += [f"{failed} {where} ({', '.join(wrong)})"] if wrong else []
    return ", but ".join(said)
