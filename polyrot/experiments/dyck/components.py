"""The components of Dyck models: what their ablation changes, measured on the paper's mix."""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from torch import Tensor

from polyrot.bars import EFFECT_SEQUENCES, MEAN_SEQUENCES, analysis_batch
from polyrot.capabilities.components import Subject
from polyrot.interventions.effects import (
    Effects,
    Inputs,
    ablation_effects,
    dyck_inputs,
    mean_outputs,
)
from polyrot.models.transformer import StackedTransformer
from polyrot.tasks.dyck_released import sample_as_released

INTEGRATED_SEQUENCES = 32
"""Sequences for integrated gradients: 320 forward and backward runs.  Effects are measured on the
same sequences; prediction and effect agree whatever the sequences."""
PUBLISHED_INTEGRATED = 8
"""The same for the published measurement: the first of the paper's 256."""
BATCHES = 3
"""Batches of every seed on which attribution patching is measured: its correlation moves by tenths
from batch to batch."""


@lru_cache(maxsize=2)
def subject(models: StackedTransformer) -> Subject:
    """Measure the components' means, and draw the inputs for effects."""
    means = mean_outputs(models, dyck_inputs(models, analysis_batch(MEAN_SEQUENCES, seed=0)))
    inputs, few = (
        dyck_inputs(models, analysis_batch(sequences, seed=1))
        for sequences in (EFFECT_SEQUENCES, INTEGRATED_SEQUENCES)
    )
    return Subject(models, means, inputs, few)


@lru_cache(maxsize=2)
def published_subject(models: StackedTransformer) -> Subject:
    """As `subject`, on the sequences that the paper's code draws."""
    for_means = sample_as_released(MEAN_SEQUENCES // 128, 128, seed=0)
    for_effects = sample_as_released(1, EFFECT_SEQUENCES, seed=7)
    few = for_effects.cut(np.arange(PUBLISHED_INTEGRATED), for_effects.tokens.shape[1])
    means = mean_outputs(models, dyck_inputs(models, for_means))
    return Subject(models, means, dyck_inputs(models, for_effects), dyck_inputs(models, few))


def batches(
    models: StackedTransformer,
) -> Iterator[tuple[StackedTransformer, dict[str, Tensor], list[Sequence[Inputs]]]]:
    """Yield every model of a stack, its components' means, and batches of its own."""
    means = subject(models).means
    for i in range(models.seeds):
        model = models.take(i)
        drawn = (
            analysis_batch(EFFECT_SEQUENCES, seed=100 + BATCHES * i + k) for k in range(BATCHES)
        )
        yield (
            model,
            {name: mean[i : i + 1] for name, mean in means.items()},
            [dyck_inputs(model, batch) for batch in drawn],
        )


@lru_cache(maxsize=2)
def effects(models: StackedTransformer) -> Effects:
    """Mean-ablation effects of every seed's components."""
    measured = subject(models)
    return ablation_effects(models, measured.means, measured.inputs)
