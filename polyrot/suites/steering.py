"""Steering one seed with another's vector: as it is, carried, and controls of both."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.interventions.steering import (
    CONCEPTS,
    Concept,
    Effects,
    difference_of_means,
    divergence,
    steer,
)
from polyrot.linalg import haar
from polyrot.linalg.procrustes import Alignment, Group, align
from polyrot.models.harvest import harvest
from polyrot.models.transformer import StackedTransformer, stack_states
from polyrot.suites.pairs import draw_seed
from polyrot.suites.suite import Suite
from polyrot.symmetry.group import Symmetry

SITE = "resid_mid.1"
ALPHAS = (0.5, 1.0, 2.0, 4.0)
DIVERGENCE_STRIDE = 16
"""One sequence in so many is run for the divergence over all positions: 64, as in the paper."""

Vectors = Float[Tensor, "seed d_model"]


@dataclass(frozen=True)
class Trial:
    """The models that are steered by one source's vector, and the vector that each is given."""

    models: StackedTransformer
    activations: Float[Tensor, "seed token d_model"]
    """Of those models at `SITE`."""
    vectors: Vectors


SteeringWorld = Callable[[Suite, int, Concept, bool], Trial]
"""The trial of a source (its position) and a concept.

The last argument says whether vectors and rotations may see only the tokens to fit, or all."""


def uncarried(suite: Suite, source: int, concept: Concept, held_out: bool) -> Trial:
    """The source's vector as it is."""
    vectors = _own(suite, concept, held_out)
    return _on_models(suite, vectors[source].expand_as(vectors))


def carried(suite: Suite, source: int, concept: Concept, held_out: bool) -> Trial:
    """The source's vector, carried into each target's basis by the fitted rotation."""
    return _on_models(suite, _carried(suite, source, concept, "O", held_out))


def carried_by_affine_map(suite: Suite, source: int, concept: Concept, held_out: bool) -> Trial:
    """The source's vector, carried by the best affine map: what a rotation competes with."""
    return _on_models(suite, _carried(suite, source, concept, "affine", held_out))


def randomly_rotated(suite: Suite, source: int, concept: Concept, held_out: bool) -> Trial:
    """The source's vector under a rotation that is drawn, not fitted."""
    vector = _own(suite, concept, held_out)[source]
    turns = [
        haar.sample(len(vector), group="SO", seed=draw_seed(source, target, 30))
        for target in range(len(suite.seeds))
    ]
    return _on_models(suite, torch.stack([vector @ turn for turn in turns]))


def random_direction(suite: Suite, source: int, concept: Concept, held_out: bool) -> Trial:
    """A random direction as long as the source's vector."""
    vectors = _own(suite, concept, held_out)
    seed = draw_seed(source, CONCEPTS.index(concept), 31)
    noise = torch.randn(vectors.shape, generator=torch.Generator().manual_seed(seed)).double()
    length = vectors[source].norm() / noise.norm(dim=-1, keepdim=True)
    return _on_models(suite, noise * length)


def own(suite: Suite, source: int, concept: Concept, held_out: bool) -> Trial:
    """Each target's own vector."""
    return _on_models(suite, _own(suite, concept, held_out))


def own_at(doses: Callable[[Concept], float]) -> SteeringWorld:
    """Each target's own vector, times a dose that depends on the concept."""

    def world(suite: Suite, source: int, concept: Concept, held_out: bool) -> Trial:
        made = own(suite, source, concept, held_out)
        return Trial(made.models, made.activations, doses(concept) * made.vectors)

    return world


def carried_to_images(suite: Suite, source: int, concept: Concept, held_out: bool) -> Trial:
    """Each target is the source in a Haar-rotated basis: a rotation is all that differs."""
    models, activations = _images(suite, source)
    seen, _ = _split(suite, held_out=held_out)
    x = suite.activations.at(SITE)[source]
    vector = _own(suite, concept, held_out)[source]
    vectors = [align(x[seen], y[seen], holdout=0).carry_vector(vector) for y in activations]
    return Trial(models, activations, torch.stack(vectors))


@lru_cache(maxsize=256)
def trial(
    suite: Suite, world: SteeringWorld, source: int, concept: Concept, *, held_out: bool
) -> Trial:
    """The trial of a world, made once for all that is measured on it.

    Raises:
        NotRun: where the suite has no models.
    """
    _ = suite.models
    return world(suite, source, concept, held_out)


