"""The verdict rule: models, negative controls and positive controls decide together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from polyrot.stats.estimate import Estimate, difference
from polyrot.stats.looks import level_at
from polyrot.verdict.bar import Bar, Placement
from polyrot.verdict.calibration import LEAST_POWER, Characteristic
from polyrot.verdict.claim import Kind
from polyrot.verdict.levels import INSIDE_LEVEL, OUTSIDE_LEVEL
from polyrot.verdict.undecided import Cause, Undecided, wants_seeds


class Verdict(StrEnum):
    """The six outcomes, worst first."""

    ERROR = "ERROR"
    REFUTED = "REFUTED"
    VACUOUS = "VACUOUS"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_RUN = "NOT RUN"
    REPLICATED = "REPLICATED"


@dataclass(frozen=True)
class ControlResult:
    """Result of a control: its estimate, and where that lies."""

    name: str
    kind: Kind
    estimate: Estimate
    placement: Placement
    difference: Estimate | None = None
    """The models' estimate less the control's, paired by seed, if both average the same seeds."""

    @classmethod
    def of(cls, name: str, kind: Kind, bar: Bar, estimate: Estimate, models: Estimate) -> Self:
        """Place a control, and compare it with the models."""
        # The values of every pair would double the size of the record, and nothing uses them.
        told = replace(estimate, pairs={}, left_out={})
        return cls(name, kind, told, bar.place_control(estimate), difference(models, estimate))

    @property
    def behaved(self) -> bool:
        """Did a negative control miss the bar, or a positive one meet it?"""
        expected = Placement.OUTSIDE if self.kind is Kind.NEGATIVE else Placement.INSIDE
        return self.placement is expected


@dataclass(frozen=True)
class Met:
    """What a measurement presupposes, measured on the models at one part."""

    what: str
    bar: str
    estimate: Estimate
    placement: Placement


@dataclass(frozen=True)
class Part:
    """One judged part of a measurement, for example one site."""

    name: str
    estimate: Estimate
    placement: Placement
    """Of the models, at the levels of `polyrot.verdict.levels`."""
    margin: float
    """How far inside the bar's region the estimate lies; negative outside."""
    controls: tuple[ControlResult, ...]
    verdict: Verdict
    reason: str
    bar: str = ""
    """Its own bar; empty if it is the measurement's, as are the next two."""
    quantity: str = ""
    region: tuple[float, float] | None = None
    precondition: Met | None = None
    undecided: Undecided | None = None
    """Why it is INCONCLUSIVE, and what would decide it."""


@dataclass(frozen=True)
class Evidence:
    """Everything that decides about one part."""

    bar: Bar
    estimate: Estimate
    placement: Placement
    parts: int = 1
    """Number of parts of the measurement."""
    controls: tuple[ControlResult, ...] = ()
    absent: tuple[tuple[str, Kind, str], ...] = ()
    """Name, kind and reason of each control that could not run."""
    proxy: str = ""
    """Why the measurement is only a proxy for the published protocol; empty if not."""
    precondition: Met | None = None
    characteristic: Characteristic | None = None
    """How often the bar is met in worlds of known truth, if measured."""
    uncalibrated: bool = False
    """Does the claim name worlds in which that was not measured?"""

    def controls_of(self, kind: Kind, *placements: Placement) -> list[str]:
        """Name the controls of a kind that lie in one of these places."""
        return [c.name for c in self.controls if c.kind is kind and c.placement in placements]


def judge(name: str, evidence: Evidence, *, own_bar: bool = False) -> Part:
    """Judge one part by the table in docs/verdict-rule.md.

    `own_bar` says that its bar is not the measurement's, so that the part has to name it.
    """
    bar = evidence.bar
    verdict, reason, undecided = _rule(evidence)
    if evidence.absent and not (undecided and undecided.cause is Cause.ABSENT_CONTROL):
        reason += f"; {_gone(evidence)}"
    return Part(
        name,
        replace(evidence.estimate, left_out={}),
        evidence.placement,
        bar.margin(evidence.estimate.value),
        evidence.controls,
        verdict,
        reason,
        bar=str(bar) if own_bar else "",
        quantity=bar.quantity if own_bar else "",
        region=bar.region if own_bar else None,
        precondition=evidence.precondition,
        undecided=undecided,
    )


def worst_part(parts: Sequence[Part]) -> Part:
    """Return the part that decides: of those with the worst verdict, the furthest outside."""
    if not parts:
        raise ValueError("Expected at least one part but got none")
    return min(parts, key=lambda part: (list(Verdict).index(part.verdict), part.margin))


def roll_up(parts: Sequence[Part]) -> tuple[Verdict, str]:
    """Take the verdict of the worst part and its reason."""
    worst = worst_part(parts)
    prefix = f"{worst.name}: " if len(parts) > 1 else ""
    return worst.verdict, prefix + worst.reason


Ruling = tuple[Verdict, str, Undecided | None]


def _rule(e: Evidence) -> Ruling:
    if e.proxy:
        return _open(Cause.PROXY, e.proxy, "models trained as published")
    met = e.precondition
    if met and met.placement is not Placement.INSIDE:
        return _open(
            Cause.PRECONDITION,
            f"{met.what}: {met.estimate} is not {met.bar}",
            f"models in which {met.what}",
        )
    if e.placement is Placement.STRADDLES:
        why = wants_seeds(e.bar, e.estimate, e.parts)
        return Verdict.INCONCLUSIVE, _straddling(e), why
    return _inside(e) if e.placement is Placement.INSIDE else _outside(e)


