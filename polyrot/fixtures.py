"""Fixtures for claims: the `suite`, its capabilities, and `judge`, which gives the verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from polyrot.errors import NotRun
from polyrot.locations import judging
from polyrot.progress import Progress
from polyrot.run.items import measurement_of
from polyrot.run.session import artifacts_root, session_of
from polyrot.suites.kind import capability_fixture

if TYPE_CHECKING:
    from polyrot.suites.suite import Suite


@pytest.fixture(scope="session")
def artifacts(suite_name: str, pytestconfig: pytest.Config) -> Path:
    """The folder that holds the suites' trained files, shipped or retrained."""
    if not pytestconfig.getoption("--retrain"):
        return artifacts_root(pytestconfig)
    from polyrot.suites.registry import train_suite

    train_suite(
        suite_name,
        command=f"{judging()} --retrain",
        device=pytestconfig.getoption("--device"),
        progress=session_of(pytestconfig).progress(),
    )
    return artifacts_root(pytestconfig)


@pytest.fixture(scope="session")
def suite_progress(pytestconfig: pytest.Config) -> Progress:
    """Show the progress of making a suite on the progress line of the run."""
    session = session_of(pytestconfig)
    return lambda share, what: session.show(0, what)


@pytest.fixture(scope="session")
def suite(
    suite_name: str,
    artifacts: Path,
    suite_progress: Progress,
    pytestconfig: pytest.Config,
) -> Suite:
    """The suite under test: see `polyrot.suites.suite.Suite`."""
    import torch

    from polyrot.suites.artifacts import MissingArtifact
    from polyrot.suites.loading import load_suite
    from polyrot.suites.registry import parse_world

    device = pytestconfig.getoption("--device")
    if device == "cuda" and not (parse_world(suite_name) or torch.cuda.is_available()):
        raise NotRun("--device cuda, but torch sees no CUDA device; use --device cpu")
    try:
        return load_suite(suite_name, device=device, artifacts=artifacts, progress=suite_progress)
    except MissingArtifact as error:
        raise NotRun(str(error)) from None


streams = capability_fixture(
    "polyrot.capabilities.streams:Streams",
    "Activations of every seed on the same tokens, and pairs of seeds.",
)
checkpoints = capability_fixture(
    "polyrot.capabilities.streams:Checkpoints",
    "Activations at earlier points of every seed's training.",
)
autoencoders = capability_fixture(
    "polyrot.capabilities.streams:Autoencoders", "A sparse autoencoder for each model and site."
)
group_autoencoders = capability_fixture(
    "polyrot.capabilities.dictionaries:GroupAutoencoders",
    "A TopK SAE and a group SAE for each model.",
)
cores = capability_fixture(
    "polyrot.capabilities.cores:Cores", "The algorithmic core of every model."
)
components = capability_fixture(
    "polyrot.capabilities.components:Components", "Models whose components can be ablated."
)
steered = capability_fixture(
    "polyrot.capabilities.steering:Steered", "Models that can be steered at one site."
)
sharing = capability_fixture(
    "polyrot.capabilities.sharing:Sharing",
    "Whether the seeds share their embedding and unembeddings.",
)


@pytest.fixture
def judge(request: pytest.FixtureRequest, suite_name: str, artifacts: Path) -> Callable[..., None]:
    """Judge the test's measurement: `judge(measure)`, see `polyrot.verdict.run.Judge`.

    `measure()` returns the models' estimates by part, `measure(world)` those of a control.
    """
    from polyrot.suites.loading import suite_provenance
    from polyrot.suites.registry import other_packages
    from polyrot.verdict.cache import EstimateCache

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
        packages=other_packages(),
    )

    def judge(
        measure: Callable[..., Any],
        *,
        figures: Sequence[Callable[..., Any]] = (),
        precondition: Callable[[], Any] | None = None,
        proxy: str = "",
    ) -> None:
        session.judge(
            request.node,
            measurement,
            session.label(suite_name),
            measure,
            figures=figures,
            proxy=proxy,
            precondition=precondition,
            kept=cache,
        )

    return judge
