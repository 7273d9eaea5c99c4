"""How ablating components of a suite's models changes the loss, and what gradients predict."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
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

AS_RELEASED, MIDPOINTS = 0.0, 0.5
"""Where in its steps the integral of gradients is read: see `integrated_gradients`."""


@dataclass(frozen=True)
class Subject:
    """Models whose components are ablated: their means, and the models' inputs."""

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
    def subject(self, model: nn.Module, *, published: bool = False) -> Subject:
        """Measure the means of a model's components, and give the inputs for their effects.

        With `published`, on the paper's sequences, where it says which they are.
        """

    @abstractmethod
    def batches(self) -> Iterator[tuple[nn.Module, dict[str, Tensor], list[Sequence[Inputs]]]]:
        """Yield every seed's model, its components' means, and several batches of its own."""


INTEGRATED, ATTRIBUTED = "integrated gradients", "attribution patching"

Predicted = Float[Tensor, "seed batch component"]
Compared = dict[str, tuple[Predicted, Predicted]]
"""By predictor, its predictions and the measured effects."""


@lru_cache(maxsize=1)
def trained(suite: Components) -> Compared:
    """The models themselves: no control."""
    integrated = _integrated(map(suite.subject, suite.component_models()), MIDPOINTS)
    return {INTEGRATED: integrated, ATTRIBUTED: _attributed(suite.batches())}


def untrained(suite: Components) -> Compared:
    """The models before training, with the parameters that the cohort shares from seed 0."""
    models = suite.component_models(trained=False)
    return {INTEGRATED: _integrated(map(suite.subject, models), MIDPOINTS)}


def linear(suite: Components) -> Compared:
    """Linear models with the same number of components and a linear loss: gradients are exact."""
    subjects = list(_linear_models(suite))
    batches = ((s.model, s.means, [s.inputs]) for s in subjects)
    return {INTEGRATED: _integrated(subjects, MIDPOINTS), ATTRIBUTED: _attributed(batches)}


def other_components(suite: Components) -> Compared:
    """The models' predictions, permuted among components, so that they predict nothing."""
    return _permuted(suite, trained(suite))


@lru_cache(maxsize=1)
def as_published(suite: Components) -> Compared:
    """The models themselves: one batch for all, and the integral's points as released."""
    subjects = [suite.subject(m, published=True) for m in suite.component_models()]
    batches = [(s.model, s.means, [s.inputs]) for s in subjects]
    return {INTEGRATED: _integrated(subjects, AS_RELEASED), ATTRIBUTED: _attributed(batches)}


def untrained_as_published(suite: Components) -> Compared:
    """As `untrained`, with the integral's points as released."""
    models = suite.component_models(trained=False)
    subjects = (suite.subject(model, published=True) for model in models)
    return {INTEGRATED: _integrated(subjects, AS_RELEASED)}


def others_as_published(suite: Components) -> Compared:
    """As `other_components`, of what `as_published` predicts."""
    return _permuted(suite, as_published(suite))


def _permuted(suite: Components, compared: Compared) -> Compared:
    result = {}
    for name, (predicted, effects) in compared.items():
        orders = [
            torch.randperm(predicted.shape[-1], generator=torch.Generator().manual_seed(seed))
            for seed in suite.seeds
        ]
        rows = [row[:, order] for row, order in zip(predicted, orders, strict=True)]
        result[name] = (torch.stack(rows), effects)
    return result


def _integrated(subjects: Iterable[Subject], at: float) -> tuple[Predicted, Predicted]:
    """Compare one subject after another, so that large models need not stay in memory."""
    rows = [
        (
            integrated_gradients(s.model, s.means, s.few, at=at),
            ablation_effects(s.model, s.means, s.few),
        )
        for s in subjects
    ]
    return _by_seed([[row] for row in rows])


def _attributed(
    batches: Iterable[tuple[nn.Module, dict[str, Tensor], Sequence[Sequence[Inputs]]]],
) -> tuple[Predicted, Predicted]:
    return _by_seed(
        [
            [
                (attribution_patching(model, means, b), ablation_effects(model, means, b))
                for b in several
            ]
            for model, means, several in batches
        ]
    )


def _by_seed(rows: list[list[tuple[Effects, Effects]]]) -> tuple[Predicted, Predicted]:
    """Stack the batches of every model, or stack of models."""
    predicted, effects = (
        torch.cat(
            [
                torch.stack([torch.atleast_2d(batch[which]).cpu() for batch in of_model], dim=1)
                for of_model in rows
            ]
        )
        for which in (0, 1)
    )
    return predicted, effects


def _linear_models(suite: Components) -> Iterator[Subject]:
    count = len(places(next(iter(suite.component_models()))).components)
    for seed in suite.seeds:
        model = LinearModel.random(count, 16, seed).double()
        generator = torch.Generator().manual_seed(seed)
        many, some = (_linear_inputs(model, count, generator) for count in (512, 64))
        yield Subject(model, mean_outputs(model, many), some, some)


def _linear_inputs(model: LinearModel, sequences: int, generator: torch.Generator) -> list[Inputs]:
    d = len(model.readout)
    x = torch.randn(sequences, 8, d, generator=generator, dtype=torch.float64)
    real = torch.ones(x.shape[:2], dtype=torch.bool)
    return [Inputs(lambda: model(x), real, real.numel())]
