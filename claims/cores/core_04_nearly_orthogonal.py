"""CORE-04: cores of independently trained models sit in nearly orthogonal subspaces.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): the projectors of two
3-dimensional cores overlap by 0.02-0.04.  Independent random subspaces of 3 of 64 dimensions
overlap by 3/64 = 0.047 on average, so that the bar of the published number is met where nothing
keeps cores apart.  Hardened: is the mean over pairs lower than that of as many random subspaces,
97.5 times in 100?
"""

from collections.abc import Callable

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.cores.comparison import overlap, principal_angles, random_overlaps
from polyrot.experiments.chains import controls as subspaces
from polyrot.experiments.chains import figures as core_figures
from polyrot.stats.estimate import Estimate, jackknife, monte_carlo_p
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, Printed, negative, positive
from polyrot.verdict.figure import Figure
from polyrot.verdict.run import Judge

CLAIM = Claim(
    "CORE-04",
    "Cores sit in nearly orthogonal subspaces",
    "arXiv 2602.22600, Markov chain",
    {"markov": "0.02 to 0.04"},
    true_in=("chain-apart",),
    false_in=("chain-state", "chain-together"),
)
NULL_DRAWS = 4_000

Bases = list[Float[Tensor, "d_model rank"]]
World = Callable[[Suite], Bases]


def as_trained(suite: Suite) -> Bases:
    return [subspaces.own_core(suite.chain, i) for i in range(len(suite.seeds))]


def random_subspaces(suite: Suite) -> Bases:
    return [subspaces.random_subspace(suite.chain, i) for i in range(len(suite.seeds))]


def apart(suite: Suite) -> Bases:
    """Every seed has directions of its own: no two share any."""
    rank, count = suite.chain.rank, len(suite.seeds)
    axes = torch.eye(suite.chain.d_model, dtype=torch.float64)
    return list(axes[:, : count * rank].split(rank, dim=1))


PUBLISHED = Measurement(
    CLAIM,
    Bar.at_most(0.05, "mean overlap of the projectors"),
    (
        negative("independent random subspaces", random_subspaces),
        positive("disjoint subspaces", apart),
    ),
    published=True,
    printed={"markov": (Printed((0.02, 0.04), "pairs of three seeds", ends=True),)},
)
HARDENED = Measurement(
    CLAIM,
    Bar.at_most(0.025, "share of random subspaces that overlap less"),
    PUBLISHED.controls,
)


def overlaps(suite: Suite, bases: Bases) -> dict[tuple[int, int], float]:
    return {
        (source, target): overlap(bases[suite.index(source)], bases[suite.index(target)])
        for source, target in suite.seed_pairs(ordered=False)
    }


def extreme_angles(suite: Suite, bases: Bases) -> dict[str, float]:
    angles = [
        principal_angles(bases[suite.index(source)], bases[suite.index(target)])
        for source, target in suite.seed_pairs(ordered=False)
    ]
    ends = ("smallest principal angle, degrees", min), ("largest principal angle, degrees", max)
    return {name: end(float(a) for own in angles for a in own) for name, end in ends}


def random_means(suite: Suite, bases: Bases) -> Tensor:
    """Mean overlap over pairs of as many independent random subspaces, many times."""
    ranks = [basis.shape[1] for basis in bases]
    return random_overlaps(suite.chain.d_model, ranks, NULL_DRAWS, seed=43)


@pytest.mark.measurement(PUBLISHED)
def test_published(suite: Suite, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        bases = world(suite)
        return {"overlap": jackknife(overlaps(suite, bases), details=extreme_angles(suite, bases))}

    judge(measure)


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        bases = world(suite)
        mean = sum(overlaps(suite, bases).values()) / len(suite.seed_pairs(ordered=False))
        null = random_means(suite, bases)
        details = {"mean overlap": mean, "mean overlap of random subspaces": float(null.mean())}
        return {"overlap": monte_carlo_p(int((null <= mean).sum()), NULL_DRAWS, details=details)}

    judge(measure, figures=lambda estimates: beside_random(suite))


def beside_random(suite: Suite) -> list[Figure]:
    bases = as_trained(suite)
    singles = random_overlaps(suite.chain.d_model, [b.shape[1] for b in bases[:2]], 4_000, seed=44)
    return [
        core_figures.beside_chance(
            list(overlaps(suite, bases).values()),
            singles,
            what="overlap of the projectors",
            caption="Every pair of seeds, beside pairs of independent random subspaces.",
        )
    ]
