"""PIR-20: sharing the boundary changes the weights, not the rotation.

"Polymorphism Is Rotation" (arXiv 2605.24577): where seeds share nothing, Bar P's largest
per-tensor squared difference is 6.8 to 8.6, against about 0.5 where they share their
embedding and unembeddings, and it is largest on the unembeddings.  The margins are decades:
of (independent / shared) above 5, and of the unembeddings' difference above that of the rest.
As published, from the first seed, and the symmetry search leaves the residual stream as it is.
Hardened: all pairs, and it turns the stream too, so that seeds whose weights differ by a
rotation alone are not told apart.
"""

import math
from collections.abc import Callable

import pytest

from polyrot.experiments.dyck.functions import restacked
from polyrot.experiments.dyck.weights import align_models, with_noise
from polyrot.models.transformer import HEADS, StackedTransformer
from polyrot.stats.estimate import Estimate, jackknife
from polyrot.suites.draws import draw_seed
from polyrot.suites.suite import Suite
from polyrot.symmetry.group import Symmetry
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, Printed, negative, positive
from polyrot.verdict.run import Judge

Cohorts = Callable[[Suite], tuple[StackedTransformer, StackedTransformer]]
"""The seeds that share nothing, and those that share their boundary."""


def as_trained(suite: Suite) -> tuple[StackedTransformer, StackedTransformer]:
    return suite.models, suite.cohort("dyck3")


def against_itself(suite: Suite) -> tuple[StackedTransformer, StackedTransformer]:
    return suite.models, suite.models


def other_unembeddings(suite: Suite) -> tuple[StackedTransformer, StackedTransformer]:
    """The shared cohort against itself with noise on every seed's unembeddings."""
    shared = suite.cohort("dyck3")
    states = [
        with_noise(shared.state(i), NOISE, draw_seed(i, 26), names=UNEMBEDDINGS)
        for i in range(shared.seeds)
    ]
    return restacked(suite, states), shared


def rotated(suite: Suite) -> tuple[StackedTransformer, StackedTransformer]:
    """The shared cohort against itself in Haar-rotated bases: its weights, but for symmetries."""
    shared = suite.cohort("dyck3")
    states = [
        Symmetry.random(shared.config, draw_seed(i, 28), residual=True).apply(shared.state(i))
        for i in range(shared.seeds)
    ]
    return restacked(suite, states), shared


def one_boundary(suite: Suite) -> tuple[StackedTransformer, StackedTransformer]:
    """Every seed has the first one's unembeddings."""
    first, *others = [suite.models.state(i) for i in range(len(suite.seeds))]
    boundary = {name: first[name] for name in (*UNEMBEDDINGS, "ln_f.gain")}
    states = [first, *({**state, **boundary} for state in others)]
    return restacked(suite, states), suite.cohort("dyck3")


UNEMBEDDINGS = tuple(HEADS.values())
NOTHING = 1e-30
"""Stands for a difference of zero, of which there is no logarithm."""

NOISE = 2.0
"""Variance of noise on the unembeddings, more than their own."""

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
    negative("independent against itself", against_itself, RATIO),
    negative("shared, in rotated bases", rotated, RATIO),
    negative("one boundary", one_boundary, LARGEST),
    positive("noise on the unembeddings", other_unembeddings),
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


def margins(suite: Suite, world: Cohorts, *, published: bool) -> dict[str, Estimate]:
    """Decades above both bars; seed by seed, a pair of one cohort stands beside the other's."""
    independent, shared = world(suite)
    ratio: dict[tuple[int, int], float] = {}
    largest: dict[tuple[int, int], float] = {}
    worst: dict[str, list[float]] = {"independent": [], "shared": []}
    for seeds in suite.seed_pairs(anchored=published, ordered=published):
        i, j = map(suite.index, seeds)
        ours, theirs = (
            align_models(models, i, models, j, turn_residual=not published)
            for models in (independent, shared)
        )
        rest = max(mse for name, mse in ours.mse.items() if name not in UNEMBEDDINGS)
        ratio[seeds] = math.log10(ours.worst / theirs.worst / FACTOR)
        ends = max(ours.mse[name] for name in UNEMBEDDINGS)
        largest[seeds] = math.log10(max(ends, NOTHING) / rest)
        worst["independent"].append(ours.worst)
        worst["shared"].append(theirs.worst)
    details = {f"mean largest MSE, {name}": sum(w) / len(w) for name, w in worst.items()}
    anchor = suite.seeds[0] if published else None
    return {
        RATIO: jackknife(ratio, anchor=anchor, details=details),
        LARGEST: jackknife(largest, anchor=anchor),
    }


@pytest.mark.measurement(PUBLISHED)
def test_published(suite: Suite, judge: Judge) -> None:
    suite.check_sharing(shared_io=False)
    judge(lambda world=as_trained: margins(suite, world, published=True))


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    suite.check_sharing(shared_io=False)
    judge(lambda world=as_trained: margins(suite, world, published=False))
