"""Fixtures that bring a claim its suite: models, seeds, activations, SAEs and pairs."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from polyrot.suites.suite import Suite


def pytest_configure(config: pytest.Config) -> None:
    """Let workers share the cores; refuse a suite that does not exist before anything runs."""
    from polyrot.plugin import DEFAULT_SUITES

    if hasattr(config, "workerinput"):
        # With `-n 2` the processes share the cores: threads that spin while they wait made it
        # four times slower.  Read when torch is loaded, which is later; alters no number.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    unknown = [name for name in config.getoption("--suite") or () if name not in DEFAULT_SUITES]
    if unknown:
        raise pytest.UsageError(
            f"--suite: expected one of {', '.join(DEFAULT_SUITES)} but got {', '.join(unknown)}"
        )


@pytest.fixture(scope="session")
def suite(suite_name: str, artifacts: Path, pytestconfig: pytest.Config) -> "Suite":
    """The suite under test: see `polyrot.suites.suite.Suite`."""
    import torch

    from polyrot.suites.artifacts import MissingArtifact
    from polyrot.suites.suite import load_suite
    from polyrot.verdict.run import NotRun

    device = pytestconfig.getoption("--device")
    if device == "cuda" and not torch.cuda.is_available():
        raise NotRun("--device cuda, but torch sees no CUDA device; use --device cpu")
    try:
        return load_suite(suite_name, device=device, artifacts=artifacts)
    except MissingArtifact as error:
        raise NotRun(str(error)) from None
