"""The components of Dyck models: what their ablation changes, measured on the paper's mix."""

from functools import lru_cache

from polyrot.bars import EFFECT_SEQUENCES, MEAN_SEQUENCES, analysis_batch
from polyrot.capabilities.components import Subject
from polyrot.interventions.effects import Effects, ablation_effects, dyck_inputs, mean_outputs
from polyrot.models.transformer import StackedTransformer

INTEGRATED_SEQUENCES = 32
"""Sequences for integrated gradients: 320 forward and backward runs.  Effects are measured on the
same sequences; prediction and effect agree whatever the sequences."""


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
def effects(models: StackedTransformer) -> Effects:
    """Mean-ablation effects of every seed's components."""
    measured = subject(models)
    return ablation_effects(models, measured.means, measured.inputs)
