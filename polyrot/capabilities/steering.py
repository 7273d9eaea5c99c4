"""Steering one seed with another's vector: as it is, carried, and controls of both."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.interventions.steering import Effects
from polyrot.linalg import haar
from polyrot.linalg.procrustes import Group, align
from polyrot.suites.draws import draw_seed
from polyrot.suites.suite import Suite

ALPHAS = (0.5, 1.0, 2.0, 4.0)

Vectors = Float[Tensor, "seed d_model"]


@runtime_checkable
class Named(Protocol):
    """What a vector stands for."""

    @property
    def name(self) -> str: ...

    def __hash__(self) -> int: ...


class Steered(ABC):
    """Models that are steered at one site, each by a vector of its own.

    With `held_out`, vectors are made of what is there to fit and effects read on what is held
    out; else both on all.
    """

    concepts: Sequence[Any]
    """What vectors stand for, each with a name."""
    activations: Float[Tensor, "seed token d_model"]
    """At the site, on the suite's tokens."""

    def activations_of(self, index: int) -> Float[Tensor, "token d_model"]:
        """Of one model, on the suite's tokens."""
        return self.activations[index]

    @abstractmethod
    def own_vectors(self, concept: Any, *, held_out: bool) -> Vectors:
        """Each model's difference of means."""

    @abstractmethod
    def effects(
        self, vectors: Vectors, concept: Any, alphas: tuple[float, ...], *, held_out: bool
    ) -> Effects:
        """What each model's vector does at each dose."""

    @abstractmethod
    def divergences(self, vectors: Vectors) -> Float[Tensor, "alpha seed"]:
        """Mean KL(clean || steered) in nats at each of `ALPHAS`, over all positions."""

    @abstractmethod
    def images(self, source: int) -> "Steered":
        """As many images of one model in Haar-rotated bases: a rotation is all that differs."""


@dataclass(frozen=True)
class Trial:
    """The models that are steered by one source's vector, and the vector that each is given."""

    models: Steered
    vectors: Vectors


SteeringWorld = Callable[[Suite, int, Any, bool], Trial]
"""The trial of a source (its position) and a concept.

The last argument says whether vectors and rotations may see only the tokens to fit, or all."""


def uncarried(suite: Suite, source: int, concept: Named, held_out: bool) -> Trial:
    """The source's vector as it is."""
    vectors = _own(suite, concept, held_out)
    return Trial(suite.steered, vectors[source].expand_as(vectors))


def carried(suite: Suite, source: int, concept: Named, held_out: bool) -> Trial:
    """The source's vector, carried into each target's basis by the fitted rotation."""
    return Trial(suite.steered, _carried(suite, source, concept, "O", held_out))


def carried_by_affine_map(suite: Suite, source: int, concept: Named, held_out: bool) -> Trial:
    """The source's vector, carried by the best affine map: what a rotation competes with."""
    return Trial(suite.steered, _carried(suite, source, concept, "affine", held_out))


def randomly_rotated(suite: Suite, source: int, concept: Named, held_out: bool) -> Trial:
    """The source's vector under a rotation that is drawn, not fitted."""
    vector = _own(suite, concept, held_out)[source]
    turns = [
        haar.sample(len(vector), group="SO", seed=draw_seed(source, target, 30))
        for target in range(len(suite.seeds))
    ]
    return Trial(suite.steered, torch.stack([vector @ turn for turn in turns]))


def random_direction(suite: Suite, source: int, concept: Named, held_out: bool) -> Trial:
    """A random direction as long as the source's vector."""
    vectors = _own(suite, concept, held_out)
    seed = draw_seed(source, suite.steered.concepts.index(concept), 31)
    noise = torch.randn(vectors.shape, generator=torch.Generator().manual_seed(seed)).double()
    length = vectors[source].norm() / noise.norm(dim=-1, keepdim=True)
    return Trial(suite.steered, noise * length)


