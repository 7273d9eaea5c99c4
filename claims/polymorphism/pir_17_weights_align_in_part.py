"""PIR-17: weights align across seeds, but only in part, Bar P.

"Polymorphism Is Rotation" (arXiv 2605.24577): after the symmetry search the largest
per-tensor squared difference of the folded weights, per entry, is 0.49 to 0.58; a Cayley
refinement of the residual rotation leaves at most 0.6 of that; and the joint loss, which
adds the activations' misalignment at a weight lambda, gets nowhere below the bar of 1e-3.
As published, from seed 0, and the search leaves the residual stream as it is: it "misses the
rotation".  Hardened: all pairs, and the search turns it too, from several starts, which leaves
the refinement nothing to show.  The
difference is in squared units of the weights, which grow with training, so seeds trained for
less long decide nothing.
"""

import math

import pytest

from polyrot import bars
from polyrot.experiments.dyck import weights
from polyrot.experiments.dyck.weights import WeightWorld, alignment, weight_pair
from polyrot.stats.estimate import Estimate, jackknife
from polyrot.suites.suite import Suite
from polyrot.symmetry.refine import refine_rotation
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, Printed, negative, positive
from polyrot.verdict.run import Judge

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


def margins(suite: Suite, world: WeightWorld, *, published: bool) -> dict[str, Estimate]:
    """What is left above each part's bar; the differences themselves stand beside it."""
    values: dict[str, dict[tuple[int, int], float]] = {SEARCH: {}, CAYLEY: {}, JOINT: {}}
    beside: dict[str, dict[str, list[float]]] = {part: {} for part in values}
    for seeds in suite.seed_pairs(anchored=published, ordered=published):
        pair = weight_pair(suite, world, *seeds)
        found = alignment(suite, world, *seeds, turn_residual=not published)
        joint = {
            weight: refine_rotation(
                pair.target,
                pair.source,
                found.symmetry,
                activations=pair.activations,
                weight=weight,
            )
            for weight in LAMBDAS
        }
        refined = joint[0.0].worst
        lowest = min(refinement.worst for refinement in joint.values())
        values[SEARCH][seeds] = min(found.worst - LOW, HIGH - found.worst)
        values[CAYLEY][seeds] = SHARE - refined / found.worst
        values[JOINT][seeds] = math.log10(lowest / bars.PARAMETRIC)
        note(beside[SEARCH], "largest MSE", found.worst)
        note(beside[SEARCH], "largest MSE, refined", refined)
        note(beside[CAYLEY], "largest MSE", refined)
        for weight, refinement in joint.items():
            note(beside[JOINT], f"MSE at lambda {weight:g}", refinement.worst)
            note(beside[JOINT], f"unexplained at lambda {weight:g}", refinement.unexplained)
    anchor = suite.seeds[0] if published else None
    if not published:
        # The search has turned the stream already: what a refinement adds shows nothing.
        del values[CAYLEY]
    return {
        part: jackknife(values[part], anchor=anchor, details=means(beside[part])) for part in values
    }


def note(columns: dict[str, list[float]], name: str, value: float) -> None:
    columns.setdefault(f"mean {name}", []).append(value)


def means(columns: dict[str, list[float]]) -> dict[str, float]:
    return {name: sum(column) / len(column) for name, column in columns.items()}


@pytest.mark.measurement(PUBLISHED)
def test_published(suite: Suite, judge: Judge) -> None:
    suite.check_sharing(shared_io=True)
    judge(
        lambda world=weights.as_trained: margins(suite, world, published=True),
        proxy=suite.short_of(CONVERGED),
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    suite.check_sharing(shared_io=True)
    judge(
        lambda world=weights.as_trained: margins(suite, world, published=False),
        proxy=suite.short_of(CONVERGED),
    )
