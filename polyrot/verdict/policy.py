"""The demands of a run, which turn a verdict into a passed, failed or skipped test."""

from collections.abc import Mapping, Sequence
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
class Failure:
    """A measurement that fails a run, and why; without a suite if none measured it."""

    id: str
    suite: str
    why: str

    @property
    def name(self) -> str:
        return name_of(self.id, self.suite)


@dataclass(frozen=True)
class Policy:
    """The gate of one run.

    By default REPLICATED passes, REFUTED, VACUOUS and ERROR fail, and the undecided are
    skipped (failed if `strict`).  With `required` ids, those must be REPLICATED on every suite
    of the run, and other findings do not fail it.  With `expected` verdicts, each must be the
    recorded one.  With both, both must hold.  An ERROR always fails, because it is not a finding
    that could be accepted.
    """

    strict: bool = False
    required: tuple[str, ...] = ()
    expected: Mapping[tuple[str, str], Verdict] = field(default_factory=dict)
    """Recorded verdict by suite and measurement; empty if no file was given."""
    recorded_in: Mapping[str, Path] = field(default_factory=dict)
    """File from which the expected verdicts were read, by suite."""
    not_measured: tuple[str, ...] = ()
    """Recorded suites, in a folder of reports, that this run does not measure: not demanded."""

    @classmethod
    def from_files(
        cls,
        files: tuple[Path, ...],
        *,
        strict: bool = False,
        required: tuple[str, ...] = (),
        not_measured: tuple[str, ...] = (),
    ) -> "Policy":
        """Read the recorded verdicts before the run can overwrite them.

        Raises:
            OSError, ValueError: as for `read_verdict`, and where a file is empty or two belong
                to one suite.
        """
        expected: dict[tuple[str, str], Verdict] = {}
        recorded_in: dict[str, Path] = {}
        for file in files:
            report = read_verdict(file)
            if other := recorded_in.get(report.suite):
                raise ValueError(
                    f"Expected one file per suite but {other} and {file} are both of "
                    f"{report.suite}; "
                    "leave one out"
                )
            if not report.records:
                raise ValueError(f"Expected verdicts in {file} but it holds none; record them anew")
            recorded_in[report.suite] = file
            expected |= {(report.suite, id): verdict for id, verdict in report.verdicts.items()}
        return cls(strict, required, expected, recorded_in, not_measured)

    @property
    def demands(self) -> str:
        """The options that demanded verdicts; empty if none did."""
        given = (("--require", self.required), ("--expect", self.expected))
        return " ".join(option for option, value in given if value)

    def decide(self, record: Record) -> tuple[Outcome, str]:
        """Decide the test's outcome, and the sentence that explains it."""
        sentence = f"{record.verdict}: {record.reason}"
        if self.expected:
            recorded = self.expected.get((record.suite, record.id))
            if recorded is None:
                return Outcome.FAIL, f"no verdict recorded, now {sentence}"
            if recorded is not record.verdict:
                return Outcome.FAIL, f"recorded {recorded}, now {sentence}"
        if record.verdict is Verdict.ERROR:
            return Outcome.FAIL, sentence
        if record.verdict is Verdict.REPLICATED:
            return Outcome.PASS, sentence
        if record.id in self.required:
            return Outcome.FAIL, sentence
        if self.expected:
            return Outcome.PASS, f"{record.verdict}, as recorded: {record.reason}"
        if self.required:
            return Outcome.PASS, sentence
        if record.verdict in UNDECIDED and not self.strict:
            return Outcome.SKIP, sentence
        return Outcome.FAIL, sentence

    def failures(self, records: Sequence[Record], *, whole: bool = True) -> list[Failure]:
        """List what fails the run, worst first: what was not measured, then by verdict.

        A recorded measurement that a `whole` run did not measure has drifted too; a run of
        selected claims left it out on purpose.
        """
        measured = {(record.suite, record.id) for record in records}
        found = {id for _, id in measured}
        failures = [
            Failure(id, "", "required, but not measured") for id in self.required if id not in found
        ]
        failures += [
            Failure(id, suite, f"recorded {verdict}, but not measured")
            for (suite, id), verdict in self.expected.items()
            if whole and (suite, id) not in measured
        ]
        for record in worst_first(records):
            outcome, why = self.decide(record)
            if outcome is Outcome.FAIL:
                failures.append(Failure(record.id, record.suite, why))
        return failures

    def drifted(self, suite: str, records: Sequence[Record]) -> bool:
        """Do the verdicts of a suite differ in any way from those recorded for it?"""
        recorded = {id: verdict for (of, id), verdict in self.expected.items() if of == suite}
        return recorded != {r.id: r.verdict for r in records if r.suite == suite}


def name_of(id: str, suite: str) -> str:
    """Name a measurement in a sentence: `PIR-03 on dyck3`."""
    return f"{id} on {suite}" if suite else id


def worst_first(records: Sequence[Record]) -> list[Record]:
    """Order records by verdict, then by name."""
    order = list(Verdict)
    return sorted(records, key=lambda r: (order.index(r.verdict), r.id, r.suite))
