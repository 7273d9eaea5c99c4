"""Why verdicts drifted: the difference between two reports, in words."""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from polyrot.report.columns import width
from polyrot.report.difference import CellChange, Change, Circumstance, Difference, PartChange
from polyrot.report.words import DOES, WHERE, interval
from polyrot.verdict.bar import Placement
from polyrot.verdict.judge import ControlResult, worst_part
from polyrot.verdict.record import Record

NAMED = 3
"""Number of files to name if many differ."""

DID = {Placement.INSIDE: "met", Placement.OUTSIDE: "missed", Placement.STRADDLES: "straddled"}


def explanation(difference: Difference, *, verbose: bool = False) -> Iterator[str]:
    """Yield lines: what drifted and why, how the runs differ, what moved without a drift.

    With `verbose`, also how the runs differ if no verdict does, and the parts that differ under
    equal verdicts.
    """
    differing, total = difference.differing, difference.measurements
    if differing:
        yield f"{difference.suite}: {differing} of {total} verdicts differ"
    else:
        yield f"{difference.suite}: all {total} verdicts are equal"
    for change in difference.drifted:
        yield from ("", _title(change.new.id, f"{change.old.verdict} -> {change.new.verdict}"))
        yield from _drift(change)
    for record in difference.added:
        yield from ("", _title(record.id, f"not measured -> {record.verdict}"))
        yield from _wrapped(f"only the new report has it; {_because(record)}", 2)
    for record in difference.gone:
        yield from ("", _title(record.id, f"{record.verdict} -> not measured"))
        yield from _wrapped(f"only the old report has it; {_because(record)}", 2)
    if differing or verbose:
        yield ""
        yield from _circumstances(difference.circumstances)
    yield from _equal(difference, verbose=verbose)


def _drift(change: Change) -> Iterator[str]:
    old, new = change.old, change.new
    measured = bool(old.parts and new.parts)
    yield from _bar(change, always=measured)
    if not measured:
        yield from _wrapped(f"was {_because(old)}", 2)
        yield from _wrapped(f"is {_because(new)}", 2)
        return
    yield from _calibration(change.calibration)
    # The part that decides the new verdict comes first, even if it did not change.
    decides = worst_part(new.parts).name
    shown = [part for part in change.parts if part.drifted or part.new.name == decides]
    yield from _parts(change, sorted(shown, key=lambda part: part.new.name != decides))


def _bar(change: Change, *, always: bool) -> Iterator[str]:
    """Say what was measured against which bar, if that changed or `always`."""
    old, new = change.old, change.new
    if old.quantity != new.quantity:
        yield from _wrapped(f"the measured quantity was: {old.quantity}", 2)
        yield from _wrapped(f"it is: {new.quantity}", 2)
    if old.bar != new.bar:
        yield from _wrapped(f"the bar was {old.bar}, it is {new.bar}", 2)
    if always and not change.bar_changed:
        yield from _wrapped(f"bar: {new.quantity} {new.bar}", 2)


def _calibration(cells: Sequence[CellChange]) -> Iterator[str]:
    for cell in cells:
        truth = "true" if cell.true else "false"
        counts = " -> ".join(
            f"{known.met}/{known.draws}" if known else "not drawn" for known in (cell.old, cell.new)
        )
        yield from _wrapped(f"bar met in the world {cell.world} ({truth} there): {counts}", 2)


def _parts(change: Change, parts: Sequence[PartChange]) -> Iterator[str]:
    """Explain some parts of both runs, and name those that only one run has."""
    for part in parts:
        yield from _part(part)
    for state, alone in (("new", change.parts_added), ("gone", change.parts_gone)):
        for lone in alone:
            figures = f"{interval(lone.estimate)}, {WHERE[lone.placement]}"
            yield from _wrapped(f"{lone.name} is {state}: {lone.verdict}, {figures}", 2)


