"""The verdict rule: models, negative controls and positive controls decide together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from polyrot.stats.estimate import Estimate
from polyrot.verdict.bar import Bar, Placement
from polyrot.verdict.calibration import LEAST_POWER, Characteristic
from polyrot.verdict.claim import Kind


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

    @property
    def behaved(self) -> bool:
        """Did a negative control miss the bar, or a positive one meet it?"""
        expected = Placement.OUTSIDE if self.kind is Kind.NEGATIVE else Placement.INSIDE
        return self.placement is expected


@dataclass(frozen=True)
class Part:
    """One judged part of a measurement, for example one site."""

    name: str
    estimate: Estimate
    placement: Placement
    margin: float
    """How far inside the bar's region the estimate lies; negative outside."""
    controls: tuple[ControlResult, ...]
    verdict: Verdict
    reason: str


def judge(
    name: str,
    bar: Bar,
    estimate: Estimate,
    controls: Sequence[tuple[str, Kind, Estimate]],
    *,
    absent: Sequence[tuple[str, Kind, str]] = (),
    proxy: str = "",
    characteristic: Characteristic | None = None,
) -> Part:
    """Judge one part by the table in docs/verdict-rule.md.

    Args:
        name: name of the part, for example a site.
        bar: the region fixed before the run.
        estimate: estimate of the models.
        controls: name, kind and estimate of each control, measured by the same code.
        absent: name, kind and reason of each control that could not run.
        proxy: why the measurement is only a proxy for the published protocol; empty if not.
        characteristic: how often the bar is met in worlds of known truth, if measured.
    """
    placement = bar.place(estimate)
    # The pairs of every control would double the size of the record, and nothing uses them.
    results = tuple(
        ControlResult(n, kind, replace(e, pairs={}), bar.place(e)) for n, kind, e in controls
    )
    verdict, reason = _rule(bar, estimate, placement, results, proxy, characteristic)
    if absent:
        gone = "a control could not run: " + "; ".join(f"{n}: {why}" for n, _, why in absent)
        if any(_decides(kind, verdict) for _, kind, _ in absent):
            where = "inside" if verdict is Verdict.REPLICATED else "outside"
            verdict, reason = Verdict.INCONCLUSIVE, f"{where} the bar ({bar}), but {gone}"
        else:
            reason += f"; {gone}"
    return Part(name, estimate, placement, bar.margin(estimate.value), results, verdict, reason)


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


def _rule(
    bar: Bar,
    estimate: Estimate,
    placement: Placement,
    controls: tuple[ControlResult, ...],
    proxy: str,
    characteristic: Characteristic | None,
) -> tuple[Verdict, str]:
    positives = [c for c in controls if c.kind is Kind.POSITIVE]
    negatives = [c for c in controls if c.kind is Kind.NEGATIVE]
    blind = [c.name for c in positives if c.placement is not Placement.INSIDE]
    fooled = [c.name for c in negatives if c.placement is Placement.INSIDE]
    unclear = [c.name for c in negatives if c.placement is Placement.STRADDLES]
    if proxy:
        return Verdict.INCONCLUSIVE, f"measured by proxy: {proxy}"
    if math.isinf(estimate.low) and math.isinf(estimate.high):
        return Verdict.INCONCLUSIVE, estimate.method
    if placement is Placement.STRADDLES:
        return Verdict.INCONCLUSIVE, f"the interval straddles the bar ({bar})"
    if placement is Placement.OUTSIDE:
        if blind:
            return (
                Verdict.INCONCLUSIVE,
                f"outside, but the bar is not met where the claim is true: {_names(blind)}",
            )
        return Verdict.REFUTED, f"the interval lies outside the bar ({bar})"
    if fooled:
        return Verdict.VACUOUS, f"the bar ({bar}) is met where the claim is false: {_names(fooled)}"
    if blind:
        return (
            Verdict.INCONCLUSIVE,
            f"inside, but the bar is not met where the claim is true: {_names(blind)}",
        )
    if unclear:
        return (
            Verdict.INCONCLUSIVE,
            f"inside, but the bar is straddled where the claim is false: {_names(unclear)}",
        )
    weakest = characteristic.weakest if characteristic else None
    if weakest:
        return (
            Verdict.INCONCLUSIVE,
            f"inside, but the bar is met in {weakest.met} of {weakest.draws} draws of the world "
            f"{weakest.world}, where the claim is false: no power of {LEAST_POWER} is shown",
        )
    return Verdict.REPLICATED, "inside the bar; every control behaved"


def _decides(kind: Kind, verdict: Verdict) -> bool:
    """Could a control of this kind, which did not run, have changed the verdict?"""
    if verdict is Verdict.REFUTED:
        return kind is Kind.POSITIVE
    return verdict is Verdict.REPLICATED


def _names(names: list[str]) -> str:
    return ", ".join(names)
