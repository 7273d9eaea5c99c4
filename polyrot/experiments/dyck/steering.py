"""Steering the Dyck-3 models: concepts defined by labels, effects measured on the output heads."""

from dataclasses import replace
from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from polyrot.capabilities.steering import ALPHAS, Steered, Vectors
from polyrot.experiments.dyck.suite import DyckModels
from polyrot.interventions.steering import (
    CONCEPTS,
    Concept,
    Effects,
    Where,
    difference_of_means,
    divergence,
    steer,
)
from polyrot.models.harvest import harvest
from polyrot.models.transformer import StackedTransformer, stack_states
from polyrot.suites.draws import draw_seed
from polyrot.symmetry.group import Symmetry

SITE = "resid_mid.1"
DIVERGENCE_STRIDE = 16
"""Every 16th sequence is run for the divergence over all positions: 64, as in the paper."""


class DyckSteered(Steered):
    """A stack of models at `resid_mid.1`."""

    concepts = CONCEPTS

    def __init__(self, suite: DyckModels, models: StackedTransformer, activations: Tensor) -> None:
        """Store a suite for its tokens, and models with their activations on these tokens."""
        self.suite: DyckModels = suite
        self._models = models
        self.activations = activations

    def concept_vectors(self, concept: Concept, *, held_out: bool) -> Vectors:
        return _mean_differences(self.suite, self.activations, concept, held_out)

    def concept_tokens(self, concept: Concept) -> Bool[Tensor, " token"]:
        return concept.toward(self.suite.labels) | concept.away(self.suite.labels)

    def effects(
        self, vectors: Vectors, concept: Concept, alphas: tuple[float, ...], *, held_out: bool
    ) -> Effects:
        return _effects(
            self.suite, self._models, self.activations, vectors, concept, alphas, held_out
        )

    def divergences(self, vectors: Vectors) -> Float[Tensor, "alpha seed"]:
        some = self.suite.activations.sequence % DIVERGENCE_STRIDE == 0
        return divergence(self._models, SITE, self.activations[:, some], vectors, ALPHAS)

    def images(self, source: int) -> "DyckSteered":
        return _images(self.suite, self._models, source)


def steered_models(suite: DyckModels) -> DyckSteered:
    """Steer the models of a suite."""
    return DyckSteered(suite, suite.models, suite.activations.at(SITE))


@lru_cache(maxsize=128)
def _mean_differences(
    suite: DyckModels, activations: Tensor, concept: Concept, held_out: bool
) -> Float[Tensor, "*seed d_model"]:
    seen = ~suite.held_out if held_out else torch.ones_like(suite.held_out)
    toward, away = (where(suite.labels) & seen for where in (concept.toward, concept.away))
    return difference_of_means(activations, toward, away)


@lru_cache(maxsize=512)  # tensors hash by identity: the effect of a model's vector is read once
def _effects(
    suite: DyckModels,
    models: StackedTransformer,
    activations: Tensor,
    vectors: Tensor,
    concept: Concept,
    alphas: tuple[float, ...],
    held_out: bool,
) -> Effects:
    scored = suite.held_out if held_out else torch.ones_like(suite.held_out)

    def read(at: Where) -> Effects:
        where = at(suite.labels) & scored
        true = suite.labels[concept.head][where]
        return steer(
            models,
            SITE,
            activations[:, where],
            vectors,
            head=concept.head,
            true=true,
            asked=concept.asked(true),
            alphas=alphas,
        )

    effects = read(concept.away)
    return effects if concept.drop_at is None else replace(effects, drop=read(concept.drop_at).drop)


@lru_cache(maxsize=8)
def _images(suite: DyckModels, models: StackedTransformer, source: int) -> DyckSteered:
    """Make a source's images in Haar-rotated bases, with activations on the suite's tokens."""
    config, state = models.config, models.state(source)
    code = models.positions(source)
    drawn = [
        Symmetry.random(config, draw_seed(source, target, 32), residual=True)
        for target in range(len(suite.seeds))
    ]
    images = StackedTransformer(
        config,
        stack_states([symmetry.apply(state) for symmetry in drawn]),
        torch.stack([symmetry.positions(config, code=code) for symmetry in drawn]),
    ).to(models.W_pos.device)
    return DyckSteered(suite, images, harvest(images, suite.tokens, (SITE,)).at(SITE))
