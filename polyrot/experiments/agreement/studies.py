"""Suites asked for agreement: each model is studied once, and which are units of estimates."""

from collections.abc import Mapping
from itertools import combinations

from polyrot.errors import NotRun
from polyrot.experiments.agreement.axes import Study, study
from polyrot.suites.suite import Suite
from polyrot.tasks.agreement import draw_prompts


def study_of(suite: Suite, seed: int, *, last: str = "") -> Study:
    """Study a model of a suite on the published prompts; once for all claims.

    Args:
        suite: of models that read prompts.
        seed: of the model.
        last: as for `polyrot.experiments.agreement.readers.LanguageReader`.

    Raises:
        NotRun: where the suite has none.
    """
    known = suite.studies
    if (seed, last) not in known:
        prompts = draw_prompts()
        plain = study_of(suite, seed) if last else None
        reader = suite.reader(seed, prompts, last=last)
        known[seed, last] = study(reader, prompts, known=plain)
    return known[seed, last]


def units(suite: Suite) -> Mapping[str, tuple[int, ...]]:
    """Group the seeds for estimates: by size, or all as one where every size has a single model.

    Then the models are the units of replication, and the group has no name.
    """
    if _single(suite):
        return {"": tuple(seed for seeds in suite.sizes.values() for seed in seeds)}
    return suite.sizes


def pairs_of_sizes(suite: Suite) -> dict[str, list[tuple[int, int]]]:
    """List the pairs of seeds of different sizes: by two sizes, or all as one part as in `units`.

    Raises:
        NotRun: where all models are of one size.
    """
    groups = suite.sizes
    if len(groups) < 2:
        raise NotRun(
            f"the models of {suite.name} are of one size; give a [[models]] table for each of "
            "several sizes"
        )
    pairs = {
        f"{one} and {other}": [(a, b) for a in groups[one] for b in groups[other]]
        for one, other in combinations(groups, 2)
    }
    if _single(suite):
        return {"all sizes": [pair for (pair,) in pairs.values()]}
    return pairs


def _single(suite: Suite) -> bool:
    """Is there one model of every size?"""
    return all(len(seeds) == 1 for seeds in suite.sizes.values())


def part_name(*words: str) -> str:
    """Name a part by its group, if that has a name, and more."""
    return ", ".join(word for word in words if word)
