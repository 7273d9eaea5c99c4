"""The pytest plugin: options, the `judge` fixture, outcomes, table and reports.

Inert in any test suite that has no test marked `@pytest.mark.measurement`.  Imports
nothing heavy: `pytest --help` stays fast.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from polyrot import shipped
from polyrot.missing import NotRun
from polyrot.preparation import prepare
from polyrot.session import (
    PROPERTY,
    Session,
    artifact_folder,
    attach,
    measurement_of,
    protocol_of,
    record_of,
)
from polyrot.work import BACKENDS, CLUSTER, Workers, using

DEFAULT_SUITES = ("dyck3", "dyck3-independent")


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
        help="comma-separated measurements that must be REPLICATED, on every suite; other "
        "findings fail nothing",
    )
    group.addoption(
        "--expect",
        action="append",
        metavar="FILE",
        default=[],
        help="verdict.json of an earlier run that every verdict must equal, or shipped:SUITE for "
        "the reference verdicts that come with polyrot (repeatable)",
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
    group.addoption(
        "--calibrate",
        metavar="DRAWS",
        type=int,
        help="judge nothing; count how often every bar is met in so many random draws of each "
        "synthetic world, and write reports/calibration/",
    )
    group.addoption(
        "--backend",
        default="loky",
        choices=BACKENDS,
        help="who does units of work: processes here (loky, the default) or a cluster; alters no "
        "number",
    )
    group.addoption(
        "--jobs", metavar="N", type=int, default=1, help="processes of --backend loky (default: 1)"
    )
    group.addoption(
        "--cluster",
        metavar="ADDRESS",
        default="",
        help=f"scheduler of the Dask or Ray cluster (default: ${CLUSTER})",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and the state of the run; choose who does its work."""
    backend, jobs, cluster = (config.getoption(f"--{n}") for n in ("backend", "jobs", "cluster"))
    chosen = ExitStack()
    try:
        chosen.enter_context(using(Workers(backend, jobs, cluster)))
    except (NotRun, ValueError) as error:
        raise pytest.UsageError(str(error)) from None
    config.add_cleanup(chosen.close)
    if shipped.IN_WHEEL.is_dir():
        # Where `pytest --pyargs polyrot.claims` is started, no file of ours says so.
        config.addinivalue_line("python_files", shipped.wheel_pattern())
    config.addinivalue_line("markers", "measurement(m): the measurement of a claim that a test is")
    # Shown where the project makes errors of warnings, too: it would cost a verdict.
    config.addinivalue_line("filterwarnings", "default::polyrot.missing.FigureWarning")
    if config.getoption("--calibrate") is None:
        session = Session(config)
    else:
        from polyrot.calibrate import CalibrationSession

        session = CalibrationSession(config)
    config.pluginmanager.register(session, "polyrot-session")
    if shipped.of_the_wheel(session.asked):
        prepare(config)  # their conftest.py is not read before they are collected


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every claim on every chosen suite."""
    if "suite_name" in metafunc.fixturenames:
        names = _session(metafunc.config).suites(DEFAULT_SUITES)
        metafunc.parametrize("suite_name", names, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the claims that a suite file does not list."""
    session = _session(config)
    session.check_claims(items)
    left_out = [item for item in items if not session.applies(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let `-k PIR-04` find a claim by its id."""
    measurement = measurement_of(item)
    if measurement is not None:
        item.extra_keyword_matches.add(measurement.id)


@pytest.fixture(scope="session")
def artifacts(suite_name: str, pytestconfig: pytest.Config) -> Path:
    """The folder that holds the suites' trained files: the shipped ones, or retrained."""
    if not pytestconfig.getoption("--retrain"):
        return artifact_folder(pytestconfig)
    from polyrot.models.cohorts import COHORTS, COMPARED_WITH, CONTROL_COHORT
    from polyrot.suites.build import train_artifacts

    others = (CONTROL_COHORT, *COMPARED_WITH.get(suite_name, ()))
    for name in (suite_name, *others) if suite_name in COHORTS else ():
        train_artifacts(
            name,
            command="pytest claims/ --retrain",
            device=pytestconfig.getoption("--device"),
            progress=_session(pytestconfig).progress(),
        )
    return artifact_folder(pytestconfig)


@pytest.fixture(scope="session")
def suite_progress(pytestconfig: pytest.Config) -> Callable[[float, str], None]:
    """Show how far the making of a suite is, on the line that shows how far the run is."""
    session = _session(pytestconfig)
    return lambda share, what: session.show(0, what)


@pytest.fixture
def judge(request: pytest.FixtureRequest, suite_name: str, artifacts: Path) -> Callable[..., None]:
    """Judge the test's measurement: `judge(measure)`, see `polyrot.verdict.run.Judge`.

    `measure()` returns estimates by part for the models, `measure(world)` for a control.
    """
    from polyrot.suites.loading import suite_provenance
    from polyrot.verdict.cache import EstimateCache
    from polyrot.verdict.run import no_figures

    measurement = measurement_of(request.node)
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

    def judge(
        measure: Callable[..., Any],
        *,
        figures: Callable[..., Any] = no_figures,
        proxy: str = "",
    ) -> None:
        session.judge(
            request.node,
            measurement,
            session.label(suite_name),
            measure,
            figures=figures,
            proxy=proxy,
            kept=cache,
        )

    return judge


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record what raised: NOT RUN where something is missing, else ERROR."""
    report = yield
    measurement = measurement_of(item)
    if measurement is None or call.excinfo is None or call.when == "teardown":
        return report
    if any(name == PROPERTY for name, _ in item.user_properties):
        return report
    from polyrot.verdict.judge import Verdict
    from polyrot.verdict.policy import Outcome
    from polyrot.verdict.record import Record

    assert isinstance(item, pytest.Function)
    suite = _session(item.config).label(str(item.callspec.params["suite_name"]))
    protocol = protocol_of(item)
    error = call.excinfo.value
    if isinstance(error, NotRun):
        record = Record.of(
            measurement,
            suite,
            verdict=Verdict.NOT_RUN,
            reason=str(error),
            printed=_session(item.config).printed(measurement, suite),
            protocol=protocol,
        )
        outcome, sentence = _session(item.config).policy.decide(record)
        # Even where the policy passes it: after a set-up that "passed", pytest would go on.
        if outcome is Outcome.FAIL:
            report.outcome, report.longrepr = "failed", sentence
        else:
            report.outcome, report.longrepr = "skipped", (str(item.path), 0, sentence)
    elif isinstance(error, Exception):
        reason = f"{type(error).__name__}: {error}"
        record = Record.of(
            measurement, suite, verdict=Verdict.ERROR, reason=reason, protocol=protocol
        )
    else:
        return report
    attach(item, record)
    report.user_properties = list(item.user_properties)
    return report


def pytest_report_teststatus(
    report: pytest.TestReport | pytest.CollectReport,
) -> tuple[str, str, str] | None:
    """Show each verdict by its own word; the category stays pytest's."""
    record = record_of(report)
    if record is None or getattr(report, "when", "") == "teardown":
        return None
    letter = "s" if record.verdict == "NOT RUN" else record.verdict[0]
    return report.outcome, letter, str(record.verdict)


def _session(config: pytest.Config) -> Session:
    session = config.pluginmanager.getplugin("polyrot-session")
    assert isinstance(session, Session)
    return session
