"""Options of `pytest benchmarks/`, and the fixtures that a benchmark asks for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.group import Case, Contender
from harness.measure import Measure
from harness.session import BenchSession

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / "reports" / "benchmarks"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options; `--device` is polyrot's own."""
    group = parser.getgroup("benchmarks", "kernels beside their peers")
    group.addoption(
        "--smoke",
        action="store_true",
        help="the smallest size of each group; fails where a ratio fell below a third of that in "
        "reports/benchmarks/cpu-smoke.json",
    )
    group.addoption("--full", action="store_true", help="the cases that take long, too")
    group.addoption(
        "--threads",
        type=int,
        help="of torch and BLAS (default: 2; with --smoke 1, since threads that wait for a core "
        "another program has make ratios of anything)",
    )
    group.addoption(
        "--bench-dir",
        type=Path,
        help="where results go, from a part of the benchmarks too (default: reports/benchmarks, "
        "and only from all of them); with --smoke, write what later smoke runs are compared with",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker and the state of the run; silence pytest-benchmark's own table."""
    config.addinivalue_line("markers", "group(group): the contenders that a benchmark measures")
    # Its table knows neither ratios nor agreement.
    config.option.benchmark_quiet = True
    config.addinivalue_line("filterwarnings", "error")
    # Peers warn of what is theirs when they are imported: not a matter of this library.
    for category in ("DeprecationWarning", "FutureWarning", "PendingDeprecationWarning"):
        config.addinivalue_line("filterwarnings", f"ignore::{category}")
    config.pluginmanager.register(BenchSession(config, ROOT, REPORTS), "bench-session")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a benchmark for every contender of every case of its group."""
    marker = metafunc.definition.get_closest_marker("group")
    if marker is None:
        return
    (group,) = marker.args
    options = metafunc.config.option
    entries = group.entries(smoke=options.smoke, full=options.full)
    ids = [f"{case}-{contender.name}" for case, contender in entries]
    metafunc.parametrize(("case", "contender"), entries, ids=ids)


@pytest.fixture
def measure(
    request: pytest.FixtureRequest, case: Case, contender: Contender, benchmark: Any
) -> Iterator[Measure]:
    """The clock of this benchmark; see `harness.measure.Measure`."""
    session: BenchSession = request.config.pluginmanager.getplugin("bench-session")
    (group,) = request.node.get_closest_marker("group").args
    if session.device not in group.devices:
        pytest.skip(f"{group.name} has no kernel for {session.device}")
    if missing := contender.missing():
        pytest.skip(missing)
    session.start(group)
    clock = Measure(benchmark, group, case, contender, device=session.device, smoke=session.smoke)
    yield clock
    session.finish(request.node, clock)


@pytest.fixture(scope="session")
def device(pytestconfig: pytest.Config) -> str:
    """`cpu` or `cuda`, as `--device` says."""
    return str(pytestconfig.getoption("--device"))
