"""PIR-20: sharing the boundary changes the weights, not the rotation.

"Polymorphism Is Rotation" (arXiv 2605.24577): where seeds share nothing, the largest mean squared
difference of any tensor (Bar P) is 6.8 to 8.6; where they share their boundary, the embedding and
unembeddings, it is about 0.5.  It is largest on the unembeddings.  The margins are in decades: how
far the ratio, independent over shared, is above 5, and the difference of the unembeddings above
that of all other tensors.  Each pair of one cohort is compared with its counterpart in the other.
As published: from the first seed, and the symmetry search does not rotate the residual stream.
Hardened: all pairs, and the search rotates the stream too, so that seeds whose weights differ by a
rotation alone count as equal.
"""

import math

import pytest

from polyrot.claim import *
from polyrot.experiments.dyck import controls
from polyrot.experiments.dyck.controls import UNEMBEDDINGS, Cohorts
from polyrot.experiments.dyck.suite import DyckModels
from polyrot.experiments.dyck.weights import align_models

CLAIM = Claim(
    "PIR-20",
    "Boundary sharing changes weights, not the rotation",
    "arXiv 2605.24577, Bar P of both cohorts",
    {"dyck3-independent": "6.8-8.6 against 0.5"},
)
FACTOR = 5
RATIO, LARGEST = "independent / shared", "unembeddings / the rest"
BAR = Bar.above(0.0, f"decades of the ratio above {FACTOR}, and of unembeddings above the rest")
CONTROLS = (
    negative("independent against itself", lambda dyck: (dyck.models, dyck.models), RATIO),
    negative("shared, in rotated bases", controls.rotated_bases, RATIO),
    negative("one boundary", controls.one_boundary, LARGEST),
    positive("noise on the unembeddings", controls.noisy_unembeddings),
)
PUBLISHED = Measurement(
    CLAIM,
    BAR,
    CONTROLS,
    published=True,
    printed={
        "dyck3-independent": (
            Printed(
                (math.log10(6.8 / 0.580 / FACTOR), math.log10(8.6 / 0.490 / FACTOR)),
                "at most so far apart: 6.8 to 8.6 over 0.490 to 0.580",
                (RATIO,),
                ends=True,
            ),
        )
    },
)
HARDENED = Measurement(CLAIM, BAR, CONTROLS)


def as_trained(dyck: DyckModels) -> Cohorts:
    """The seeds that share nothing, and those that share their boundary."""
    return dyck.models, dyck.cohort("dyck3")


def margins(
    dyck: DyckModels, cohorts: Cohorts, seeds: tuple[int, int], *, published: bool
) -> dict[str, Measured]:
    """Decades above both bars."""
    i, j = map(dyck.index, seeds)
    independent, shared = (
        align_models(models, i, models, j, turn_residual=not published) for models in cohorts
    )
    means = {
        "mean largest MSE, independent": independent.worst,
        "mean largest MSE, shared": shared.worst,
    }
    ends = max(independent.mse[name] for name in UNEMBEDDINGS)
    rest = max(mse for name, mse in independent.mse.items() if name not in UNEMBEDDINGS)
    return {
        RATIO: Measured(math.log10(independent.worst / shared.worst / FACTOR), means=means),
        LARGEST: Measured(math.log10(max(ends, 1e-30) / rest)),  # zero has no logarithm
    }


def over_pairs(dyck: DyckModels, cohorts: Cohorts, *, published: bool) -> dict[str, Estimate]:
    return average_by_part(
        dyck.seed_pairs(anchored=published, ordered=published),
        lambda seeds: margins(dyck, cohorts, seeds, published=published),
        anchor=dyck.seeds[0] if published else None,
    )


@pytest.mark.measurement(PUBLISHED)
def test_published(dyck: DyckModels, judge: Judge) -> None:
    dyck.check_sharing(shared_io=False)
    judge(lambda world=as_trained: over_pairs(dyck, world(dyck), published=True))


@pytest.mark.measurement(HARDENED)
def test_hardened(dyck: DyckModels, judge: Judge) -> None:
    dyck.check_sharing(shared_io=False)
    judge(lambda world=as_trained: over_pairs(dyck, world(dyck), published=False))
