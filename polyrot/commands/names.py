"""Shell completion of suites, claims, worlds and kinds of cache entries.

Nothing here imports torch, so that completion is fast.
"""

from collections.abc import Iterable


def complete_trainable(incomplete: str) -> list[str]:
    """Complete a suite to train."""
    from polyrot.suites import registry

    return _starting(incomplete, registry.trainers())


def complete_suite_file(incomplete: str) -> list[str]:
    """Complete a suite that a file describes."""
    from polyrot.suites import registry

    return _starting(incomplete, registry.suite_files())


def complete_world(incomplete: str) -> list[str]:
    """Complete a synthetic world."""
    from polyrot.suites import registry

    return _starting(incomplete, registry.worlds())


def complete_claim(incomplete: str) -> list[str]:
    """Complete a claim's id."""
    from polyrot.catalogue import find_claims

    return _starting(incomplete, (claim.id for claim in find_claims()[1]))


def complete_kind(incomplete: str) -> list[str]:
    """Complete a kind of cache entry."""
    from polyrot.upkeep.cache_contents import KINDS

    return _starting(incomplete, KINDS)


def _starting(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