def _part(part: PartChange) -> Iterator[str]:
    old, new = part.old, part.new
    verdicts = f"{old.verdict} -> {new.verdict}" if part.drifted else f"{new.verdict} as before"
    yield f"  {new.name:<15} {verdicts}"
    where = WHERE[new.placement]
    if part.crossed:
        where = f"was {WHERE[old.placement]}, is {where}"
    elif part.moved:
        where = f"moved but stayed {where}"
    else:
        where = f"is unchanged, {where}"
    yield from _wrapped(f"the estimate {where}", 4)
    yield from _figures(interval(old.estimate), interval(new.estimate))
    for was, now in part.controls:
        did, does = DID[was.placement], DOES[now.placement]
        yield from _wrapped(f"{_name(now)} {did} the bar, {does} it now", 4)
        yield from _figures(interval(was.estimate), interval(now.estimate))
    for state, verbs, alone in (
        ("new", DOES, part.controls_added),
        ("gone", DID, part.controls_gone),
    ):
        for control in alone:
            behaviour = f"it {verbs[control.placement]} the bar: {interval(control.estimate)}"
            yield from _wrapped(f"{_name(control)} is {state}; {behaviour}", 4)
    seen = part.crossed or part.controls or part.controls_added or part.controls_gone
    if part.drifted and not seen:
        yield from _wrapped(f"was: {old.reason}", 4)
        yield from _wrapped(f"is: {new.reason}", 4)


def _name(control: ControlResult) -> str:
    return f'{control.kind} control "{control.name}"'


def _figures(old: str, new: str) -> Iterator[str]:
    yield from _wrapped(old if old == new else f"{old} -> {new}", 6)


def _circumstances(circumstances: Sequence[Circumstance]) -> Iterator[str]:
    if not circumstances:
        yield from _wrapped(
            "The runs agree in everything recorded: commit, versions, machine, seeds, files, "
            "metric definitions.",
            0,
        )
        return
    yield "What else differs between the runs"
    margin = max(len(circumstance.what) for circumstance in circumstances) + 4
    for circumstance in circumstances:
        text = f"  {circumstance.what}".ljust(margin) + _said(circumstance)
        yield from textwrap.wrap(text, width(), subsequent_indent=" " * margin)


def _said(circumstance: Circumstance) -> str:
    old, new = circumstance.old, circumstance.new
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        names = {**old, **new}
        kind = "seed " if circumstance.what in ("models", "controls") else ""
        differ = [f"{kind}{name}" for name in names if old.get(name) != new.get(name)]
        more = f" and {len(differ) - NAMED} more" if len(differ) > NAMED else ""
        return f"{len(differ)} of {len(names)} differ: {', '.join(differ[:NAMED])}{more}"
    if old == new:
        return f"{_short(new)}, in both: they may differ in what is not recorded"
    return f"{_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    if value is None:
        return "not recorded"
    if isinstance(value, Mapping):
        return f"{len(value)} recorded"
    if isinstance(value, list | tuple):
        return ", ".join(map(_short, value))
    # The beginning of a hash is enough to identify it.
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{28,}\b", r"\1", str(value))


def _equal(difference: Difference, *, verbose: bool) -> Iterator[str]:
    equal = difference.equal
    moved = sum(change.moved for change in equal)
    far = sum(change.differs_within for change in equal)
    said = []
    if difference.differing and equal:
        said.append(f"{len(equal)} {'verdict is' if len(equal) == 1 else 'verdicts are'} equal.")
    if moved:
        said.append(f"Figures moved in {moved} with equal verdicts.")
    if far:
        hint = "" if verbose else " (-v shows where)"
        said.append(
            f"In {far}, intervals do not overlap, or a part is new, gone or has another "
            f"verdict{hint}."
        )
    if said:
        yield ""
        yield from _wrapped(" ".join(said), 0)
    for change in equal:
        shown = verbose and change.differs_within
        if change.bar_changed or shown:
            yield from ("", _title(change.new.id, f"{change.new.verdict} as before"))
            yield from _bar(change, always=True)
        if shown:
            yield from _parts(change, change.far)


def _title(id: str, text: str) -> str:
    return f"{id:<17} {text}"


def _because(record: Record) -> str:
    return f"{record.verdict}: {record.reason}"


def _wrapped(text: str, margin: int) -> Iterator[str]:
    indent = " " * margin
    hanging = indent + ("  " if margin else "")
    yield from textwrap.wrap(text, width(), initial_indent=indent, subsequent_indent=hanging)