def own(suite: Suite, source: int, concept: Named, held_out: bool) -> Trial:
    """Each target's own vector."""
    return Trial(suite.steered, _own(suite, concept, held_out))


def own_at(doses: Callable[[Any], float]) -> SteeringWorld:
    """Each target's own vector, times a dose that depends on the concept."""

    def world(suite: Suite, source: int, concept: Named, held_out: bool) -> Trial:
        made = own(suite, source, concept, held_out)
        return Trial(made.models, doses(concept) * made.vectors)

    return world


def carried_to_images(suite: Suite, source: int, concept: Named, held_out: bool) -> Trial:
    """Each target is the source in a Haar-rotated basis: a rotation is all that differs."""
    images = suite.steered.images(source)
    seen, _ = seen_and_scored(suite, held_out=held_out)
    x = suite.steered.activations[source]
    vector = _own(suite, concept, held_out)[source]
    vectors = [
        align(x[seen], images.activations_of(i)[seen], holdout=0).carry_vector(vector)
        for i in range(len(suite.seeds))
    ]
    return Trial(images, torch.stack(vectors))


@lru_cache(maxsize=256)
def trial(
    suite: Suite, world: SteeringWorld, source: int, concept: Named, *, held_out: bool
) -> Trial:
    """The trial of a world, made once for all that is measured on it.

    Raises:
        NotRun: where the suite has no models that can be steered.
    """
    _ = suite.steered
    return world(suite, source, concept, held_out)


def effects(
    suite: Suite,
    world: SteeringWorld,
    source: int,
    concept: Named,
    alphas: tuple[float, ...] = ALPHAS,
    *,
    held_out: bool,
) -> tuple[Effects, Effects]:
    """Steer every model of a trial with the vector it is given, and with its own."""
    made = trial(suite, world, source, concept, held_out=held_out)
    own = made.models.own_vectors(concept, held_out=held_out)
    given, by_own = (
        made.models.effects(vectors, concept, alphas, held_out=held_out)
        for vectors in (made.vectors, own)
    )
    return given, by_own


@lru_cache(maxsize=128)
def divergences(
    suite: Suite, world: SteeringWorld, source: int, concept: Named
) -> Float[Tensor, "alpha seed"]:
    """Mean KL(clean || steered) in nats of every model of a trial."""
    made = trial(suite, world, source, concept, held_out=False)
    return made.models.divergences(made.vectors)


def targets(suite: Suite, *, anchored: bool) -> Iterator[tuple[tuple[int, int], int, int]]:
    """Yield seeds, and the positions of source and target."""
    for source, target in suite.seed_pairs(anchored=anchored):
        yield (source, target), suite.index(source), suite.index(target)


def seen_and_scored(suite: Suite, *, held_out: bool) -> tuple[Tensor, Tensor]:
    """The tokens to fit and those to score on; all are both unless some are held out."""
    every = torch.ones_like(suite.held_out)
    return (~suite.held_out, suite.held_out) if held_out else (every, every)


def _own(suite: Suite, concept: Named, held_out: bool) -> Vectors:
    return suite.steered.own_vectors(concept, held_out=held_out)


def _carried(suite: Suite, source: int, concept: Named, group: Group, held_out: bool) -> Vectors:
    vector = _own(suite, concept, held_out)[source]
    return torch.stack([vector @ turn for turn in _maps(suite, source, group, held_out)])


@lru_cache(maxsize=64)  # the maps alone: a fit holds its moments too
def _maps(
    suite: Suite, source: int, group: Group, held_out: bool
) -> Float[Tensor, "seed d_model d_model"]:
    """What carries vectors from a seed to every other, itself included."""
    seen, _ = seen_and_scored(suite, held_out=held_out)
    x = suite.steered.activations[:, seen]
    fits = (align(x[source], y, group=group, holdout=0) for y in x)
    return torch.stack([fit.rotation * fit.scale for fit in fits])
