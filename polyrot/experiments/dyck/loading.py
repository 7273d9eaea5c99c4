"""Load the suites of Dyck-3 transformers, and record their provenance."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polyrot.experiments.dyck.release_folder import Release
from polyrot.experiments.dyck.release_name import parse_released
from polyrot.experiments.dyck.released import ReleasedSuite, released_provenance
from polyrot.experiments.dyck.suite import DyckSuite, TrainedSuite
from polyrot.models.cohorts import COHORTS, COMPARED_WITH, CONTROL_COHORT
from polyrot.progress import Progress
from polyrot.suites.artifacts import cohort_provenance


def suite_class(name: str) -> type[DyckSuite]:
    """Return the class of a suite by its name."""
    return ReleasedSuite if parse_released(name) else TrainedSuite


def verify(name: str) -> None:
    """Raise ValueError if a release is invalid."""
    if released := parse_released(name):
        Release.open(released)


def load(name: str, *, artifacts: Path, device: str, progress: Progress) -> DyckSuite:
    """Load a suite by its name; see `polyrot.suites.loading.load_suite`."""
    if released := parse_released(name):
        release = Release.open(released)
        return ReleasedSuite(name, release, artifacts=artifacts, device=device, progress=progress)
    return TrainedSuite(COHORTS[name], artifacts, device)


def provenance(name: str, artifacts: Path) -> Mapping[str, Any]:
    """Return seeds, their training accuracy, and hashes of files."""
    controls = cohort_provenance(CONTROL_COHORT, artifacts)["artifacts"]
    if released := parse_released(name):
        return {**released_provenance(released), "control artifacts": controls}
    compared = COMPARED_WITH.get(name, ())
    return {
        "seeds": list(COHORTS[name].seeds),
        **cohort_provenance(name, artifacts, compared_with=compared),
        "control artifacts": controls,
    }
