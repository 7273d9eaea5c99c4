"""How ablating components of a suite's models changes the loss, and what gradients predict."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Int
from torch import Tensor, nn

from polyrot.bars import EFFECT_SEQUENCES, MEAN_SEQUENCES, analysis_batch
from polyrot.interventions.attribution import attribution_patching, integrated_gradients
from polyrot.interventions.effects import (
    Effects,
    Inputs,
    ablation_effects,
    dyck_inputs,
    language_inputs,
    mean_outputs,
)
from polyrot.interventions.places import places
from polyrot.models.linear import LinearModel
from polyrot.models.transformer import StackedTransformer
from polyrot.suites.capability import Capability
from polyrot.suites.suite import Suite

INTEGRATED_SEQUENCES = 32
"""Sequences for integrated gradients: 320 forward and backward runs.  Effects are measured on the
same sequences; prediction and effect agree whatever the sequences."""


class Components(Suite, Capability):
    """Models whose components can be ablated."""

    what = "models whose components can be ablated"

    @abstractmethod
    def component_models(self, *, trained: bool = True) -> Iterable[nn.Module]:
        """Return the models, trained or before training: one stack, or one model per seed."""

    @property
    def component_tokens(self) -> tuple[Int[Tensor, "_ position"], Int[Tensor, "_ position"]]:
        """Tokens of language models: for the components' means, and for the effects."""
        raise self.lacks("language models")


@dataclass(frozen=True)
class Subject:
    """A model whose components are ablated: their means, and the model's inputs."""

    model: nn.Module
    means: dict[str, Tensor]
    inputs: Sequence[Inputs]
    few: Sequence[Inputs]
    """Inputs for integrated gradients."""


INTEGRATED, ATTRIBUTED = "integrated gradients", "attribution patching"

Compared = dict[str, tuple[Effects, Effects]]
"""By predictor, its predictions and the measured effects; one row per seed."""


@lru_cache(maxsize=1)
def trained(suite: Components) -> Compared:
    """The models themselves: no control."""
    return _compared(_subjects(suite, suite.component_models()))


def untrained(suite: Components) -> Compared:
    """The models before training, with the parameters that the cohort shares from seed 0."""
    return _compared(_subjects(suite, suite.component_models(trained=False)))


def linear(suite: Components) -> Compared:
    """Linear models with the same number of components and a linear loss: gradients are exact."""
    count = len(places(next(iter(suite.component_models()))).components)
    subjects = []
    for seed in suite.seeds:
        model = LinearModel.random(count, 16, seed).double()
        generator = torch.Generator().manual_seed(seed)
        many, some = (_linear_inputs(model, count, generator) for count in (512, 64))
        subjects.append(Subject(model, mean_outputs(model, many), some, some))
    return _compared(subjects)


def other_components(suite: Components) -> Compared:
    """The models' predictions, permuted among components, so that they predict nothing."""
    result = {}
    for name, (predicted, effects) in trained(suite).items():
        rows = [
            row[torch.randperm(len(row), generator=torch.Generator().manual_seed(seed))]
            for row, seed in zip(predicted, suite.seeds, strict=True)
        ]
        result[name] = (torch.stack(rows), effects)
    return result


def _subjects(suite: Components, models: Iterable[nn.Module]) -> Iterator[Subject]:
    for model in models:
        if isinstance(model, StackedTransformer):
            yield subject(model)
        else:
            device = next(model.parameters()).device
            for_means, for_effects = (
                language_inputs(model, tokens.to(device)) for tokens in suite.component_tokens
            )
            yield Subject(model, mean_outputs(model, for_means), for_effects, for_effects)


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


def _compared(subjects: Iterable[Subject]) -> Compared:
    """Compare one subject after another, so that large models need not stay in memory."""
    rows: dict[str, tuple[list[Effects], list[Effects]]] = {
        INTEGRATED: ([], []),
        ATTRIBUTED: ([], []),
    }
    for s in subjects:
        for name, predict, inputs in (
            (INTEGRATED, integrated_gradients, s.few),
            (ATTRIBUTED, attribution_patching, s.inputs),
        ):
            for column, measure in zip(rows[name], (predict, ablation_effects), strict=True):
                column.append(torch.atleast_2d(measure(s.model, s.means, inputs)).cpu())
    return {name: (torch.cat(p), torch.cat(m)) for name, (p, m) in rows.items()}


def _linear_inputs(model: LinearModel, sequences: int, generator: torch.Generator) -> list[Inputs]:
    d = len(model.readout)
    x = torch.randn(sequences, 8, d, generator=generator, dtype=torch.float64)
    real = torch.ones(x.shape[:2], dtype=torch.bool)
    return [Inputs(lambda: model(x), real, real.numel())]
