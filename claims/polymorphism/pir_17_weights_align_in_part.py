"""PIR-17: weights align across seeds, but only in part, Bar P.

"Polymorphism Is Rotation" (arXiv 2605.24577): after the symmetry search, the largest mean squared
difference of any tensor of the folded weights is 0.49 to 0.58 per entry.  A Cayley refinement of
the residual rotation brings it down to at most 0.6 of that.  The joint loss, which adds the
misalignment of activations with a weight lambda, nowhere falls below the bar of 1e-3.  As
published: from seed 0, and the search does not rotate the residual stream; it "misses the
rotation".  Hardened: all pairs, and the search rotates the residual stream too, from several
starts, so that no refinement is left to judge.  The difference is in squared units of the weights,
which grow with training, so that seeds trained for less long decide nothing.
"""

import math

import pytest

from polyrot import bars
from polyrot.claim import *
from polyrot.experiments.dyck import weights
from polyrot.experiments.dyck.suite import DyckModels
from polyrot.experiments.dyck.weights import WeightWorld
from polyrot.symmetry.refine import refine_rotation

CLAIM = Claim(
    "PIR-17",
    "Weights align across seeds only down to 0.26",
    "arXiv 2605.24577, cross-seed Bar P",
    {"dyck3": "0.49-0.58, refined 0.264-0.298; self 1.3e-10"},
)
LOW, HIGH, SHARE = 0.4, 0.7, 0.6
BAR = Bar.above(
    0.0,
    f"MSE in [{LOW}, {HIGH}]; {SHARE} - share left by Cayley; log10 of joint MSE / 1e-3",
)
SEARCH, CAYLEY, JOINT = "symmetry search", "Cayley refinement", "joint loss"
FROM_FIRST = "seeds 1 to 4 from seed 0"
SEARCHED = (0.580, 0.540, 0.579, 0.490)
"""Published: the largest MSE, by seed."""
LEFT = (0.279 / 0.580, 0.280 / 0.540, 0.298 / 0.579, 0.264 / 0.490)
"""The share of it that the refinement leaves."""
PUBLISHED = Measurement(
    CLAIM,
    BAR,
    (
        negative("symmetric image", weights.image, SEARCH, JOINT),
        negative("depth-unembedding decoy", weights.decoy, SEARCH),
        negative("longer unembedding", weights.scaled, CAYLEY),
        positive("partly turned, with noise", weights.part_turned),
    ),
    published=True,
    printed={
        "dyck3": (
            Printed(tuple(min(m - LOW, HIGH - m) for m in SEARCHED), FROM_FIRST, (SEARCH,)),
            Printed(tuple(SHARE - left for left in LEFT), FROM_FIRST, (CAYLEY,)),
        )
    },
)
HARDENED = Measurement(
    CLAIM,
    BAR,
    (
        negative("symmetric image, turned", weights.turned_image, SEARCH, JOINT),
        negative("depth-unembedding decoy", weights.decoy, SEARCH),
        positive("longer unembedding", weights.scaled, SEARCH, JOINT),
    ),
)
CONVERGED = 0.9999
"""Accuracy of the paper's seeds, which the bar presumes."""


def margins(
    dyck: DyckModels, world: WeightWorld, seeds: tuple[int, int], *, published: bool
) -> dict[str, Measured]:
    """By part, how far above its bar the pair is; also the differences themselves."""
    pair = weights.weight_pair(dyck, world, *seeds)
    found = weights.alignment(dyck, world, *seeds, turn_residual=not published)
    joint = {
        weight: refine_rotation(
            pair.target, pair.source, found.symmetry, activations=pair.activations, weight=weight
        )
        for weight in (0.0, 0.1, 1.0, 10.0, 100.0)
    }
    largest, refined = found.worst, joint[0.0].worst
    means = {"mean largest MSE": largest, "mean largest MSE, refined": refined}
    parts = {SEARCH: Measured(min(largest - LOW, HIGH - largest), means=means)}
    if published:  # a search that rotates the stream already leaves no refinement to judge
        parts[CAYLEY] = Measured(SHARE - refined / largest, means={"mean largest MSE": refined})
    lowest = min(refinement.worst for refinement in joint.values())
    means = {}
    for weight, refinement in joint.items():
        means[f"mean MSE at lambda {weight:g}"] = refinement.worst
        means[f"mean unexplained at lambda {weight:g}"] = refinement.unexplained
    parts[JOINT] = Measured(math.log10(lowest / bars.PARAMETRIC), means=means)
    return parts


@pytest.mark.measurement(PUBLISHED)
def test_published(dyck: DyckModels, judge: Judge) -> None:
    dyck.check_sharing(shared_io=True)
    judge(
        lambda world=weights.as_trained: average_by_part(
            dyck.seed_pairs(anchored=True),
            lambda seeds: margins(dyck, world, seeds, published=True),
            anchor=dyck.seeds[0],
        ),
        proxy=dyck.short_of(CONVERGED),
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(dyck: DyckModels, judge: Judge) -> None:
    dyck.check_sharing(shared_io=True)
    judge(
        lambda world=weights.as_trained: average_by_part(
            dyck.seed_pairs(ordered=False),
            lambda seeds: margins(dyck, world, seeds, published=False),
        ),
        proxy=dyck.short_of(CONVERGED),
    )
