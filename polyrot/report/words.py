"""Wording and number formats shared by all renderings."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from polyrot.stats.estimate import Estimate, ends_of
from polyrot.verdict.bar import Placement
from polyrot.verdict.calibration import Cell, Row
from polyrot.verdict.claim import Kind
from polyrot.verdict.judge import ControlResult, Part, Verdict
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
    Verdict.REFUTED: "outside the bar, which positive controls and true worlds meet",
    Verdict.VACUOUS: "inside the bar, but so is a world in which the claim is false",
    Verdict.INCONCLUSIVE: "not decided: too few seeds, a control or world that misbehaves, or a "
    "precondition; the record says what would decide it",
    Verdict.NOT_RUN: "something is missing; the reason says what and how to get it",
    Verdict.ERROR: "an exception, or no measurement: never evidence",
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
    """Format with three significant digits; close to 1, with two digits of the distance from 1."""
    if math.isinf(value):
        return "-inf" if value < 0 else "inf"
    distance = abs(1 - value)
    if 1e-6 < distance < 0.01:
        return f"{value:.{1 - math.floor(math.log10(distance))}f}"
    return f"{value:.3g}"


def interval(estimate: Estimate) -> str:
    """Format a value with its interval; the value alone if it is exact.

    An interval for one anchor alone is labelled so.
    """
    if estimate.low == estimate.high:
        return number(estimate.value)
    if math.isinf(estimate.value):
        return "no value"
    if math.isinf(estimate.low) and math.isinf(estimate.high):
        return f"{number(estimate.value)}, no interval"
    label = "" if estimate.anchor is None else f" from seed {estimate.anchor}"
    return f"{number(estimate.value)} [{number(estimate.low)}, {number(estimate.high)}]{label}"


def details(estimate: Estimate, write: Callable[[Any], str]) -> dict[str, str]:
    """Format what is reported with an estimate: each figure by name, with its interval if any."""
    found = estimate.details
    ends = {name: ends_of(name) for name in found if found.keys() >= set(ends_of(name))}
    within = {end for both in ends.values() for end in both}
    said = {name: write(value) for name, value in found.items() if name not in within}
    for name, (low, high) in ends.items():
        said[name] += f" [{write(found[low])}, {write(found[high])}]"
    return said


def prediction(estimate: Estimate) -> str:
    """Format where another run would fall; empty unless seeds are the unit of replication."""
    if estimate.unit != "seed" or math.isinf(estimate.low):
        return ""
    low, high = estimate.prediction
    return f"[{number(low)}, {number(high)}]"


def bar_of(record: Record, part: Part) -> tuple[str, str]:
    """Return the quantity and the bar of a part: its own, or the measurement's."""
    return (part.quantity, part.bar) if part.bar else (record.quantity, record.bar)


def what_would_decide(record: Record) -> str:
    """Say what would decide an INCONCLUSIVE measurement; empty for others."""
    why = record.undecided
    if record.verdict is not Verdict.INCONCLUSIVE or why is None:
        return ""
    return why.advice


def presupposed(part: Part) -> str:
    """Say whether a part's precondition is met; empty if it has none."""
    met = part.precondition
    if met is None:
        return ""
    does = "met" if met.placement is Placement.INSIDE else "not met"
    return f"{met.what} ({met.bar}): {interval(met.estimate)}, {does}"


def differences(part: Part) -> dict[str, str]:
    """Format the paired differences from the controls that lie on the models' side of the bar."""
    return {
        control.name: interval(control.difference)
        for control in part.controls
        if control.difference and control.placement is part.placement
    }


def met_in(cell: Cell) -> str:
    """Write in how many draws of a world a bar was met."""
    return f"{cell.met} of {cell.draws} draws of {cell.world}"


def operating_characteristic(record: Record, *, total: bool = False) -> str:
    """Write how often the bar is met in synthetic worlds where the claim is true, and false.

    World by world, or in total.  Empty if this was not measured.
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
    """Return each control's results, by its kind and name and then by part."""
    found: dict[tuple[Kind, str], dict[str, ControlResult]] = {}
    for part in record.parts:
        for control in part.controls:
            found.setdefault((control.kind, control.name), {})[part.name] = control
    return found


def controls_sentence(record: Record) -> str:
    """Say in one sentence what the controls showed; empty if none ran."""
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


def mark(row: Row, world: str) -> str:
    """`T` where the claim is true, `F` where false, `F!` where the bar does not discriminate."""
    if world in row.true_in:
        return "T"
    if any(cell.world == world for cell in row.characteristic.confused):
        return "F!"
    return "F" if world in row.false_in else ""
