"""Steering one seed with another's vector: uncarried, carried, and controls of both."""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from polyrot.capabilities.streams import Streams
from polyrot.interventions.steering import Effects
from polyrot.linalg import haar
from polyrot.linalg.procrustes import Group, align
from polyrot.stats.average import Measured, Unmeasured, average_by_part
from polyrot.stats.estimate import Estimate
from polyrot.suites.capability import Capability
from polyrot.suites.draws import draw_seed

ALPHAS = (0.5, 1.0, 2.0, 4.0)

Vectors = Float[Tensor, "seed d_model"]


@runtime_checkable
class Named(Protocol):
    """The concept that a vector represents."""

    @property
    def name(self) -> str: ...

    def __hash__(self) -> int: ...


class Steered(Capability):
    """Models that are steered at one site, each by vectors of its activations.

    With `held_out`, vectors are computed on the tokens to fit and effects measured on those held
    out; otherwise both on all.
    """

    what = "models that can be steered"
    suite: Streams
    """The suite of the models: its seeds, and its held-out tokens."""
    concepts: Sequence[Any]
    """Concepts that vectors represent, each with a name."""
    activations: Float[Tensor, "seed token d_model"]
    """Activations at the site, on the suite's tokens."""

    def activations_of(self, index: int) -> Float[Tensor, "token d_model"]:
        """Return the activations of one model, on the suite's tokens."""
        return self.activations[index]

    @abstractmethod
    def concept_vectors(self, concept: Any, *, held_out: bool) -> Vectors:
        """Return each model's vector of a concept: a difference of means of its activations."""

    def concept_tokens(self, concept: Any) -> Bool[Tensor, " token"]:
        """Return which of the suite's tokens a concept's vectors are means over: here none."""
        return torch.zeros_like(self.suite.held_out)

    @abstractmethod
    def effects(
        self, vectors: Vectors, concept: Any, alphas: tuple[float, ...], *, held_out: bool
    ) -> Effects:
        """Measure the effect of each model's vector at each dose."""

    @abstractmethod
    def divergences(self, vectors: Vectors) -> Float[Tensor, "alpha seed"]:
        """Measure the mean KL(clean || steered) in nats at each of `ALPHAS`, over all positions."""

    @abstractmethod
    def images(self, source: int) -> "Steered":
        """Return images of one model in Haar-rotated bases, one per seed, otherwise unchanged."""

    def pairs(self, *, anchored: bool = False, ordered: bool = True) -> Iterator["SteeredPair"]:
        """Yield pairs of different models, as `Suite.seed_pairs`."""
        index = self.suite.index
        for source, target in self.suite.seed_pairs(anchored=anchored, ordered=ordered):
            yield SteeredPair((source, target), index(source), index(target))

    def each_concept(
        self,
        measure: Callable[[Any, "SteeredPair"], float | Measured | Unmeasured],
        *,
        anchored: bool = False,
        ordered: bool = True,
    ) -> dict[str, Estimate]:
        """Average a measurement of a concept and a pair over `pairs`, for each concept."""
        return average_by_part(
            self.pairs(anchored=anchored, ordered=ordered),
            lambda pair: {concept.name: measure(concept, pair) for concept in self.concepts},
            anchor=self.suite.seeds[0] if anchored else None,
        )

    def seen_and_scored(self, *, held_out: bool) -> tuple[Tensor, Tensor]:
        """Return the tokens to fit and those to score on: all tokens for both unless `held_out`."""
        held = self.suite.held_out
        every = torch.ones_like(held)
        return (~held, held) if held_out else (every, every)


@dataclass(frozen=True)
class SteeredPair:
    """A source, and a target that is steered with the source's vector."""

    seeds: tuple[int, int]
    source: int
    """Position among the models, as is `target`."""
    target: int

    @property
    def reversed(self) -> "SteeredPair":
        """The pair with source and target exchanged."""
        return SteeredPair((self.seeds[1], self.seeds[0]), self.target, self.source)


@dataclass(frozen=True)
class Trial:
    """The models that are steered with one source's vector, and the vector given to each."""

    models: Steered
    vectors: Vectors


SteeringWorld = Callable[[Steered, int, Any, bool], Trial]
"""The trial of a source (its position) and a concept.

The last argument says whether vectors and rotations see only the tokens to fit, or all."""


def uncarried(steered: Steered, source: int, concept: Named, held_out: bool) -> Trial:
    """The source's vector, unchanged."""
    vectors = steered.concept_vectors(concept, held_out=held_out)
    return Trial(steered, vectors[source].expand_as(vectors))


def carried(steered: Steered, source: int, concept: Named, held_out: bool) -> Trial:
    """The source's vector, carried into each target's basis by the fitted rotation and scale."""
    return Trial(steered, _carried(steered, source, concept, "scaled", held_out))


def carried_without_scale(steered: Steered, source: int, concept: Named, held_out: bool) -> Trial:
    """As `carried`, by the rotation alone."""
    return Trial(steered, _carried(steered, source, concept, "O", held_out))


def carried_by_affine_map(steered: Steered, source: int, concept: Named, held_out: bool) -> Trial:
    """The source's vector, carried by the best affine map, for comparison with the rotation."""
    return Trial(steered, _carried(steered, source, concept, "affine", held_out))


def carried_unseen(steered: Steered, source: int, concept: Named, held_out: bool) -> Trial:
    """As `carried`, by a rotation fitted without the tokens that the vectors are means over."""
    vectors = _carried(steered, source, concept, "scaled", held_out, unseen=True)
    return Trial(steered, vectors)


