"""The pytest plugin: options, the `judge` fixture, outcomes, table and reports.

Inert in any test suite that has no test marked `@pytest.mark.measurement`.  Imports
nothing heavy: `pytest --help` stays fast.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from polyrot.progress import Progress
    from polyrot.verdict.claim import Measurement
    from polyrot.verdict.policy import Policy
    from polyrot.verdict.record import Record

PROPERTY = "polyrot.record"
DEFAULT_SUITES = ("dyck3", "dyck3-independent")
DEFAULT_REPORT_DIR = "reports"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options of `pytest claims/`."""
    group = parser.getgroup("polyrot", "verdicts on published claims")
    group.addoption(
        "--suite", action="append", metavar="NAME", help="suite to measure (repeatable)"
    )
    group.addoption(
        "--require",
        metavar="IDS",
        default="",
        help="comma-separated measurements that must be REPLICATED; nothing else fails",
    )
    group.addoption(
        "--expect",
        action="append",
        metavar="FILE",
        default=[],
        help="verdict.json of an earlier run that every verdict must equal (repeatable)",
    )
    # pytest's own --strict is read, not declared: with it INCONCLUSIVE and NOT RUN fail.
    group.addoption(
        "--device", default="cpu", choices=("cpu", "cuda"), help="where models run (default: cpu)"
    )
    group.addoption("--report-dir", metavar="DIR", help="where reports go (default: reports/)")
    group.addoption(
        "--artifacts", metavar="DIR", help="trained files to use instead of the shipped ones"
    )
    group.addoption(
        "--retrain",
        action="store_true",
        help="train every model from nothing instead of using the shipped ones (hours; "
        "an interrupted training continues)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and the state of the run."""
    config.addinivalue_line("markers", "measurement(m): the measurement of a claim that a test is")
    config.pluginmanager.register(Session(config), "polyrot-session")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every claim on every chosen suite."""
    if "suite_name" in metafunc.fixturenames:
        names = metafunc.config.getoption("--suite") or DEFAULT_SUITES
        metafunc.parametrize("suite_name", names, scope="session")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let `-k PIR-04` find a claim by its id."""
    measurement = _measurement(item)
    if measurement is not None:
        item.extra_keyword_matches.add(measurement.id)


@pytest.fixture(scope="session")
def artifacts(suite_name: str, pytestconfig: pytest.Config) -> Path:
    """The folder that holds the suites' trained files: the shipped ones, or retrained."""
    if not pytestconfig.getoption("--retrain"):
        return _artifact_folder(pytestconfig)
    from polyrot.models.cohorts import CONTROL_COHORT
    from polyrot.suites.build import train_artifacts

    for name in (suite_name, CONTROL_COHORT):
        train_artifacts(
            name,
            command="pytest claims/ --retrain",
            device=pytestconfig.getoption("--device"),
            progress=_session(pytestconfig).progress(),
        )
    return _artifact_folder(pytestconfig)


@pytest.fixture
def judge(request: pytest.FixtureRequest, suite_name: str, artifacts: Path) -> Callable[..., None]:
    """Judge the test's measurement: `judge(measure)`, see `polyrot.verdict.run.Judge`.

    `measure()` returns estimates by part for the models, `measure(world)` for a control.
    """
    from polyrot.suites.suite import suite_provenance
    from polyrot.verdict.cache import EstimateCache
    from polyrot.verdict.policy import Outcome
    from polyrot.verdict.run import run

    measurement = _measurement(request.node)
    if measurement is None:
        raise pytest.UsageError("Expected the test to be marked @pytest.mark.measurement(...)")
    session = _session(request.config)
    cache = EstimateCache(
        request.path,
        {
            "measurement": measurement.id,
            "suite": suite_name,
            "files": suite_provenance(suite_name, artifacts),
            "device": request.config.getoption("--device"),
        },
    )

    def judge(measure: Callable[..., Any], *, proxy: str = "") -> None:
        def report(done: int, total: int, what: str) -> None:
            session.show(done / total, f"{measurement.id} on {suite_name}, {what}")

        record = run(
            measurement,
            measure,
            suite=suite_name,
            proxy=proxy,
            progress=report,
            keep=cache.measured,
        )
        _attach(request.node, record)
        outcome, sentence = session.policy.decide(record)
        if outcome is Outcome.FAIL:
            pytest.fail(sentence, pytrace=False)
        if outcome is Outcome.SKIP:
            pytest.skip(sentence)

    return judge


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record what raised: NOT RUN where something is missing, else ERROR."""
    report = yield
    measurement = _measurement(item)
    if measurement is None or call.excinfo is None or call.when == "teardown":
        return report
    if any(name == PROPERTY for name, _ in item.user_properties):
        return report
    from polyrot.verdict.judge import Verdict
    from polyrot.verdict.policy import Outcome
    from polyrot.verdict.record import Record
    from polyrot.verdict.run import NotRun

    assert isinstance(item, pytest.Function)
    suite = str(item.callspec.params["suite_name"])
    error = call.excinfo.value
    if isinstance(error, NotRun):
        record = Record.of(measurement, suite, verdict=Verdict.NOT_RUN, reason=str(error))
        outcome, sentence = _session(item.config).policy.decide(record)
        # Even where the policy passes it: after a set-up that "passed", pytest would go on.
        if outcome is Outcome.FAIL:
            report.outcome, report.longrepr = "failed", sentence
        else:
            report.outcome, report.longrepr = "skipped", (str(item.path), 0, sentence)
    elif isinstance(error, Exception):
        reason = f"{type(error).__name__}: {error}"
        record = Record.of(measurement, suite, verdict=Verdict.ERROR, reason=reason)
    else:
        return report
    _attach(item, record)
    report.user_properties = list(item.user_properties)
    return report


def pytest_report_teststatus(
    report: pytest.TestReport | pytest.CollectReport,
) -> tuple[str, str, str] | None:
    """Show each verdict by its own word; the category stays pytest's."""
    record = _record_of(report)
    if record is None or getattr(report, "when", "") == "teardown":
        return None
    letter = "s" if record.verdict == "NOT RUN" else record.verdict[0]
    return report.outcome, letter, str(record.verdict)


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
        self._progress: Progress | None = None

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
        self._progress((len(self.records) + share) / max(1, self._items), what)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Check --expect and --require before any claim runs: bad ones stop the run."""
        ids = [m.id for item in session.items if (m := _measurement(item)) is not None]
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
        record = _record_of(report)
        if record is not None and report.when != "teardown":
            if self._progress is not None:
                self._progress.clear()
            self.records.append(record)

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
            artifacts=_artifact_folder(self.config),
        )

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


def _artifact_folder(config: pytest.Config) -> Path:
    chosen = config.getoption("--artifacts")
    if chosen is not None:
        return Path(chosen)
    if config.getoption("--retrain"):
        from polyrot.suites.build import retrained_directory

        return retrained_directory()
    from polyrot.suites.artifacts import SHIPPED

    return SHIPPED


def _measurement(item: pytest.Item) -> Measurement | None:
    mark = item.get_closest_marker("measurement")
    return mark.args[0] if mark else None


def _session(config: pytest.Config) -> Session:
    session = config.pluginmanager.getplugin("polyrot-session")
    assert isinstance(session, Session)
    return session


def _attach(item: pytest.Item, record: Record) -> None:
    item.user_properties.append((PROPERTY, record.to_json()))
    item.user_properties.append(("verdict", str(record.verdict)))


def _record_of(report: Any) -> Record | None:
    for name, value in getattr(report, "user_properties", ()):
        if name == PROPERTY:
            from polyrot.verdict.record import Record

            return Record.from_json(value)
    return None