def _outside(e: Evidence) -> Ruling:
    """REFUTED, unless something leaves open whether a true claim would have met the bar."""
    if blind := e.controls_of(Kind.POSITIVE, Placement.OUTSIDE, Placement.STRADDLES):
        return _blind(f"outside the bar ({e.bar})", blind)
    if lost := [name for name, kind, _ in e.absent if kind is Kind.POSITIVE]:
        return _absent(e, f"outside the bar ({e.bar})", lost)
    if not e.controls_of(Kind.POSITIVE, Placement.INSIDE):
        return _open(
            Cause.NO_CONTROL,
            f"outside the bar ({e.bar}), and there is no positive control",
            "a control in which the claim is true",
        )
    if e.uncalibrated:
        return _uncalibrated(f"outside the bar ({e.bar})")
    if missed := e.characteristic.misses if e.characteristic else ():
        worlds = ", ".join(f"{c.world} ({c.missed} of {c.draws} draws)" for c in missed)
        return _open(
            Cause.TRUE_WORLD,
            f"outside the bar ({e.bar}), but so are worlds in which the claim is true: {worlds}",
            f"a bar that is met in the world {missed[0].world}",
        )
    return Verdict.REFUTED, f"the interval lies outside the bar ({e.bar})", None


def _inside(e: Evidence) -> Ruling:
    """REPLICATED, unless something leaves open whether a false claim would have missed the bar."""
    here = f"inside the bar ({e.bar})"
    if fooled := e.controls_of(Kind.NEGATIVE, Placement.INSIDE):
        where = f"the bar ({e.bar}) is met where the claim is false: {_names(fooled)}"
        return Verdict.VACUOUS, where, None
    if blind := e.controls_of(Kind.POSITIVE, Placement.OUTSIDE, Placement.STRADDLES):
        return _blind(here, blind)
    if unclear := e.controls_of(Kind.NEGATIVE, Placement.STRADDLES):
        return _open(
            Cause.UNCLEAR,
            f"{here}, but the bar is straddled where the claim is false: {_names(unclear)}",
            f"an instrument, or seeds, that place {_names(unclear)} clearly outside",
        )
    if e.absent:
        return _absent(e, here, [name for name, _, _ in e.absent])
    if not e.controls_of(Kind.NEGATIVE, Placement.OUTSIDE):
        return _open(
            Cause.NO_CONTROL,
            f"{here}, and there is no negative control",
            "a control in which the claim is false",
        )
    if e.uncalibrated:
        return _uncalibrated(here)
    if weakest := e.characteristic.weakest if e.characteristic else None:
        return _open(
            Cause.NO_POWER,
            f"{here}, but it is met in {weakest.met} of {weakest.draws} draws of the world "
            f"{weakest.world}, where the claim is false: no power of {LEAST_POWER} is shown",
            f"an instrument that tells it from the world {weakest.world}",
        )
    return Verdict.REPLICATED, "inside the bar; every control behaved", None


def _open(cause: Cause, why: str, advice: str) -> Ruling:
    reason = f"{cause}: {why}" if cause in (Cause.PROXY, Cause.PRECONDITION) else why
    return Verdict.INCONCLUSIVE, reason, Undecided.by(cause, advice)


def _uncalibrated(here: str) -> Ruling:
    return _open(
        Cause.NOT_CALIBRATED,
        f"{here}, but {Cause.NOT_CALIBRATED}",
        "`polyrot calibrate`, which measures the bar in worlds of known truth",
    )


def _blind(here: str, names: list[str]) -> Ruling:
    return _open(
        Cause.BLIND,
        f"{here}, but the bar is not met where the claim is true: {_names(names)}",
        f"an instrument that sees the effect in {_names(names)}",
    )


def _absent(e: Evidence, here: str, names: list[str]) -> Ruling:
    advice = f"what it takes to run {_names(names)}"
    return _open(Cause.ABSENT_CONTROL, f"{here}, but {_gone(e)}", advice)


def _gone(e: Evidence) -> str:
    return "a control could not run: " + "; ".join(f"{name}: {why}" for name, _, why in e.absent)


def _straddling(e: Evidence) -> str:
    """Say that the interval straddles; at which level, if the 95% interval does not."""
    if not e.estimate.has_interval:
        return e.estimate.method
    shown = e.bar.place(e.estimate)
    if shown is Placement.STRADDLES:
        return f"the interval straddles the bar ({e.bar})"
    where = f"{shown} the bar ({e.bar}) by its 95% interval, but not"
    if e.estimate.seeds is None:
        return f"{where} after Holm's correction over {e.parts} parts"
    level = level_at(e.estimate.seeds, _SPENT[shown])
    at = f"at the level of a look at {e.estimate.seeds} seeds, one-sided {level:.2g}"
    if shown is Placement.OUTSIDE and e.parts > 1:
        at += f" by Holm's correction over {e.parts} parts"
    return f"{where} {at}"


_SPENT = {Placement.INSIDE: INSIDE_LEVEL, Placement.OUTSIDE: OUTSIDE_LEVEL}


def _names(names: list[str]) -> str:
    return ", ".join(names)
