"""SASA-04: recovery is unique up to the order of the groups and a rotation inside each.

"Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333): if the rank of the groups is at least the
dimension of the features, the minimisers of the objective are the planted subspaces, up to which
group holds which of them, and a rotation inside each group.  The subspace of a group is spanned by
the leading principal directions of what it writes, one for each dimension of the feature; features
and groups are matched one to one.  There are two parts.  Lowest objective: of the twenty runs of
SASA-03 the one with the lowest objective, and its worst recovered feature.  Typical run: the median
feature of one SAE trained on features of 1 to 8 dimensions, whose bases are not orthogonal, with
one group for each feature; its worst feature, which depends on whether two features share a group,
is in the details.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from statistics import median

import pytest
import torch

from polyrot.claim import *
from polyrot.experiments.planted import controls, figures
from polyrot.experiments.planted.plan import DIMENSIONS, STARTS, SUBSPACE, TOO_SMALL, TOPK
from polyrot.experiments.planted.suite import Dictionaries, Dictionary
from polyrot.sae.subspaces import Directions, largest_angle, match, principal

CLAIM = Claim(
    "SASA-04",
    "Recovery is unique up to order and rotation",
    "arXiv 2606.06333, uniqueness",
    true_in=("dictionary-groups",),
    false_in=("dictionary-split", "dictionary-merged", "dictionary-elsewhere"),
)
LOWEST, TYPICAL = "lowest objective", "typical run"


def lowest(runs: list[Dictionary]) -> list[Dictionary]:
    """Of each seed's runs the one with the lowest objective on held-out tokens."""
    by_seed = groupby(runs, key=lambda run: run.seed)
    return [min(repeats, key=Dictionary.objective) for _, repeats in by_seed]


def as_trained(dictionaries: Dictionaries, part: str) -> list[Dictionary]:
    if part == LOWEST:
        return lowest(dictionaries.dictionaries(STARTS, SUBSPACE))
    return dictionaries.dictionaries(DIMENSIONS, SUBSPACE)


def written(dictionary: Dictionary) -> Directions:
    """The principal directions of what each group writes."""
    return principal(dictionary.sae, dictionary.held_out().x)[1]


@dataclass(frozen=True)
class World:
    """SAEs, one for each seed, and how subspaces are read from them."""

    saes: Callable[[Dictionaries, str], list[Dictionary]] = as_trained
    subspaces: Callable[[Dictionary], Directions] = written


SCALAR_CLUSTERS = World(lambda saes, _: saes.dictionaries(DIMENSIONS, TOPK), controls.clusters)
RANK_TOO_SMALL = World(lambda saes, _: lowest(saes.dictionaries(STARTS, TOO_SMALL)))
HARDENED = Measurement(
    CLAIM,
    Bar.at_most(5, "largest principal angle, degrees"),
    (
        negative("clusters of scalar columns", SCALAR_CLUSTERS, TYPICAL),
        negative("rank below the dimension", RANK_TOO_SMALL, LOWEST),
        negative("random subspaces", World(subspaces=controls.random_subspaces)),
        positive("planted groups", World(subspaces=lambda sae: written(controls.planted(sae)))),
    ),
)


def angles(dictionary: Dictionary, directions: Directions) -> list[float]:
    """The largest principal angle of each feature with its match, in degrees."""
    bases = dictionary.features.bases
    matched = match(directions, bases).tolist()
    pairs = zip(matched, bases, strict=True)
    return [largest_angle(directions[unit], basis) for unit, basis in pairs]


def off(saes: list[Dictionary], world: World, summary: Callable[[list[float]], float]) -> Estimate:
    by_seed = {sae.seed: angles(sae, world.subspaces(sae)) for sae in saes}
    every = torch.tensor([angle for found in by_seed.values() for angle in found])
    details = {
        "features found to 5 degrees": float((every <= 5).double().mean()),
        "median angle": float(every.median()),
        "largest angle": float(every.max()),
    }
    return average(by_seed, lambda seed: float(summary(by_seed[seed])), details=details)


@pytest.mark.measurement(HARDENED)
def test_hardened(dictionaries: Dictionaries, judge: Judge) -> None:
    def by_dimension(world: World) -> list[tuple[int, float]]:
        return [
            pair
            for sae in world.saes(dictionaries, TYPICAL)
            for pair in zip(sae.features.dims, angles(sae, world.subspaces(sae)), strict=True)
        ]

    judge(
        lambda world=World(): {
            part: off(world.saes(dictionaries, part), world, summary)
            for part, summary in ((LOWEST, max), (TYPICAL, median))
        },
        figures=[
            lambda _: [figures.angles(by_dimension(World()), by_dimension(SCALAR_CLUSTERS), bar=5)]
        ],
    )
