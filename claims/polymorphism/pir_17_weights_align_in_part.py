"""PIR-17: weights align across seeds, but only in part, Bar P.

"Polymorphism Is Rotation" (arXiv 2605.24577): after the symmetry search, the largest mean
squared difference of any tensor of the folded weights is 0.49 to 0.58 per entry.  A Cayley
refinement of the residual rotation brings it down to at most 0.6 of that.  The joint loss, which
adds the misalignment of activations with a weight lambda, nowhere falls below the bar of 1e-3.
As published: from seed 0, and the search does not rotate the residual stream; it "misses the
rotation".  Hardened: all pairs, and the search rotates the residual stream too, from several
starts, so there is no refinement left to judge.  The difference is in squared units of the
weights, which grow with training; so seeds trained for less long decide nothing.
"""

import math

import pytest

from polyrot import bars
from polyrot.claim import *
from polyrot.experiments.dyck import weights
from polyrot.experiments.dyck.suite import DyckModels
from polyrot.experiments.dyck.weights import WeightWorld, alignment, weight_pair
from polyrot.symmetry.refine import refine_rotation

CLAIM = Claim(
    "PIR-17",
    "Weights align across seeds only down to 0.26",
    "arXiv 2605.24577, cross-seed Bar P",
    {"dyck3": "0.49-0.58, refined 0.264-0.298; self 1.3e-10"},
)
LOW, HIGH, SHARE = 0.4, 0.7, 0.6
LAMBDAS = (0.0, 0.1, 1.0, 10.0, 100.0)
SEARCH, CAYLEY, JOINT = "symmetry search", "Cayley refinement", "joint loss"
BAR = Bar.above(
    0.0,
    f"MSE in [{LOW}, {HIGH}]; {SHARE} - share left by Cayley; log10 of joint MSE / 1e-3",
)
SEARCHED, REFINED = (0.580, 0.540, 0.579, 0.490), (0.279, 0.280, 0.298, 0.264)
"""Published: the largest MSE of seeds 1 to 4 from seed 0, before and after the refinement."""
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
            Printed(
                tuple(min(mse - LOW, HIGH - mse) for mse in SEARCHED),
                "seeds 1 to 4 from seed 0",
                (SEARCH,),
            ),
            Printed(
                tuple(SHARE - r / mse for r, mse in zip(REFINED, SEARCHED, strict=True)),
                "seeds 1 to 4 from seed 0",
                (CAYLEY,),
            ),
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
    pair = weight_pair(dyck, world, *seeds)
    found = alignment(dyck, world, *seeds, turn_residual=not published)
    joint = {
        weight: refine_rotation(
            pair.target, pair.source, found.symmetry, activations=pair.activations, weight=weight
        )
        for weight in LAMBDAS
    }
    refined = joint[0.0].worst
    lowest = min(refinement.worst for refinement in joint.values())
    means = {}
    for weight, refinement in joint.items():
        means[f"mean MSE at lambda {weight:g}"] = refinement.worst
        means[f"mean unexplained at lambda {weight:g}"] = refinement.unexplained
    found_means = {"mean largest MSE": found.worst, "mean largest MSE, refined": refined}
    inside = min(found.worst - LOW, HIGH - found.worst)
    parts = {SEARCH: Measured(inside, means=found_means)}
    if published:  # a search that rotates the stream already leaves no refinement to judge
        share = SHARE - refined / found.worst
        parts[CAYLEY] = Measured(share, means={"mean largest MSE": refined})
    parts[JOINT] = Measured(math.log10(lowest / bars.PARAMETRIC), means=means)
    return parts


def over_pairs(dyck: DyckModels, world: WeightWorld, *, published: bool) -> dict[str, Estimate]:
    return average_by_part(
        dyck.seed_pairs(anchored=published, ordered=published),
        lambda seeds: margins(dyck, world, seeds, published=published),
        anchor=dyck.seeds[0] if published else None,
    )


@pytest.mark.measurement(PUBLISHED)
def test_published(dyck: DyckModels, judge: Judge) -> None:
    dyck.check_sharing(shared_io=True)
    judge(
        lambda world=weights.as_trained: over_pairs(dyck, world, published=True),
        proxy=dyck.short_of(CONVERGED),
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(dyck: DyckModels, judge: Judge) -> None:
    dyck.check_sharing(shared_io=True)
    judge(
        lambda world=weights.as_trained: over_pairs(dyck, world, published=False),
        proxy=dyck.short_of(CONVERGED),
    )
