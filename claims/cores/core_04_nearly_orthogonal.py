"""CORE-04: cores of independently trained models sit in nearly orthogonal subspaces.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): the projectors of two
cores, of the rank that energy selects, overlap by 0.02-0.04.  But independent random subspaces of 3
of 64 dimensions overlap by 3/64 = 0.047 on average, so the published number meets its bar even
where nothing keeps the cores apart, unless cores have more dimensions.  Hardened: the overlap as a
share of the mean overlap of random subspaces of the same ranks, sqrt(rank A rank B) / 64.

The negative control averages every pair over many draws of random subspaces.  In the positive
control, models are planted that encode the state in subspaces orthogonal to each other.
"""

from collections.abc import Callable
from statistics import mean

import pytest

from polyrot.claim import *
from polyrot.cores.comparison import overlap, principal_angles, random_overlap
from polyrot.experiments.chains import controls, figures
from polyrot.experiments.chains.controls import Subspaces
from polyrot.experiments.chains.models import Chains

CLAIM = Claim(
    "CORE-04",
    "Cores sit in nearly orthogonal subspaces",
    "arXiv 2602.22600, Markov chain",
    {"markov": "0.02 to 0.04"},
    true_in=("chain-apart",),
    false_in=("chain-state", "chain-together"),
)
CONTROLS = (
    negative("independent random subspaces", controls.random_subspaces),
    positive("planted in orthogonal subspaces", controls.cores_apart),
)
PUBLISHED = Measurement(
    CLAIM,
    Bar.at_most(0.05, "mean overlap of the projectors", scale=Scale.LOG),
    CONTROLS,
    published=True,
    printed={"markov": (Printed((0.02, 0.04), "pairs of three seeds", ends=True),)},
)
HARDENED = Measurement(
    CLAIM,
    Bar.at_most(0.8, "mean overlap over that of random subspaces", scale=Scale.LOG),
    CONTROLS,
    printed={
        "markov": (Printed((0.02 * 64 / 3, 0.04 * 64 / 3), "0.02 to 0.04, over 3/64", ends=True),)
    },
)


def overlaps(
    chains: Chains, world: Callable[[Chains], Subspaces], *, over_chance: bool
) -> dict[str, Estimate]:
    """The overlap of the subspaces of two seeds, or its share of that of random subspaces."""
    subspaces = world(chains)

    def measure(pair: tuple[int, int]) -> Measured:
        several = [[draw[chains.index(seed)] for seed in pair] for draw in subspaces]
        ranks = [basis.shape[1] for basis in several[0]]
        found = mean(overlap(*bases) for bases in several)
        by_chance = random_overlap(chains.models.d_model, *ranks)
        angles = principal_angles(*several[0])
        return Measured(
            found / by_chance if over_chance else found,
            also={"overlap": found},
            means={"overlap of random subspaces": by_chance, "mean rank": mean(ranks)},
            lowest={"smallest principal angle, degrees": float(angles.min())},
        )

    return {"overlap": average(chains.seed_pairs(ordered=False), measure)}


@pytest.mark.measurement(PUBLISHED)
def test_published(chains: Chains, judge: Judge) -> None:
    judge(lambda world=controls.cores_found: overlaps(chains, world, over_chance=False))


@pytest.mark.measurement(HARDENED)
def test_hardened(chains: Chains, judge: Judge) -> None:
    judge(
        lambda world=controls.cores_found: overlaps(chains, world, over_chance=True),
        figures=[lambda _: figures.overlaps(chains)],
    )
