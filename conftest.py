"""Fixtures that bring a claim its suite: models, seeds, activations, SAEs and pairs."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from polyrot.preparation import prepare

if TYPE_CHECKING:
    from polyrot.suites.suite import Suite


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a suite that does not exist before anything runs."""
    prepare(config)


@pytest.fixture(scope="session")
def suite(
    suite_name: str,
    artifacts: Path,
    suite_progress: Callable[[float, str], None],
    pytestconfig: pytest.Config,
) -> "Suite":
    """The suite under test: see `polyrot.suites.suite.Suite`."""
    import torch

    from polyrot.suites.artifacts import MissingArtifact
    from polyrot.suites.loading import load_suite
    from polyrot.suites.worlds.synthetic import parse_world
    from polyrot.verdict.run import NotRun

    device = pytestconfig.getoption("--device")
    if device == "cuda" and not (parse_world(suite_name) or torch.cuda.is_available()):
        raise NotRun("--device cuda, but torch sees no CUDA device; use --device cpu")
    try:
        return load_suite(suite_name, device=device, artifacts=artifacts, progress=suite_progress)
    except MissingArtifact as error:
        raise NotRun(str(error)) from None
