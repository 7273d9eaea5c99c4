"""State of one run of `pytest claims/`: the policy, the records, the progress, the reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from polyrot.progress import Progress
    from polyrot.verdict.calibration import Calibration
    from polyrot.verdict.claim import Measurement
    from polyrot.verdict.policy import Policy
    from polyrot.verdict.record import Record
    from polyrot.verdict.run import Estimates, Measure

PROPERTY = "polyrot.record"
DEFAULT_REPORT_DIR = "reports"
CALIBRATION = Path(DEFAULT_REPORT_DIR) / "calibration" / "calibration.json"


class Session:
    """State of one run: the policy, the records as they arrive, the reports."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.records: list[Record] = []
        self._policy: Policy | None = None
        self._kept: list[Path] = []
        self._written: list[Path] = []
        self._ending = "The run completed."
        self._items = 0
        self._done = 0
        self._progress: Progress | None = None
        self._names: dict[str, str] = {}

    @property
    def policy(self) -> Policy:
        if self._policy is None:
            from polyrot.verdict.policy import Policy

            files = tuple(Path(f) for f in self.config.getoption("--expect"))
            required = tuple(
                id.strip() for id in self.config.getoption("--require").split(",") if id.strip()
            )
            try:
                self._policy = Policy.from_files(
                    files, strict=self.config.getini("strict"), required=required
                )
            except (OSError, ValueError) as error:
                raise pytest.UsageError(f"--expect: {error}") from None
        return self._policy

    def suites(self, default: Sequence[str]) -> Sequence[str]:
        """Suites to run every claim on."""
        chosen: list[str] | None = self.config.getoption("--suite")
        self._names = {self.label(name): name for name in chosen or ()}
        return chosen or default

    def label(self, suite: str) -> str:
        """What reports call a suite: that in a file has its name there."""
        from polyrot.suites.names import suite_label

        return suite_label(suite)

    def applies(self, item: pytest.Item) -> bool:
        """Does a test's claim apply to its suite?  All do, unless the suite's file lists some."""
        from polyrot.suites.names import described

        measurement = measurement_of(item)
        if measurement is None or not isinstance(item, pytest.Function):
            return True
        file = described(str(item.callspec.params["suite_name"]))
        return file is None or not file.claims or measurement.claim.id in file.claims

    def judge(
        self,
        item: pytest.Item,
        measurement: Measurement,
        suite: str,
        measure: Measure,
        *,
        proxy: str,
        keep: Callable[[str, Callable[[], Estimates]], Estimates],
    ) -> None:
        """Run a measurement, attach its record to the test, and end the test as it asks."""
        from polyrot.verdict.policy import Outcome
        from polyrot.verdict.record import METRICS
        from polyrot.verdict.run import run

        def report(done: int, total: int, what: str) -> None:
            self.show(done / total, f"{measurement.id} on {suite}, {what}")

        known = self.calibration
        record = run(
            measurement,
            measure,
            suite=suite,
            printed=self.printed(measurement, suite),
            proxy=proxy,
            characteristic=known.characteristic(measurement, METRICS) if known else None,
            progress=report,
            keep=keep,
        )
        attach(item, record)
        outcome, sentence = self.policy.decide(record)
        if outcome is Outcome.FAIL:
            pytest.fail(sentence, pytrace=False)
        if outcome is Outcome.SKIP:
            pytest.skip(sentence)

    def printed(self, measurement: Measurement, suite: str) -> str:
        """The published value: a suite's file may give it."""
        from polyrot.suites.names import described

        file = described(self._names.get(suite, suite))
        claim = measurement.claim
        return (file.published if file else claim.printed).get(claim.id if file else suite, "")

    @cached_property
    def calibration(self) -> Calibration | None:
        """How often bars are met in worlds of known truth: `polyrot calibrate` measured it."""
        from polyrot.verdict.calibration import read_calibration

        file = self.config.rootpath / CALIBRATION
        if not file.is_file():
            return None
        try:
            return read_calibration(file)
        except ValueError as error:
            raise pytest.UsageError(str(error)) from None

    def progress(self) -> Progress:
        """Make a progress line on the terminal, also while pytest captures output."""
        from polyrot.progress import Progress

        capture = self.config.pluginmanager.getplugin("capturemanager")
        # A worker of pytest-xdist has no terminal of its own.
        silent = hasattr(self.config, "workerinput") or capture is None
        return Progress(None if silent else capture.global_and_fixture_disabled)

    def show(self, share: float, what: str) -> None:
        """Show how far the run is: the measurements done, and a share of the current one."""
        if self._progress is None:
            self._progress = self.progress()
        self._progress((self._done + share) / max(1, self._items), what)

    def pytest_sessionstart(self) -> None:
        """Read the calibration before anything runs: a broken one stops the run."""
        _ = self.calibration

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Check --expect and --require before any claim runs: bad ones stop the run."""
        ids = [m.id for item in session.items if (m := measurement_of(item)) is not None]
        self._items = len(ids)
        if not ids:
            return
        absent = [id for id in self.policy.required if id not in ids]
        if absent and not hasattr(self.config, "workerinput"):
            raise pytest.UsageError(
                f"--require: expected measurements of this run but got {', '.join(absent)}; "
                f"it has {', '.join(sorted(set(ids)))}"
            )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        record = record_of(report)
        if record is not None and report.when != "teardown":
            self._advance()
            self.records.append(record)

    def _advance(self) -> None:
        """A measurement is done: what pytest prints about it must not follow the progress."""
        self._done += 1
        if self._progress is not None:
            self._progress.clear()

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if hasattr(self.config, "workerinput") or not self.records:
            return
        # Under pytest-xdist only what comes back tells what was collected.
        missing = set(self.policy.required) - {record.id for record in self.records}
        if missing and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            self._ending = "The run did not finish; reports of earlier runs are as they were."
            return
        try:
            self._write_reports()
            if not self._written:
                self._ending = (
                    "No report: the one in reports/ holds claims that did not run now "
                    "(choose a folder with --report-dir)."
                )
        except OSError as error:
            self._ending = f"The reports could not be written: {error}."
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR

    def _write_reports(self) -> None:
        from polyrot.report.files import write_reports

        chosen = self.config.getoption("--report-dir")
        folder = Path(chosen or self.config.rootpath / DEFAULT_REPORT_DIR)
        keep = [Path(f).resolve() for f in self.config.getoption("--expect")]
        self._written, self._kept = write_reports(
            self.records,
            folder,
            root=self.config.rootpath,
            keep=keep,
            policy=self.policy,
            may_shrink=chosen is not None,
            provenance=self._provenance,
        )

    def _provenance(self, suite: str) -> Mapping[str, Any]:
        from polyrot.suites.loading import suite_provenance

        return suite_provenance(self._names.get(suite, suite), artifact_folder(self.config))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.records:
            return
        from polyrot.report.terminal import closing_lines, table

        for suite in dict.fromkeys(record.suite for record in self.records):
            records = [record for record in self.records if record.suite == suite]
            terminalreporter.section(f"verdicts on {suite}")
            for line, color in table(records, verbose=self.config.get_verbosity() > 0):
                terminalreporter.write_line(line, **({color: True} if color else {}))
        terminalreporter.section("conclusion")
        for line in closing_lines(
            self.records,
            self.policy,
            ending=self._ending,
            written=self._written,
            kept=self._kept,
        ):
            terminalreporter.write_line(line)


def artifact_folder(config: pytest.Config) -> Path:
    """Where the suites' trained files are."""
    chosen = config.getoption("--artifacts")
    if chosen is not None:
        return Path(chosen)
    if config.getoption("--retrain"):
        from polyrot.suites.build import retrained_directory

        return retrained_directory()
    from polyrot.suites.artifacts import SHIPPED

    return SHIPPED


def measurement_of(item: pytest.Item) -> Measurement | None:
    """Return the measurement that a test is, if it is one."""
    mark = item.get_closest_marker("measurement")
    return mark.args[0] if mark else None


def attach(item: pytest.Item, record: Record) -> None:
    """Send a record with the test's report: it survives pytest-xdist and reaches JUnit."""
    item.user_properties.append((PROPERTY, record.to_json()))
    item.user_properties.append(("verdict", str(record.verdict)))


def record_of(report: Any) -> Record | None:
    """Return the record that came with a test's report, if it is a measurement's."""
    for name, value in getattr(report, "user_properties", ()):
        if name == PROPERTY:
            from polyrot.verdict.record import Record

            return Record.from_json(value)
    return None
