"""How ablating components of a suite's models changes the loss, and what gradients predict."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from polyrot.interventions.attribution import attribution_patching, integrated_gradients
from polyrot.interventions.effects import (
    Effects,
    Inputs,
    ablation_effects,
    mean_outputs,
)
from polyrot.interventions.places import places
from polyrot.models.linear import LinearModel
from polyrot.suites.capability import Capability
from polyrot.suites.suite import Suite


@dataclass(frozen=True)
class Subject:
    """A model whose components are ablated: their means, and the model's inputs."""

    model: nn.Module
    means: dict[str, Tensor]
    inputs: Sequence[Inputs]
    few: Sequence[Inputs]
    """Inputs for integrated gradients."""


class Components(Suite, Capability):
    """Models whose components can be ablated."""

    what = "models whose components can be ablated"

    @abstractmethod
    def component_models(self, *, trained: bool = True) -> Iterable[nn.Module]:
        """Return the models, trained or before training: one stack, or one model per seed."""

    @abstractmethod
    def subject(self, model: nn.Module) -> Subject:
        """Measure the means of a model's components, and give the inputs for their effects."""


INTEGRATED, ATTRIBUTED = "integrated gradients", "attribution patching"

Compared = dict[str, tuple[Effects, Effects]]
"""By predictor, its predictions and the measured effects; one row per seed."""


@lru_cache(maxsize=1)
def trained(suite: Components) -> Compared:
    """The models themselves: no control."""
    return _compared(map(suite.subject, suite.component_models()))


def untrained(suite: Components) -> Compared:
    """The models before training, with the parameters that the cohort shares from seed 0."""
    return _compared(map(suite.subject, suite.component_models(trained=False)))


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
