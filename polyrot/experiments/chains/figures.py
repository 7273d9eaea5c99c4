"""The figures of the claims about Markov chains."""

from itertools import combinations

import torch

from polyrot.capabilities.figures import Labelled, eigenvalues, mean_and_extremes
from polyrot.cores.comparison import overlap, random_overlaps
from polyrot.cores.dynamics import fit_dynamics
from polyrot.experiments.chains import controls
from polyrot.experiments.chains.models import ChainModels, Chains
from polyrot.verdict.figure import Figure, Mark, Role, Series
from polyrot.verdict.figures import numbers

NULL_DRAWS = 4_000
"""Pairs of random subspaces in a histogram."""


def spectra(chains: Chains, *, common_shift: bool) -> list[Figure]:
    """Draw the energy of each direction of ACE: the mean over seeds, the lowest and the highest.

    With or without the direction that shifts all logits alike.
    """
    worlds: dict[Labelled, ChainModels] = {
        ("trained", Role.MODELS): chains.models,
        ("untrained", Role.NEGATIVE): chains.untrained_models,
        ("hangs on one bit", Role.NEGATIVE): chains.models_of("markov-two-rows"),
        ("six states", Role.POSITIVE): chains.models_of("markov-6"),
    }
    series = []
    for (label, role), models in worlds.items():
        cores = (models if common_shift else models.without_common_shift).cores
        weights = [core.weights for core in cores]
        count = min(map(len, weights))
        shares = torch.stack([seed[:count] / seed.sum() for seed in weights])
        series.append(mean_and_extremes(label, role, range(1, count + 1), shares))
    return [
        Figure(
            "spectra",
            "Energy of the directions",
            "Squared Hankel singular values as a share of their sum: mean over seeds, the lowest "
            "and the highest. No more directions than the unembedding has outputs can have any.",
            "direction",
            "share of the energy",
            Mark.LINES,
            tuple(series),
            log_y=True,
        )
    ]


def overlaps(chains: Chains) -> list[Figure]:
    """Draw the overlaps of the cores of two seeds over the histogram of random subspaces'."""
    models = chains.models
    bases = [controls.core(models, index) for index in range(len(chains.seeds))]
    found = [overlap(one, other) for one, other in combinations(bases, 2)]
    chance = random_overlaps(models.d_model, [models.rank] * 2, NULL_DRAWS, seed=44)
    measured = torch.tensor(found, dtype=torch.float64)
    both = torch.cat([measured, chance.double()])
    edges = torch.linspace(float(both.min()) - 1e-9, float(both.max()) + 1e-9, 31).double()
    series = []
    for label, role, drawn in (("chance", Role.NULL, chance), ("models", Role.MODELS, measured)):
        counts = torch.histogram(drawn.double(), edges).hist
        series.append(Series(label, role, numbers(edges), numbers(counts / counts.sum())))
    return [
        Figure(
            "chance",
            "Against chance",
            "Every pair of seeds, and pairs of independent random subspaces.",
            "overlap of the projectors",
            "share",
            Mark.STEPS,
            tuple(series),
        )
    ]


def operators(chains: Chains) -> list[Figure]:
    """Draw the eigenvalues of the maps from one position to the next, with the chain's."""
    models = chains.models
    found = {("the chain", Role.POSITIVE): [models.chain.spectrum]}
    for label, role, world in (
        ("cores", Role.MODELS, controls.in_the_core),
        ("random subspaces", Role.NEGATIVE, controls.in_a_random_subspace),
        ("untrained models", Role.NEGATIVE, controls.before_training),
    ):
        coordinates = (world(chains, index) for index in range(len(chains.seeds)))
        fitted = [fit_dynamics(x[~models.held_out]) for x in coordinates]
        found[label, role] = [dynamics.eigenvalues for dynamics in fitted]
    caption = "Of the least-squares map from one position's coordinates to the next's, every seed."
    return [eigenvalues(found, caption=caption)]
