"""The picture of a part: models, controls and the published number on the bar's axis."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from polyrot.report.html.axis import Axis, label
from polyrot.report.words import DOES, WHERE, interval, number
from polyrot.stats.estimate import Estimate
from polyrot.verdict.bar import Placement
from polyrot.verdict.claim import Kind, Printed
from polyrot.verdict.judge import ControlResult, Part
from polyrot.verdict.record import Record


@dataclass(frozen=True)
class Row:
    """One line of the picture; positions are in percent of the axis."""

    kind: str
    """models, negative, positive or published."""
    label: str
    figures: str
    said: str
    """Whether it met the bar."""
    wrong: bool
    value: float | None
    ends: tuple[float, float] | None
    again: tuple[float, float] | None = None
    """Where another run's value would fall."""
    pairs: tuple[float, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A part's rows, the bar's region and the ticks of their axis."""

    part: str
    verdict: str
    bar: str
    """Its own bar; empty if it is the measurement's."""
    region: tuple[float, float]
    edges: tuple[float, ...]
    ticks: tuple[tuple[float, str, bool], ...]
    """Position, label, and whether it is an end of the bar."""
    linear: bool
    rows: tuple[Row, ...]


def picture(record: Record, part: Part) -> Picture:
    """Lay out one part of a record."""
    region = part.region or record.region
    edges = [edge for edge in region if math.isfinite(edge)]
    centre = min(edges, key=lambda edge: abs(edge - part.estimate.value))
    axis = Axis.over(
        _numbers(record, part, edges), centre=centre, detail=_detail(part.estimate, centre)
    )
    low, high = (axis.at(end) for end in region)
    return Picture(
        part.name,
        str(part.verdict),
        f"{part.quantity} {part.bar}" if part.bar else "",
        (low, high),
        tuple(axis.at(edge) for edge in edges),
        tuple((axis.at(tick), label(tick), tick in edges) for tick in axis.ticks(edges)),
        axis.linear,
        tuple(_rows(record, part, axis)),
    )


def _numbers(record: Record, part: Part, edges: list[float]) -> Iterator[float]:
    """Yield every number that must lie on the axis."""
    yield from edges
    for printed in _printed(record, part):
        yield from printed.numbers
    yield from part.estimate.pairs.values()
    yield from part.estimate.prediction if part.estimate.unit == "seed" else ()
    for estimate in (part.estimate, *(control.estimate for control in part.controls)):
        yield from (estimate.value, estimate.low, estimate.high)


def _detail(estimate: Estimate, edge: float) -> float:
    """Return what must be visible: the distance from the bar, or the width of the interval."""
    seen = (abs(estimate.value - edge), estimate.high - estimate.low)
    return max((size for size in seen if math.isfinite(size)), default=0.0)


def _rows(record: Record, part: Part, axis: Axis) -> Iterator[Row]:
    estimate = part.estimate
    has_interval = math.isfinite(estimate.low) and math.isfinite(estimate.high)
    yield Row(
        "models",
        "models",
        interval(estimate),
        WHERE[part.placement],
        wrong=part.placement is not Placement.INSIDE,
        value=_place(axis, estimate),
        ends=_ends(axis, estimate),
        again=_both(axis, *estimate.prediction)
        if has_interval and estimate.unit == "seed" and estimate.low < estimate.high
        else None,
        pairs=tuple(axis.at(value) for value in estimate.pairs.values()),
    )
    for printed in _printed(record, part):
        yield _published(printed, axis)
    for control in sorted(part.controls, key=lambda control: control.kind is Kind.POSITIVE):
        yield _control(control, axis)


def _printed(record: Record, part: Part) -> list[Printed]:
    return [printed for printed in record.printed_numbers if printed.concerns(part.name)]


def _published(printed: Printed, axis: Axis) -> Row:
    """Draw a range from end to end, or single numbers with their mean."""
    numbers = printed.numbers
    mean = sum(numbers) / len(numbers)
    ends = numbers if printed.ends else ()
    several = numbers if len(numbers) > 1 and not printed.ends else ()
    return Row(
        "published",
        "published",
        " to ".join(map(number, ends)) or ("mean " if several else "") + number(mean),
        printed.of,
        wrong=False,
        value=None if ends else axis.at(mean),
        ends=_both(axis, *ends) if ends else None,
        pairs=tuple(map(axis.at, several)),
    )


def _control(control: ControlResult, axis: Axis) -> Row:
    expected = "must miss" if control.kind is Kind.NEGATIVE else "must meet"
    did = DOES[control.placement]
    return Row(
        str(control.kind),
        control.name,
        interval(control.estimate),
        f"{expected}, {did}",
        wrong=not control.behaved,
        value=_place(axis, control.estimate),
        ends=_ends(axis, control.estimate),
    )


def _place(axis: Axis, estimate: Estimate) -> float | None:
    return axis.at(estimate.value) if math.isfinite(estimate.value) else None


def _ends(axis: Axis, estimate: Estimate) -> tuple[float, float] | None:
    if math.isinf(estimate.low) and math.isinf(estimate.high):
        return None
    return _both(axis, estimate.low, estimate.high)


def _both(axis: Axis, low: float, high: float) -> tuple[float, float]:
    return axis.at(low), axis.at(high)