def effects(
    suite: Suite,
    world: SteeringWorld,
    source: int,
    concept: Concept,
    alphas: tuple[float, ...] = ALPHAS,
    *,
    held_out: bool,
) -> tuple[Effects, Effects]:
    """Steer every model of a trial with the vector it is given, and with its own.

    With `held_out`, vectors and rotations are made of the tokens to fit and effects read on those
    held out; else both on all.
    """
    made = trial(suite, world, source, concept, held_out=held_out)
    own = own_vectors(suite, made.activations, concept, held_out=held_out)
    given, by_own = (
        _read(suite, made.models, made.activations, vectors, concept, alphas, held_out)
        for vectors in (made.vectors, own)
    )
    return given, by_own


@lru_cache(maxsize=512)  # tensors hash by identity: a model's own effect is read once
def _read(
    suite: Suite,
    models: StackedTransformer,
    activations: Tensor,
    vectors: Tensor,
    concept: Concept,
    alphas: tuple[float, ...],
    held_out: bool,
) -> Effects:
    _, scored = _split(suite, held_out=held_out)
    where = concept.away(suite.labels) & scored
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


@lru_cache(maxsize=128)
def divergences(
    suite: Suite, world: SteeringWorld, source: int, concept: Concept
) -> Float[Tensor, "alpha seed"]:
    """Mean KL(clean || steered) in nats of every model of a trial, on 64 sequences."""
    steered = trial(suite, world, source, concept, held_out=False)
    some = suite.activations.sequence % DIVERGENCE_STRIDE == 0
    x = steered.activations[:, some]
    return divergence(steered.models, SITE, x, steered.vectors, ALPHAS)


@lru_cache(maxsize=128)
def own_vectors(
    suite: Suite,
    activations: Float[Tensor, "*seed token d_model"],
    concept: Concept,
    *,
    held_out: bool,
) -> Float[Tensor, "*seed d_model"]:
    """Difference of means, on the tokens to fit or on all."""
    seen, _ = _split(suite, held_out=held_out)
    labels = suite.labels
    toward, away = (where(labels) & seen for where in (concept.toward, concept.away))
    return difference_of_means(activations, toward, away)


def targets(suite: Suite, *, anchored: bool) -> Iterator[tuple[tuple[int, int], int, int]]:
    """Yield seeds, and the positions of source and target."""
    for source, target in suite.seed_pairs(anchored=anchored):
        yield (source, target), suite.index(source), suite.index(target)


def _split(suite: Suite, *, held_out: bool) -> tuple[Tensor, Tensor]:
    every = torch.ones_like(suite.held_out)
    return (~suite.held_out, suite.held_out) if held_out else (every, every)


def _on_models(suite: Suite, vectors: Tensor) -> Trial:
    return Trial(suite.models, suite.activations.at(SITE), vectors)


def _own(suite: Suite, concept: Concept, held_out: bool) -> Vectors:
    return own_vectors(suite, suite.activations.at(SITE), concept, held_out=held_out)


def _carried(suite: Suite, source: int, concept: Concept, group: Group, held_out: bool) -> Vectors:
    vector = _own(suite, concept, held_out)[source]
    return torch.stack([f.carry_vector(vector) for f in _fits(suite, source, group, held_out)])


@lru_cache(maxsize=64)
def _fits(suite: Suite, source: int, group: Group, held_out: bool) -> list[Alignment]:
    """The maps from a seed to every other, itself included."""
    seen, _ = _split(suite, held_out=held_out)
    x = suite.activations.at(SITE)[:, seen]
    return [align(x[source], y, group=group, holdout=0) for y in x]


@lru_cache(maxsize=8)
def _images(suite: Suite, source: int) -> tuple[StackedTransformer, Tensor]:
    """A source's images in Haar-rotated bases, and their activations on the suite's tokens."""
    config, state = suite.models.config, suite.models.state(source)
    code = suite.models.positions(source)
    drawn = [
        Symmetry.random(config, draw_seed(source, target, 32), residual=True)
        for target in range(len(suite.seeds))
    ]
    models = StackedTransformer(
        config,
        stack_states([symmetry.apply(state) for symmetry in drawn]),
        torch.stack([symmetry.positions(config, own=code) for symmetry in drawn]),
    ).to(suite.models.W_pos.device)
    return models, harvest(models, suite.tokens, (SITE,)).at(SITE)
