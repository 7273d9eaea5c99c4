"""Names that the shell completes: of suites, claims, worlds and kinds of the cache.

Read from files that are small, so that a key press does not wait for torch.
"""

import json
from collections.abc import Iterable

from polyrot import locations

TEXTLM, FULL = "textlm", "subspaces-full"


def trainable() -> list[str]:
    """The suites that `polyrot train` makes: those that are shipped trained, and others."""
    manifests = (locations.PACKAGE / "artifacts").glob("*/manifest.json")
    return [*sorted(file.parent.name for file in manifests), FULL, TEXTLM]


def worlds() -> list[str]:
    """The synthetic worlds that bars were calibrated in."""
    file = locations.calibration_file(locations.home())
    return list(json.loads(file.read_text())["worlds"]) if file else []


def complete_trainable(incomplete: str) -> list[str]:
    """Complete a suite to train."""
    return _starting(incomplete, trainable())


def complete_suite_file(incomplete: str) -> list[str]:
    """Complete a suite that a file describes."""
    from polyrot.experiments.language.suite_file import builtin_files

    return _starting(incomplete, builtin_files())


def complete_world(incomplete: str) -> list[str]:
    """Complete a synthetic world."""
    return _starting(incomplete, worlds())


def complete_claim(incomplete: str) -> list[str]:
    """Complete a claim's id."""
    from polyrot.catalogue import find_claims

    return _starting(incomplete, (claim.id for claim in find_claims()[1]))


def complete_kind(incomplete: str) -> list[str]:
    """Complete a kind of what the cache holds."""
    from polyrot.upkeep.cache_contents import KINDS

    return _starting(incomplete, KINDS)


def _starting(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
