"""Models and answers of known truth that replace the trained ones."""

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from polyrot.bars import PerSeed, label_divergence, smoothed, specification
from polyrot.experiments.dyck.components import effects
from polyrot.experiments.dyck.functions import (
    averaged_depths,
    changed_models,
    divergence_from_labels,
    swapped_blocks,
)
from polyrot.experiments.dyck.suite import DyckModels
from polyrot.interventions.effects import Effects
from polyrot.models.harvest import predict, real_labels
from polyrot.models.transformer import State
from polyrot.suites.draws import draw_seed
from polyrot.tasks.dyck import ANALYSIS_LENGTHS, LabelledSequences

WRONG = 0.05
"""Share of wrong answers where the accuracy is planted."""


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


def planted_answers(
    dyck: DyckModels, batch: LabelledSequences
) -> tuple[Bool[Tensor, "seed token"], Bool[Tensor, "seed token"]]:
    """Return masks of correct answers: all but one in twenty, and all."""
    generator = torch.Generator().manual_seed(27)
    draw = torch.rand(len(dyck.seeds), int(batch.lengths.sum()), generator=generator)
    return draw >= WRONG, torch.ones_like(draw, dtype=torch.bool)


def cut_answers(
    dyck: DyckModels, batch: LabelledSequences
) -> tuple[Bool[Tensor, "seed token"], Bool[Tensor, "seed token"]]:
    """Return masks of correct answers by models that see nothing after length 48, and that do.

    Beyond it they repeat the answer that they gave there.
    """
    predicted = predict(dyck.models, batch)["depth"].argmax(-1)
    labels = real_labels(batch)["depth"]
    starts = np.concatenate([[0], batch.lengths.cumsum()[:-1]])
    seen = [
        first + np.minimum(np.arange(length), ANALYSIS_LENGTHS[1])
        for first, length in zip(starts, batch.lengths, strict=True)
    ]
    repeated = predicted[:, torch.from_numpy(np.concatenate(seen))]
    return repeated == labels, predicted == labels