def randomly_rotated(steered: Steered, source: int, concept: Named, held_out: bool) -> Trial:
    """The source's vector under a rotation that is drawn, not fitted."""
    vector = steered.concept_vectors(concept, held_out=held_out)[source]
    turns = [
        haar.sample(len(vector), group="SO", seed=draw_seed(source, target, 30))
        for target in range(len(steered.suite.seeds))
    ]
    return Trial(steered, torch.stack([vector @ turn for turn in turns]))


def random_direction(steered: Steered, source: int, concept: Named, held_out: bool) -> Trial:
    """A random direction with the norm of the source's vector."""
    vectors = steered.concept_vectors(concept, held_out=held_out)
    seed = draw_seed(source, steered.concepts.index(concept), 31)
    noise = torch.randn(vectors.shape, generator=torch.Generator().manual_seed(seed)).double()
    length = vectors[source].norm() / noise.norm(dim=-1, keepdim=True)
    return Trial(steered, noise * length)


def target_vector(steered: Steered, source: int, concept: Named, held_out: bool) -> Trial:
    """Each target's vector, instead of the source's."""
    return Trial(steered, steered.concept_vectors(concept, held_out=held_out))


def target_vector_times(factor: float | Mapping[str, float]) -> SteeringWorld:
    """As `target_vector`, times a factor: the same for all concepts, or by their names."""

    def world(steered: Steered, source: int, concept: Named, held_out: bool) -> Trial:
        times = factor[concept.name] if isinstance(factor, Mapping) else factor
        return Trial(steered, times * steered.concept_vectors(concept, held_out=held_out))

    return world


def carried_to_images(steered: Steered, source: int, concept: Named, held_out: bool) -> Trial:
    """Each target is the source in a Haar-rotated basis: only a rotation differs."""
    images = steered.images(source)
    seen, _ = steered.seen_and_scored(held_out=held_out)
    x = steered.activations[source]
    vector = steered.concept_vectors(concept, held_out=held_out)[source]
    vectors = [
        vector @ _map(x[seen], images.activations_of(i)[seen], "scaled")
        for i in range(len(steered.suite.seeds))
    ]
    return Trial(images, torch.stack(vectors))


@lru_cache(maxsize=256)
def trial(
    steered: Steered, world: SteeringWorld, source: int, concept: Named, *, held_out: bool
) -> Trial:
    """Return the trial of a world, computed once for all measurements."""
    return world(steered, source, concept, held_out)


def effects(
    steered: Steered,
    world: SteeringWorld,
    source: int,
    concept: Named,
    alphas: tuple[float, ...] = ALPHAS,
    *,
    held_out: bool,
) -> tuple[Effects, Effects]:
    """Steer every target of a trial with the vector given to it, and with the target's."""
    made = trial(steered, world, source, concept, held_out=held_out)
    target_vectors = made.models.concept_vectors(concept, held_out=held_out)
    given, of_target = (
        made.models.effects(vectors, concept, alphas, held_out=held_out)
        for vectors in (made.vectors, target_vectors)
    )
    return given, of_target


def share_of_own(given: Float[Tensor, " dose"], own: Float[Tensor, " dose"]) -> float | None:
    """Divide an effect by that of the target's vector; None if that does not do as it asks.

    Both are summed over the doses up to the one at which the target's vector has its largest
    effect, because beyond it vectors overshoot.

    >>> share_of_own(torch.tensor([1.0, 2.0, 9.0]), torch.tensor([2.0, 4.0, 1.0]))
    0.5
    """
    doses = int(own.argmax()) + 1
    whole = float(own[:doses].sum())
    return float(given[:doses].sum()) / whole if whole > 0 else None


Response = Mapping[float, float]
"""An effect by dose, from the smallest dose to the largest."""


def first_dose(response: Response, level: float) -> float:
    """Return the first dose with an effect of at least a level; twice the largest if none has it.

    Between doses, and below the first, the effect is interpolated linearly.
    """
    dose, reached = 0.0, 0.0
    for next_dose, next_reached in response.items():
        if next_reached >= level:
            return dose + (next_dose - dose) * (level - reached) / (next_reached - reached)
        dose, reached = next_dose, next_reached
    return 2 * dose


@lru_cache(maxsize=128)
def divergences(
    steered: Steered, world: SteeringWorld, source: int, concept: Named
) -> Float[Tensor, "alpha seed"]:
    """Measure the mean KL(clean || steered) in nats of every model of a trial."""
    made = trial(steered, world, source, concept, held_out=False)
    return made.models.divergences(made.vectors)


def _carried(
    steered: Steered,
    source: int,
    concept: Named,
    group: Group,
    held_out: bool,
    *,
    unseen: bool = False,
) -> Vectors:
    vector = steered.concept_vectors(concept, held_out=held_out)[source]
    without = concept if unseen else None
    maps = _maps(steered, source, group, held_out, without)
    return torch.stack([vector @ turn for turn in maps])


@lru_cache(maxsize=64)  # only the maps: a fit also holds its moments
def _maps(
    steered: Steered, source: int, group: Group, held_out: bool, without: Named | None
) -> Float[Tensor, "seed d_model d_model"]:
    """Return the maps that carry vectors from a seed to every seed, itself included."""
    seen, _ = steered.seen_and_scored(held_out=held_out)
    if without is not None:
        seen = seen & ~steered.concept_tokens(without)
    x = steered.activations[:, seen]
    return torch.stack([_map(x[source], y, group) for y in x])


def _map(
    x: Float[Tensor, "token d_model"], y: Float[Tensor, "token d_model"], group: Group
) -> Float[Tensor, "d_model d_model"]:
    """Fit the map that carries vectors; `scaled` matches the norms, as `Pair.carrying`."""
    fit = align(x, y, group=group, holdout=0)
    if group != "scaled":
        return fit.rotation * fit.scale
    source, target = ((z - z.mean(0)).double().norm() for z in (x, y))
    turned: Tensor = fit.rotation * (target / source)
    return turned
