"""What a run demands: how a verdict becomes a passed, failed or skipped test."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from polyrot.verdict.judge import Verdict
from polyrot.verdict.record import Record, read_verdict

FINDINGS = (Verdict.REFUTED, Verdict.VACUOUS)
UNDECIDED = (Verdict.INCONCLUSIVE, Verdict.NOT_RUN)


class Outcome(StrEnum):
    """What pytest is told."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True)
class Policy:
    """The gate of one run.

    By default REPLICATED passes, REFUTED, VACUOUS and ERROR fail, and the undecided are
    skipped (failed if `strict`).  With `required` ids only those must be REPLICATED.  With
    `expected` verdicts each must be the one recorded, whatever it is.
    """

    strict: bool = False
    required: tuple[str, ...] = ()
    expected: Mapping[tuple[str, str], Verdict] = field(default_factory=dict)
    """Recorded verdict by suite and measurement; empty where no file was given."""

    @classmethod
    def from_files(
        cls, files: tuple[Path, ...], *, strict: bool = False, required: tuple[str, ...] = ()
    ) -> "Policy":
        """Read the recorded verdicts before the run can overwrite them."""
        expected = {
            (report.suite, id): verdict
            for report in map(read_verdict, files)
            for id, verdict in report.verdicts.items()
        }
        return cls(strict, required, expected)

    def decide(self, record: Record) -> tuple[Outcome, str]:
        """Decide the test's outcome, and the sentence that explains it."""
        if self.expected:
            recorded = self.expected.get((record.suite, record.id))
            if recorded is None:
                return Outcome.FAIL, f"{record.verdict}, but no verdict of it is recorded"
            if recorded is not record.verdict:
                return Outcome.FAIL, f"recorded {recorded}, now {record.verdict}: {record.reason}"
            return Outcome.PASS, f"{record.verdict}, as recorded: {record.reason}"
        sentence = f"{record.verdict}: {record.reason}"
        if record.verdict is Verdict.REPLICATED:
            return Outcome.PASS, sentence
        if self.required:
            return (Outcome.FAIL if record.id in self.required else Outcome.PASS), sentence
        if record.verdict in UNDECIDED and not self.strict:
            return Outcome.SKIP, sentence
        return Outcome.FAIL, sentence
