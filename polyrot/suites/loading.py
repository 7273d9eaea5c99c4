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
        name: `"dyck3"` (seeds 0-4, shared frozen embedding and unembeddings),
            `"dyck3-independent"` (seeds 100-104); a synthetic suite such as `"world:haar"`, whose
            autoencoders are trained when needed; a suite file, `"my-models.toml"`, or a built-in
            one such as `"textlm"`, which is trained first if necessary; or `"published:DIR"` for
            checkpoints in the layout of the paper's release (`"published:DIR:0-4"` for some seeds).
        device: where models run, `"cpu"` or `"cuda"`; ignored by synthetic suites.
        artifacts: the folder with one folder of trained files per suite.
        progress: called with the share that is done and what is being done.

    Raises:
        ValueError: if there is no such suite, or a released file is invalid.
        MissingArtifact: if its models were not trained yet, or there is only one seed.
        DamagedArtifact: if a trained file is missing or damaged.

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
    """Return seeds, their training accuracy and file hashes, without loading the suite."""
    if registry.parse_world(name):
        return {"seeds": list(load_suite(name).seeds)}
    kind, _ = registry.kind_of(name)
    if kind is None or kind.provenance is None:
        return {}
    found: Mapping[str, Any] = kind.provenance(name, artifacts)
    return found
