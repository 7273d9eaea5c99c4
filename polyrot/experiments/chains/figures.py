"""The figures of the claims about Markov chains."""

from itertools import combinations

import torch

from polyrot.capabilities.figures import Labelled, eigenvalues, mean_and_extremes
from polyrot.cores.comparison import overlap, random_overlap, random_overlaps
from polyrot.cores.dynamics import fit_dynamics
from polyrot.experiments.chains import controls
from polyrot.experiments.chains.models import ChainModels, Chains
from polyrot.verdict.figure import Figure, Mark, Role, Series
from polyrot.verdict.figures import numbers

NULL_DRAWS = 400
"""Pairs of random subspaces in a histogram, for every pair of seeds."""


def spectra(chains: Chains, *, common_shift: bool) -> list[Figure]:
    """Draw the energy of each direction of ACE: the mean over seeds, the lowest and the highest.

    With or without the direction that shifts all logits alike.
    """
    worlds: dict[Labelled, ChainModels] = {
        ("trained", Role.MODELS): chains.models,
        ("untrained", Role.NEGATIVE): chains.untrained_models,
        ("depends on one bit", Role.NEGATIVE): chains.models_of("markov-two-rows"),
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
    """Draw the overlaps of two seeds' cores over the histogram of random subspaces'.

    As shares of the overlap that random subspaces of their ranks have on average.
    """
    models = chains.models
    measured, drawn = [], []
    for pair in combinations(range(len(chains.seeds)), 2):
        bases = [controls.core_by_energy(models, index) for index in pair]
        ranks = [basis.shape[1] for basis in bases]
        by_chance = random_overlap(models.d_model, *ranks)
        measured.append(overlap(*bases) / by_chance)
        drawn.append(random_overlaps(models.d_model, ranks, NULL_DRAWS, seed=44) / by_chance)
    found, chance = torch.tensor(measured, dtype=torch.float64), torch.cat(drawn).double()
    both = torch.cat([found, chance])
    edges = torch.linspace(float(both.min()) - 1e-9, float(both.max()) + 1e-9, 31).double()
    series = []
    for label, role, values in (("chance", Role.NULL, chance), ("models", Role.MODELS, found)):
        counts = torch.histogram(values, edges).hist
        series.append(Series(label, role, numbers(edges), numbers(counts / counts.sum())))
    return [
        Figure(
            "chance",
            "Against chance",
            "Every pair of seeds, and pairs of independent random subspaces of the same ranks.",
            "overlap of the projectors over that of random subspaces",
            "share",
            Mark.STEPS,
            tuple(series),
        )
    ]


def operators(chains: Chains, view: controls.View) -> list[Figure]:
    """Draw the eigenvalues of the maps from one position to the next, with the chain's."""
    models = chains.models
    found = {("the chain", Role.POSITIVE): [models.chain.spectrum]}
    for label, role, world in (
        ("cores", Role.MODELS, controls.in_the_core),
        ("random subspaces", Role.NEGATIVE, controls.in_a_random_subspace),
        ("untrained models", Role.NEGATIVE, controls.before_training),
    ):
        coordinates = (world(chains, view, index) for index in range(len(chains.seeds)))
        fitted = [fit_dynamics(x[~models.held_out]) for x in coordinates]
        found[label, role] = [dynamics.eigenvalues for dynamics in fitted]
    caption = "Of the least-squares map from one position's coordinates to the next's, every seed."
    return [eigenvalues(found, caption=caption)]
