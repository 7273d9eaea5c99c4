"""What a run found and whether its gate passed, in the words that all renderings use."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from polyrot.verdict.judge import Verdict
from polyrot.verdict.policy import FINDINGS, UNDECIDED, Failure, Policy
from polyrot.verdict.record import Record

NOTHING = "Nothing was measured: every measurement is NOT RUN, for the reasons given."
_UNEXPLAINED = "a test that measures no claim failed, or a worker died; pytest's output says which"


@dataclass(frozen=True)
class Conclusion:
    """A headline, and the failures of the run."""

    passed: bool
    headline: str
    failures: tuple[Failure, ...] = ()
    gated: bool = False
    """Were verdicts demanded?  Without a gate, findings appear in the tables only."""
    explained_by: tuple[str, ...] = ()
    """Commands that explain the drifts."""

    @property
    def unmet(self) -> tuple[Failure, ...]:
        """The failures of the gate."""
        return self.failures if self.gated else ()


def conclude(
    records: Sequence[Record],
    policy: Policy,
    *,
    trouble: str = "",
    tests_passed: bool = True,
    whole: bool = True,
    verdicts: Sequence[tuple[str, Path]] = (),
) -> Conclusion:
    """Conclude from all records of a run.

    Args:
        records: of the run.
        policy: what it demanded.
        trouble: why the run fails whatever its verdicts are, for example that it did not finish.
        tests_passed: did all tests pass?  A worker that died counts as a failure.
        whole: did it run all claims, not a selection?
        verdicts: each suite with the file that holds this run's verdicts.
    """
    failures = tuple(policy.failures(records, whole=whole))
    unexplained = not (tests_passed or trouble or failures)
    said = []
    if errors := sum(record.verdict is Verdict.ERROR for record in records):
        said.append(
            f"{_measurements(errors)} raised an error: that is a fault of the run, "
            "not evidence about a claim."
        )
    if policy.demands:
        said.append(_gate(policy, failures, _UNEXPLAINED if unexplained else trouble))
        if policy.not_measured:
            said.append(f"Recorded, but not part of this run: {', '.join(policy.not_measured)}.")
        if nothing_was_measured(records) and not failures:
            said.append(NOTHING)
    else:
        if not errors:
            said.append(findings(records, policy))
        if unexplained:
            said.append(f"The run failed: {_UNEXPLAINED}.")
    commands = tuple(
        f"polyrot diff {policy.recorded_in[suite]} {new}"
        for suite, new in verdicts
        if suite in policy.recorded_in
        and policy.drifted(suite, records)
        and any(failure.suite == suite for failure in failures)
    )
    passed = tests_passed and not failures and not trouble
    return Conclusion(passed, " ".join(said), failures, bool(policy.demands), commands)


def _gate(policy: Policy, failures: Sequence[Failure], trouble: str) -> str:
    if failures:
        trouble = f"{_measurements(len(failures))} not as demanded"
    if trouble:
        return f"Gate failed ({policy.demands}): {trouble}."
    held = []
    if policy.expected:
        held.append("every verdict equals the one recorded")
    if policy.required:
        held.append("everything required is REPLICATED")
    return f"Gate passed ({policy.demands}): {', and '.join(held)}."


def nothing_was_measured(records: Sequence[Record]) -> bool:
    """Is every measurement NOT RUN?"""
    return all(record.verdict is Verdict.NOT_RUN for record in records)


def findings(records: Sequence[Record], policy: Policy = Policy()) -> str:
    """Say in a sentence or two what was found."""
    if nothing_was_measured(records):
        said = NOTHING
    elif findings := sum(record.verdict in FINDINGS for record in records):
        said = (
            f"{findings} of {_measurements(len(records))} REFUTED or VACUOUS: such failures are "
            "findings about the published claims, not crashes."
        )
    else:
        said = "Nothing was REFUTED or VACUOUS."
    undecided = sum(record.verdict in UNDECIDED for record in records)
    if policy.strict and undecided:
        return f"{said} {_measurements(undecided)} INCONCLUSIVE or NOT RUN: --strict fails them."
    return said


def _measurements(count: int) -> str:
    return f"{count} measurement{'' if count == 1 else 's'}"
