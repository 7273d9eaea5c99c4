"""Fixtures that bring a claim its suite: models, seeds, activations, SAEs and pairs."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from polyrot.suites.suite import Suite


def pytest_configure(config: pytest.Config) -> None:
    """Let workers share the cores; refuse a suite that does not exist before anything runs."""
    if hasattr(config, "workerinput"):
        # With `-n 2` the processes share the cores: threads that spin while they wait made it
        # four times slower.  Read when torch is loaded, which is later; alters no number.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    chosen = config.getoption("--suite")
    if not chosen:
        return
    from polyrot.report.files import report_folder
    from polyrot.suites.loading import check_suite
    from polyrot.suites.names import suite_label

    reports: dict[str, str] = {}
    try:
        for name in chosen:
            check_suite(name)
            other = reports.setdefault(report_folder(suite_label(name)), name)
            if other != name:
                raise ValueError(f"the reports of {other} and {name} are one folder; run one alone")
    except ValueError as error:
        raise pytest.UsageError(f"--suite: {error}") from None


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
