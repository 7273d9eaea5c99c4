"""State of one run of `pytest claims/`: the policy, the records, the progress, the reports."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from polyrot import locations
from polyrot.run.items import (
    PROPERTY,
    attach,
    capabilities_asked_by,
    measurement_of,
    protocol_of,
    record_of,
)

if TYPE_CHECKING:
    from polyrot.progress import ProgressLine
    from polyrot.report.conclusion import Conclusion
    from polyrot.verdict.calibration import Calibration
    from polyrot.verdict.claim import Measurement
    from polyrot.verdict.policy import Policy
    from polyrot.verdict.record import Record, Report
    from polyrot.verdict.run import Kept, Measure

DEFAULT_REPORT_DIR = "reports"
SELECTING = ("keyword", "deselect", "ignore", "ignore_glob", "lf", "stepwise")
"""pytest's options that select some of the claims."""


class Session:
    """State of one run: the policy, the records as they arrive, the reports."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.records: list[Record] = []
        self._policy: Policy | None = None
        self._places: dict[tuple[str, str], tuple[str, int]] = {}
        self._conclusion: Conclusion | None = None
        self._kept: list[Path] = []
        self._written: list[Path] = []
        self._ending = "The run completed."
        self._items = 0
        self._done = 0
        self._progress: ProgressLine | None = None

    @property
    def policy(self) -> Policy:
        if self._policy is None:
            from polyrot.verdict.policy import Policy

            required = tuple(
                id.strip() for id in self.config.getoption("--require").split(",") if id.strip()
            )
            try:
                files, not_measured = self._expected_files()
                self._policy = Policy.from_files(
                    files,
                    strict=self.config.getini("strict"),
                    required=required,
                    not_measured=not_measured,
                )
            except (OSError, ValueError) as error:
                raise pytest.UsageError(f"--expect: {error}") from None
        return self._policy

    def _expected_files(self) -> tuple[tuple[Path, ...], tuple[str, ...]]:
        """Find the files that --expect names, and the suites in its folders that are not run."""
        from polyrot.report.reading import expected_files

        names = self.config.getoption("--expect")
        suites = [self.label(name) for name in self.suites] if names else []
        files: list[Path] = []
        not_measured: list[str] = []
        for name in names:
            compared, others = expected_files(locations.verdict_file(name), suites)
            files += compared
            not_measured += others
        return tuple(files), tuple(dict.fromkeys(not_measured))

    @cached_property
    def asked(self) -> list[Path]:
        """The files and folders of claims named on the command line."""
        folder, pyargs = self.config.invocation_params.dir, self.config.option.pyargs
        return [locations.argument_path(a, folder, pyargs=pyargs) for a in self.config.args]

    @cached_property
    def base(self) -> Path:
        """The folder that contains `reports/`: the claims' root, or here for the wheel's claims."""
        here = locations.of_the_wheel(self.asked)
        return self.config.invocation_params.dir if here else self.config.rootpath

    @property
    def suites(self) -> Sequence[str]:
        """Suites to run every claim on, as named on the command line."""
        from polyrot.suites import registry

        try:
            return self.config.getoption("--suite") or registry.default_suites()
        except registry.BrokenExperiment as error:
            raise pytest.UsageError(str(error)) from None

    @cached_property
    def _names(self) -> dict[str, str]:
        """Names of the suites on the command line, by their names in reports."""
        return {self.label(name): name for name in self.config.getoption("--suite") or ()}

    def label(self, suite: str) -> str:
        """Return a suite's name in reports: a suite file states it."""
        from polyrot.suites.registry import find_suite

        return find_suite(suite).called

    def check_claims(self, items: Sequence[pytest.Item]) -> None:
        """Stop if a suite's file lists a claim that does not exist, unless modules were chosen."""
        from polyrot.suites.registry import find_suite

        if not all(path.is_dir() for path in self.asked):
            return  # only some modules were chosen
        known = {m.claim.id for item in items if (m := measurement_of(item)) is not None}
        families = {id.partition("-")[0] for id in known}
        for name in self._names.values():
            listed = find_suite(name)
            claims = sorted(listed.claim_ids or ()) if listed.file else ()
            wrong = [id for id in claims if id not in known and id.partition("-")[0] in families]
            if wrong:
                raise pytest.UsageError(
                    f"{name}: claims: there is no {', '.join(wrong)}; there are "
                    f"{', '.join(sorted(known))}"
                )

    def applies(self, item: pytest.Item) -> bool:
        """Does a test's claim apply to its suite?"""
        from polyrot.suites.registry import applies_to

        measurement = measurement_of(item)
        if measurement is None or not isinstance(item, pytest.Function):
            return True
        suite = str(item.callspec.params["suite_name"])
        return applies_to(measurement.id, suite, capabilities_asked_by(item))

    def judge(
        self,
        item: pytest.Item,
        measurement: Measurement,
        suite: str,
        measure: Measure,
        *,
        kept: Kept,
        **options: Any,
    ) -> None:
        """Run a measurement, attach its record, and end the test by its verdict; see `Judge`."""
        from polyrot.progress import within
        from polyrot.verdict.policy import Outcome
        from polyrot.verdict.record import METRICS
        from polyrot.verdict.run import run

        known = self.calibration
        characteristic = known.characteristic(measurement, METRICS) if known else None
        names_worlds = bool(measurement.claim.true_in or measurement.claim.false_in)
        record = run(
            measurement,
            measure,
            suite=suite,
            printed=self.printed(measurement, suite),
            protocol=protocol_of(item),
            characteristic=characteristic,
            uncalibrated=names_worlds and characteristic is None,
            progress=within(self.show, what=f"{measurement.id} on {suite}"),
            kept=kept,
            **options,
        )
        attach(item, record)
        outcome, sentence = self.policy.decide(record)
        if outcome is Outcome.FAIL:
            pytest.fail(sentence, pytrace=False)
        if outcome is Outcome.SKIP:
            pytest.skip(sentence)

    def printed(self, measurement: Measurement, suite: str) -> str:
        """Return the published value in a suite file; for other suites the claim states it."""
        from polyrot.suites.registry import find_suite

        return find_suite(self._names.get(suite, suite)).published.get(measurement.claim.id, "")

    @cached_property
    def calibration(self) -> Calibration | None:
        """How often bars are met in synthetic worlds, as measured by `polyrot calibrate`."""
        from polyrot.verdict.calibration import read_calibration

        file = locations.calibration_file(self.base)
        if file is None:
            return None
        try:
            return read_calibration(file)
        except ValueError as error:
            raise pytest.UsageError(str(error)) from None

    def progress(self) -> ProgressLine:
        """Make a progress line that is visible although pytest captures output."""
        from polyrot.progress import ProgressLine

        capture = self.config.pluginmanager.getplugin("capturemanager")
        # A worker of pytest-xdist has no terminal.
        silent = hasattr(self.config, "workerinput") or capture is None
        return ProgressLine(None if silent else capture.global_and_fixture_disabled)

    def show(self, share: float, what: str) -> None:
        """Show the progress of the run: the measurements done, and a share of the current one."""
        if self._progress is None:
            self._progress = self.progress()
        self._progress((self._done + share) / max(1, self._items), what)

    def pytest_sessionstart(self) -> None:
        """Read the calibration and the expected verdicts first: invalid ones stop the run."""
        _ = self.calibration
        if self.config.getoption("--expect"):
            _ = self.policy

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Check --require before any claim runs: an invalid one stops the run."""
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

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect the record attached to a report; JUnit then gets only its figures."""
        record = record_of(report)
        if record is None:
            return
        if report.when == "teardown":
            report.user_properties = [(k, v) for k, v in report.user_properties if k != PROPERTY]
            return
        self._advance()
        self.records.append(record)
        self._places[record.suite, record.id] = self._place(report)

    def _place(self, report: pytest.TestReport) -> tuple[str, int]:
        """Find the file and the line of a test, relative to the root of a CI job's checkout."""
        name, line, _ = report.location
        file = self.config.rootpath / name
        top = Path(os.environ.get("GITHUB_WORKSPACE") or self.config.rootpath)
        if file.is_relative_to(top):
            name = file.relative_to(top).as_posix()
        return name, (line or 0) + 1

    def _advance(self) -> None:
        """Count a measurement as done; clear the line before pytest prints its result."""
        self._done += 1
        if self._progress is not None:
            self._progress.clear()

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if hasattr(self.config, "workerinput") or not self.records:
            return
        from polyrot.report.conclusion import conclude
        from polyrot.report.files import append_summary, reports_of
        from polyrot.report.summary import summary

        # The wheel is not a checkout; a repository around it is not its source.
        root = None if locations.of_the_wheel(self.asked) else self.config.rootpath
        reports = reports_of(self.records, root=root, provenance=self._provenance)
        finished = exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        trouble = "" if finished else "the run did not finish"
        verdicts: Sequence[tuple[str, Path]] = ()
        try:
            if finished:
                verdicts = self._write(reports)
            else:
                self._ending = "The run did not finish; reports of earlier runs are unchanged."
        except OSError as error:
            trouble = "the reports could not be written"
            self._ending = f"The reports could not be written: {error}."
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        self._conclusion = conclude(
            self.records,
            self.policy,
            trouble=trouble,
            tests_passed=exitstatus == pytest.ExitCode.OK,
            whole=finished and self._whole(session),
            verdicts=verdicts,
        )
        # A measurement lost with a worker, or whose claim was removed, failed no test.
        if session.exitstatus == pytest.ExitCode.OK and not self._conclusion.passed:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        try:
            append_summary(summary(reports, self._conclusion, ending=self._ending))
        except OSError as error:
            self._ending += f" The job summary could not be written: {error}."

    def _write(self, reports: Sequence[Report]) -> Sequence[tuple[str, Path]]:
        """Write the reports; return the file that holds each suite's verdicts of this run."""
        from polyrot.report.files import write_reports

        chosen = self.config.getoption("--report-dir")
        self.show(0, "drawing the pages of the reports")
        written = write_reports(
            reports,
            Path(chosen or self.base / DEFAULT_REPORT_DIR),
            keep=[file.resolve() for file in self.policy.recorded_in.values()],
            policy=self.policy,
            may_shrink=chosen is not None,
            folder_of=self._report_folder,
        )
        if self._progress is not None:
            self._progress.clear()
        self._written = [self._shown(path) for path in written.files]
        self._kept = [self._shown(path) for path in written.kept]
        if not self._written:
            self._ending = (
                "No report: the one in reports/ holds claims that did not run now "
                "(choose a folder with --report-dir, or delete it)."
            )
        return [(suite, self._shown(path)) for suite, path in written.verdicts]

    def _report_folder(self, suite: str) -> str:
        from polyrot.suites.registry import find_suite

        return find_suite(self._names.get(suite, suite)).report_folder

    def _shown(self, path: Path) -> Path:
        """Return a path relative to the folder where the run was started."""
        folder = self.config.invocation_params.dir
        return path.relative_to(folder) if path.is_relative_to(folder) else path

    def _whole(self, session: pytest.Session) -> bool:
        """Did the run cover all claims, so that a recorded one it did not measure is missing?"""
        if session.shouldfail or session.shouldstop:
            return False
        if any(self.config.getoption(option, None) for option in SELECTING):
            return False
        return all(path.is_dir() for path in self.asked)

    def _provenance(self, suite: str) -> Mapping[str, Any]:
        from polyrot.suites.loading import suite_provenance

        name = self._names.get(suite, suite)
        found = suite_provenance(name, artifacts_root(self.config))
        # A suite file is named by its path on the command line; the report states the path too.
        return found if name == suite else {"suite": name, **found}

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._conclusion is None:
            return
        from polyrot.report.columns import width
        from polyrot.report.terminal import closing_lines, table

        columns = width()
        for suite in dict.fromkeys(record.suite for record in self.records):
            records = [record for record in self.records if record.suite == suite]
            terminalreporter.section(f"verdicts on {suite}")
            verbosity = self.config.get_verbosity()
            for line, color in table(records, verbosity=verbosity, columns=columns):
                terminalreporter.write_line(line, **({color: True} if color else {}))
        terminalreporter.section("conclusion")
        for line in closing_lines(
            self.records,
            self._conclusion,
            ending=self._ending,
            written=self._written,
            kept=self._kept,
            columns=columns,
        ):
            terminalreporter.write_line(line)
        if os.environ.get("GITHUB_ACTIONS") == "true":
            from polyrot.report.annotations import annotations

            failures = self._conclusion.failures
            for line in annotations(self.records, self.policy, failures, self._places):
                terminalreporter.write_line(line)


def artifacts_root(config: pytest.Config) -> Path:
    """Return the folder of the suites' trained files."""
    from polyrot.suites.artifacts import SHIPPED, retrained_directory

    if (chosen := config.getoption("--artifacts")) is not None:
        return Path(chosen)
    return retrained_directory() if config.getoption("--retrain") else SHIPPED


def session_of(config: pytest.Config) -> Session:
    """Return the state of a configuration's run."""
    session = config.pluginmanager.getplugin("polyrot-session")
    assert isinstance(session, Session)
    return session
