"""CORE-04: cores of independently trained models sit in nearly orthogonal subspaces.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): the projectors of two
3-dimensional cores overlap by 0.02-0.04.  Independent random subspaces of 3 of 64 dimensions
overlap by 3/64 = 0.047 on average, so the published number meets its bar even where nothing keeps
the cores apart.  Hardened: is the mean overlap over pairs lower than that of independent random
subspaces of the same ranks in 97.5% of draws?
"""

import pytest

from polyrot.claim import *
from polyrot.cores.comparison import overlap, principal_angles, random_overlaps
from polyrot.experiments.chains import controls, figures
from polyrot.experiments.chains.controls import Basis, Subspace
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
    negative("independent random subspaces", controls.random_subspace),
    positive("disjoint subspaces", controls.disjoint_subspace),
)
PUBLISHED = Measurement(
    CLAIM,
    Bar.at_most(0.05, "mean overlap of the projectors"),
    CONTROLS,
    published=True,
    printed={"markov": (Printed((0.02, 0.04), "pairs of three seeds", ends=True),)},
)
HARDENED = Measurement(
    CLAIM,
    Bar.at_most(0.025, "share of random subspaces that overlap less"),
    CONTROLS,
)
NULL_DRAWS = 4_000


def pairs_of_bases(chains: Chains, subspace: Subspace) -> dict[tuple[int, int], list[Basis]]:
    bases = {seed: subspace(chains.models, chains.index(seed)) for seed in chains.seeds}
    return {pair: [bases[seed] for seed in pair] for pair in chains.seed_pairs(ordered=False)}


def mean_overlap(chains: Chains, subspace: Subspace) -> Estimate:
    bases = pairs_of_bases(chains, subspace)
    angles = [float(angle) for pair in bases.values() for angle in principal_angles(*pair)]
    details = {
        "smallest principal angle, degrees": min(angles),
        "largest principal angle, degrees": max(angles),
    }
    return average(bases, lambda pair: overlap(*bases[pair]), details=details)


def share_below(chains: Chains, subspace: Subspace) -> Estimate:
    """How often independent random subspaces overlap less, on average over pairs."""
    models = chains.models
    overlaps = [overlap(*pair) for pair in pairs_of_bases(chains, subspace).values()]
    mean = sum(overlaps) / len(overlaps)
    null = random_overlaps(models.d_model, [models.rank] * len(chains.seeds), NULL_DRAWS, seed=43)
    details = {"mean overlap": mean, "mean overlap of random subspaces": float(null.mean())}
    return monte_carlo_p(int((null <= mean).sum()), NULL_DRAWS, details=details)


@pytest.mark.measurement(PUBLISHED)
def test_published(chains: Chains, judge: Judge) -> None:
    judge(lambda subspace=controls.core: {"overlap": mean_overlap(chains, subspace)})


@pytest.mark.measurement(HARDENED)
def test_hardened(chains: Chains, judge: Judge) -> None:
    judge(
        lambda subspace=controls.core: {"overlap": share_below(chains, subspace)},
        figures=[lambda _: figures.overlaps(chains)],
    )
