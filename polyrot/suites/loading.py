"""Suites by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from polyrot.progress import Progress, silent
from polyrot.suites import registry
from polyrot.suites.artifacts import SHIPPED
from polyrot.suites.suite import Suite


def load_suite(
    name: str,
    *,
    device: str = "cpu",
    artifacts: Path = SHIPPED,
    progress: Progress = silent,
) -> Suite:
    """Load a suite.

    Args:
        name: `"dyck3"` (seeds 0-4, shared frozen I/O), `"dyck3-independent"` (100-104); a
            synthetic one, say `"world:haar"`, whose autoencoders are trained when needed; a
            suite file, `"my-models.toml"`, or a built-in one, say `"textlm"`, which is trained
            first where it was not yet; or `"published:DIR"` for checkpoints in the layout that
            the paper's author released (`"published:DIR:0-4"` for these seeds of them).
        device: where models run, `"cpu"` or `"cuda"`; a synthetic suite has none.
        artifacts: the folder that holds one folder of trained files per suite.
        progress: called with the share that is done and what is being done.

    Raises:
        ValueError: where there is no such suite, or a released file is not what it should be.
        MissingArtifact: where its models were not trained yet, or there is one seed alone.
        DamagedArtifact: where a trained file is missing or damaged.

    >>> suite = load_suite("dyck3")
    >>> suite.seeds, suite.sites
    ((0, 1, 2, 3, 4), ('resid_mid.0', 'resid_post.0', 'resid_mid.1', 'resid_post.1'))
    """
    registry.find_suite(name)
    if world := registry.parse_world(name):
        made: Suite = registry.worlds()[world[0]].make(world[0], draw=world[1], progress=progress)
        return made
    kind, found = registry.kind_of(name)
    assert kind is not None
    assert kind.load is not None
    loaded: Suite = kind.load(found.name, artifacts=artifacts, device=device, progress=progress)
    return loaded


def suite_provenance(name: str, artifacts: Path = SHIPPED) -> Mapping[str, Any]:
    """Seeds, how well they were trained, and file hashes, without loading the suite."""
    if registry.parse_world(name):
        return {"seeds": list(load_suite(name).seeds)}
    kind, _ = registry.kind_of(name)
    if kind is None or kind.provenance is None:
        return {}
    found: Mapping[str, Any] = kind.provenance(name, artifacts)
    return found
