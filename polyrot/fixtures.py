"""The fixtures that a claim asks for: its `suite`, and `judge`, which gives the verdict."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from polyrot.errors import NotRun
from polyrot.locations import judging
from polyrot.run.items import measurement_of
from polyrot.run.session import artifact_folder, session_of

if TYPE_CHECKING:
    from polyrot.suites.suite import Suite


@pytest.fixture(scope="session")
def artifacts(suite_name: str, pytestconfig: pytest.Config) -> Path:
    """The folder that holds the suites' trained files: the shipped ones, or retrained."""
    if not pytestconfig.getoption("--retrain"):
        return artifact_folder(pytestconfig)
    from polyrot.suites.retraining import train_suite

    train_suite(
        suite_name,
        command=f"{judging()} --retrain",
        device=pytestconfig.getoption("--device"),
        progress=session_of(pytestconfig).progress(),
    )
    return artifact_folder(pytestconfig)


@pytest.fixture(scope="session")
def suite_progress(pytestconfig: pytest.Config) -> Callable[[float, str], None]:
    """Show how far the making of a suite is, on the line that shows how far the run is."""
    session = session_of(pytestconfig)
    return lambda share, what: session.show(0, what)


@pytest.fixture(scope="session")
def suite(
    suite_name: str,
    artifacts: Path,
    suite_progress: Callable[[float, str], None],
    pytestconfig: pytest.Config,
) -> Suite:
    """The suite under test: see `polyrot.suites.suite.Suite`."""
    import torch

    from polyrot.suites.artifacts import MissingArtifact
    from polyrot.suites.catalogue import parse_world
    from polyrot.suites.loading import load_suite

    device = pytestconfig.getoption("--device")
    if device == "cuda" and not (parse_world(suite_name) or torch.cuda.is_available()):
        raise NotRun("--device cuda, but torch sees no CUDA device; use --device cpu")
    try:
        return load_suite(suite_name, device=device, artifacts=artifacts, progress=suite_progress)
    except MissingArtifact as error:
        raise NotRun(str(error)) from None


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
    session = session_of(request.config)
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
