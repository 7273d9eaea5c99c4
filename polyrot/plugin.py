"""The pytest plugin: options, outcomes, and which files hold claims.

Inert in any test suite that has no test marked `@pytest.mark.measurement`.  Imports
nothing heavy: `pytest --help` stays fast.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from polyrot import locations
from polyrot.errors import NotRun
from polyrot.parallel import BACKENDS, CLUSTER, Workers, using
from polyrot.run.items import PROPERTY, attach, measurement_of, protocol_of, record_of
from polyrot.run.session import Session, session_of
from polyrot.suites import registry
from polyrot.suites.registry import BrokenExperiment

pytest_plugins = ["polyrot.fixtures"]


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
        help="comma-separated measurements that must be REPLICATED on every suite; other "
        "findings then do not fail the run",
    )
    group.addoption(
        "--expect",
        action="append",
        metavar="PATH",
        default=[],
        help="verdict.json of an earlier run whose verdicts this run must reproduce, a folder of "
        "reports (only those on this run's suites are compared), or shipped:SUITE for the "
        "reference verdicts that come with polyrot (repeatable)",
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
        help="train every model from scratch instead of using the shipped ones (hours; "
        "an interrupted training continues)",
    )
    group.addoption(
        "--calibrate",
        metavar="DRAWS",
        type=int,
        help="instead of judging claims, count how often every bar is met in this many random "
        "draws of each synthetic world, and write reports/calibration/",
    )
    group.addoption(
        "--backend",
        default="loky",
        choices=BACKENDS,
        help="where units of work run: processes here (loky, the default) or a cluster; does not "
        "alter any number",
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
    """Register the marker and the state of the run; choose where its work runs."""
    backend, jobs, cluster = (config.getoption(f"--{n}") for n in ("backend", "jobs", "cluster"))
    chosen = ExitStack()
    try:
        chosen.enter_context(using(Workers(backend, jobs, cluster)))
    except (NotRun, ValueError) as error:
        raise pytest.UsageError(str(error)) from None
    config.add_cleanup(chosen.close)
    if config.getoption("--retrain") and config.getoption("--artifacts"):
        raise pytest.UsageError(
            "Expected --retrain or --artifacts but got both: models trained anew are kept in the "
            "cache folder; judge them with --retrain alone"
        )
    config.addinivalue_line("markers", "measurement(m): a test that measures a claim")
    if config.getoption("--calibrate") is None:
        session = Session(config)
    else:
        from polyrot.run.calibration import CalibrationSession

        session = CalibrationSession(config)
    config.pluginmanager.register(session, "polyrot-session")
    # A broken experiment of another package must not stop unrelated tests.
    with suppress(BrokenExperiment):
        for module in registry.modules():  # for their fixtures
            config.pluginmanager.register(module)
    if not hasattr(config, "workerinput"):
        _check_suites(config.getoption("--suite") or ())
    elif config.getoption("--suite") or locations.are_shipped(session.asked):
        # With `-n 2` the processes share the cores: threads that spin while waiting made the run
        # four times slower.  Torch reads this when it is imported, later; no number changes.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _check_suites(chosen: Sequence[str]) -> None:
    """Refuse a suite that does not exist before anything runs."""
    if not chosen:
        return
    reports: dict[str, str] = {}
    try:
        for name in chosen:
            registry.check_suite(name)
            other = reports.setdefault(registry.find_suite(name).report_folder, name)
            if other != name:
                raise ValueError(
                    f"{other} and {name} would write reports to the same folder; run one at a time"
                )
    except ValueError as error:
        raise pytest.UsageError(f"--suite: {error}") from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every claim on every chosen suite."""
    if "suite_name" in metafunc.fixturenames:
        names = session_of(metafunc.config).suites
        metafunc.parametrize("suite_name", names, scope="session")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Collect the modules of claims in a folder `claims`, whatever their file names."""
    if not locations.is_claim_module(file_path) or parent.session.isinitpath(file_path):
        return None  # pytest itself collects a file that the command line names
    if any(file_path.match(pattern) for pattern in parent.config.getini("python_files")):
        return None
    module: pytest.Module = parent.ihook.pytest_pycollect_makemodule(
        module_path=file_path, parent=parent
    )
    return module


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the claims that do not apply to a suite."""
    session = session_of(config)
    session.check_claims(items)
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        (kept if session.applies(item) else left_out).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let `-k PIR-04` find a claim by its id."""
    measurement = measurement_of(item)
    if measurement is not None:
        item.extra_keyword_matches.add(measurement.id)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record an exception: NOT RUN if something is missing, else ERROR."""
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
    suite = session_of(item.config).label(str(item.callspec.params["suite_name"]))
    protocol = protocol_of(item)
    error = call.excinfo.value
    if isinstance(error, NotRun):
        record = Record.of(
            measurement,
            suite,
            verdict=Verdict.NOT_RUN,
            reason=str(error),
            printed=session_of(item.config).printed(measurement, suite),
            protocol=protocol,
        )
        outcome, sentence = session_of(item.config).policy.decide(record)
        # Skipped even if the policy passes it: after a set-up that passed, the test would run.
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
    """Show each verdict by its name; the category stays pytest's."""
    record = record_of(report)
    if record is None or getattr(report, "when", "") == "teardown":
        return None
    letter = "s" if record.verdict == "NOT RUN" else record.verdict[0]
    return report.outcome, letter, str(record.verdict)
