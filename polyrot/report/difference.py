"""What differs between two reports of a suite, claim by claim, and the possible reasons.

Records in, data classes out; `polyrot.report.explanation` puts them into words.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from polyrot.report.words import interval
from polyrot.verdict.calibration import Cell, Characteristic
from polyrot.verdict.judge import ControlResult, Part
from polyrot.verdict.record import Record, Report

Key = TypeVar("Key")
Value = TypeVar("Value")

NOT_ALL_IS_RECORDED = ("unknown", "with local changes")
"""Endings of a recorded commit that does not determine the source."""


@dataclass(frozen=True)
class PartChange:
    """A part of a measurement in both runs."""

    old: Part
    new: Part
    controls: tuple[tuple[ControlResult, ControlResult], ...]
    """Old and new result of each control whose placement changed."""
    controls_added: tuple[ControlResult, ...]
    controls_gone: tuple[ControlResult, ...]

    @property
    def drifted(self) -> bool:
        """Did its verdict change?"""
        return self.old.verdict is not self.new.verdict

    @property
    def crossed(self) -> bool:
        """Did the placement of the models' interval relative to the bar change?"""
        return self.old.placement is not self.new.placement

    @property
    def moved(self) -> bool:
        """Do the models' figures differ as printed?"""
        return interval(self.old.estimate) != interval(self.new.estimate)

    @property
    def apart(self) -> bool:
        """Did they move so far that the two intervals do not overlap?"""
        old, new = self.old.estimate, self.new.estimate
        return self.moved and (old.high < new.low or new.high < old.low)


@dataclass(frozen=True)
class CellChange:
    """In how many draws of a synthetic world a bar is met, according to each of the two runs."""

    world: str
    true: bool
    old: Cell | None
    new: Cell | None


@dataclass(frozen=True)
class Change:
    """A measurement in both runs."""

    old: Record
    new: Record
    parts: tuple[PartChange, ...]
    parts_added: tuple[Part, ...]
    parts_gone: tuple[Part, ...]
    calibration: tuple[CellChange, ...]

    @property
    def drifted(self) -> bool:
        """Did its verdict change?"""
        return self.old.verdict is not self.new.verdict

    @property
    def bar_changed(self) -> bool:
        """Did the measured quantity or its bar change?"""
        return (self.old.quantity, self.old.bar) != (self.new.quantity, self.new.bar)

    @property
    def moved(self) -> bool:
        """Do figures of any part differ as printed?"""
        return any(part.moved for part in self.parts)

    @property
    def far(self) -> tuple[PartChange, ...]:
        """The parts whose verdict changed, or whose intervals do not overlap."""
        return tuple(part for part in self.parts if part.drifted or part.apart)

    @property
    def differs_within(self) -> bool:
        """Did its parts change notably, whatever the verdict?"""
        return bool(self.far or self.parts_added or self.parts_gone)


@dataclass(frozen=True)
class Circumstance:
    """Something about the runs that differs, or that is not fully recorded."""

    what: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Difference:
    """Two reports of one suite, compared."""

    suite: str
    changes: tuple[Change, ...]
    """The measurements of both runs, drifted or not."""
    added: tuple[Record, ...] = ()
    gone: tuple[Record, ...] = ()
    circumstances: tuple[Circumstance, ...] = ()

    @property
    def drifted(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.drifted)

    @property
    def equal(self) -> tuple[Change, ...]:
        """The measurements with the same verdict."""
        return tuple(change for change in self.changes if not change.drifted)

    @property
    def differing(self) -> int:
        """How many verdicts differ, or are in only one of the reports."""
        return len(self.drifted) + len(self.added) + len(self.gone)

    @property
    def measurements(self) -> int:
        """How many measurements the two reports have together."""
        return len(self.equal) + self.differing


def compare(old: Report, new: Report) -> Difference:
    """Compare two reports of one suite, measurement by measurement."""
    before = {record.id: record for record in old.records}
    after = {record.id: record for record in new.records}
    return Difference(
        new.suite,
        tuple(_change(before[id], after[id]) for id in after if id in before),
        added=_only_in(after, before),
        gone=_only_in(before, after),
        circumstances=tuple(_circumstances(old, new)),
    )


def _change(old: Record, new: Record) -> Change:
    before = {part.name: part for part in old.parts}
    after = {part.name: part for part in new.parts}
    return Change(
        old,
        new,
        tuple(_part(before[name], after[name]) for name in after if name in before),
        parts_added=_only_in(after, before),
        parts_gone=_only_in(before, after),
        calibration=tuple(_calibration(old.characteristic, new.characteristic)),
    )


def _part(old: Part, new: Part) -> PartChange:
    before = {(control.kind, control.name): control for control in old.controls}
    after = {(control.kind, control.name): control for control in new.controls}
    both = ((before[key], after[key]) for key in after if key in before)
    return PartChange(
        old,
        new,
        tuple((was, now) for was, now in both if was.placement is not now.placement),
        controls_added=_only_in(after, before),
        controls_gone=_only_in(before, after),
    )


def _only_in(some: Mapping[Key, Value], others: Mapping[Key, Value]) -> tuple[Value, ...]:
    return tuple(value for key, value in some.items() if key not in others)


def _calibration(old: Characteristic | None, new: Characteristic | None) -> Iterator[CellChange]:
    before, after = _cells(old), _cells(new)
    for world, true in {**before, **after}:
        was, now = before.get((world, true)), after.get((world, true))
        if was != now:
            yield CellChange(world, true, was, now)


def _cells(known: Characteristic | None) -> dict[tuple[str, bool], Cell]:
    sides = ((True, known.true), (False, known.false)) if known else ()
    return {(cell.world, true): cell for true, cells in sides for cell in cells}


def _circumstances(old: Report, new: Report) -> Iterator[Circumstance]:
    before, after = _facts(old), _facts(new)
    for what in {**before, **after}:
        was, now = before.get(what), after.get(what)
        if was != now or (what == "commit" and str(was).endswith(NOT_ALL_IS_RECORDED)):
            yield Circumstance(what, was, now)


def _facts(report: Report) -> dict[str, Any]:
    """Name everything in a report's provenance."""
    facts: dict[str, Any] = {"metric definitions": f"version {report.metrics}"}
    for what, value in report.provenance.items():
        parts = what in {"versions", "machine"} and isinstance(value, Mapping)
        facts |= value if parts else {what: value}
    return facts
