"""Words and numbers that every rendering shares."""

import math
from collections.abc import Sequence

from polyrot.stats.estimate import Estimate
from polyrot.verdict.judge import Verdict
from polyrot.verdict.policy import FINDINGS, Policy
from polyrot.verdict.record import Record

COLORS = {
    Verdict.REPLICATED: "green",
    Verdict.REFUTED: "red",
    Verdict.VACUOUS: "red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.NOT_RUN: "yellow",
    Verdict.ERROR: "red",
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
    return f"{number(estimate.value)} [{number(estimate.low)}, {number(estimate.high)}]"


def sentence(records: Sequence[Record], policy: Policy) -> str:
    """Say in one sentence what the run found, and whether that is a failure."""
    errors = [r for r in records if r.verdict is Verdict.ERROR]
    if errors:
        return (
            f"{len(errors)} measurements raised an error: that is a fault of the run, "
            "not evidence about a claim."
        )
    if policy.expected:
        drifted = [
            f"{r.id} on {r.suite} was {recorded}, is {r.verdict}"
            for r in records
            if (recorded := policy.expected.get((r.suite, r.id), "not recorded")) != r.verdict
        ]
        if drifted:
            return f"{len(drifted)} verdicts differ from those recorded: {'; '.join(drifted)}."
        return "Every verdict equals the one recorded earlier."
    if policy.required:
        found = {r.id for r in records}
        failing = sorted(
            {r.id for r in records if r.verdict is not Verdict.REPLICATED} & set(policy.required)
        )
        absent = [id for id in policy.required if id not in found]
        if absent:
            return f"Required but not measured: {', '.join(absent)}."
        if failing:
            return f"Required but not REPLICATED: {', '.join(failing)}."
        return "Everything that was required is REPLICATED."
    if all(r.verdict is Verdict.NOT_RUN for r in records):
        return "Nothing was measured: every measurement is NOT RUN, for the reasons above."
    findings = [r for r in records if r.verdict in FINDINGS]
    if findings:
        return (
            f"{len(findings)} of {len(records)} measurements are REFUTED or VACUOUS: those "
            "failures are findings about the published claims, not crashes."
        )
    return "Nothing was REFUTED or VACUOUS."
