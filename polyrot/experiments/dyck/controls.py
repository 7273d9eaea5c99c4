"""Models, answers and cohorts of known truth that replace the trained ones."""

from collections.abc import Callable

import torch
from jaxtyping import Bool
from torch import Tensor

from polyrot.bars import PerSeed, label_divergence, smoothed, specification
from polyrot.experiments.dyck.components import effects
from polyrot.experiments.dyck.functions import (
    averaged_depths,
    changed_models,
    divergence_from_labels,
    restacked,
    swapped_blocks,
)
from polyrot.experiments.dyck.suite import DyckModels
from polyrot.experiments.dyck.weights import with_noise
from polyrot.interventions.effects import Effects
from polyrot.models.harvest import real_labels
from polyrot.models.transformer import HEADS, StackedTransformer, State
from polyrot.suites.draws import draw_seed
from polyrot.symmetry.group import Symmetry
from polyrot.tasks.dyck import LabelledSequences

UNEMBEDDINGS = tuple(HEADS.values())
NOISE = 2.0
"""Variance of noise on the unembeddings, larger than that of their entries."""
WRONG = 0.05
"""Share of wrong answers where the accuracy is planted."""

Cohorts = tuple[StackedTransformer, StackedTransformer]
"""Seeds that share nothing, and seeds that share their embedding and unembeddings."""


def decoy_divergence(dyck: DyckModels, sequences: int) -> PerSeed:
    """Return bar B of the paper's decoy of each seed: see `averaged_depths`."""
    return divergence_from_labels(changed_models(dyck, averaged_depths), sequences)


def swapped_divergence(dyck: DyckModels, sequences: int) -> PerSeed:
    """Return bar B of each seed with its first two blocks swapped."""
    return divergence_from_labels(changed_models(dyck, swapped_blocks), sequences)


def algorithm_divergence(dyck: DyckModels, sequences: int) -> PerSeed:
    """Return bar B of a model whose predictions are the smoothed labels, once for each seed."""
    labels, config = real_labels(specification(sequences)), dyck.models.config
    counts = {"token": config.vocabulary, "depth": config.depths, "valid": 2}
    answers = {
        head: smoothed(labels[head], count).log().expand(len(dyck.seeds), -1, -1)
        for head, count in counts.items()
    }
    return label_divergence(answers, labels)


def other_components(dyck: DyckModels, source: int, target: int) -> tuple[Effects, Effects]:
    """Return the effects of the source's components, and the same in another order."""
    of_source = effects(dyck.models)[dyck.index(source)]
    generator = torch.Generator().manual_seed(draw_seed(source, target, 24))
    return of_source, of_source[torch.randperm(len(of_source), generator=generator)]


def random_depth_unembedding(state: State) -> State:
    """Replace the depth unembedding by noise with three times its standard deviation."""
    generator = torch.Generator().manual_seed(25)
    depth = state["W_U_depth"]
    noise = 3 * depth.std() * torch.randn(depth.shape, generator=generator)
    return {**state, "W_U_depth": noise}


def noisy_unembeddings(dyck: DyckModels) -> Cohorts:
    """The sharing cohort with noise on each seed's unembeddings, against the unchanged cohort."""
    return _changed(
        dyck, lambda i, state: with_noise(state, NOISE, draw_seed(i, 26), names=UNEMBEDDINGS)
    )


def rotated_bases(dyck: DyckModels) -> Cohorts:
    """The sharing cohort in Haar-rotated bases, against itself: equal up to symmetries."""
    config = dyck.cohort("dyck3").config
    return _changed(
        dyck,
        lambda i, state: Symmetry.random(config, draw_seed(i, 28), residual=True).apply(state),
    )


def one_boundary(dyck: DyckModels) -> Cohorts:
    """The independent cohort with the first seed's unembeddings in every seed."""
    first, *others = [dyck.models.state(i) for i in range(len(dyck.seeds))]
    unembeddings = {name: first[name] for name in (*UNEMBEDDINGS, "ln_f.gain")}
    states = [first, *({**state, **unembeddings} for state in others)]
    return restacked(dyck, states), dyck.cohort("dyck3")


def planted_answers(
    dyck: DyckModels, batch: LabelledSequences
) -> tuple[Bool[Tensor, "seed token"], Bool[Tensor, "seed token"]]:
    """Return masks of correct answers: all but one in twenty, and all."""
    generator = torch.Generator().manual_seed(27)
    draw = torch.rand(len(dyck.seeds), int(batch.lengths.sum()), generator=generator)
    return draw >= WRONG, torch.ones_like(draw, dtype=torch.bool)


def _changed(dyck: DyckModels, change: Callable[[int, State], State]) -> Cohorts:
    shared = dyck.cohort("dyck3")
    return restacked(dyck, [change(i, shared.state(i)) for i in range(shared.seeds)]), shared
