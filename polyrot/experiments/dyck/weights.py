"""Pairs of models as weights, up to their symmetries, and their controls."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.experiments.dyck.functions import averaged_depths
from polyrot.experiments.dyck.suite import DyckModels
from polyrot.linalg import haar
from polyrot.linalg.moments import Centred, Moments
from polyrot.models.transformer import StackedTransformer, State
from polyrot.suites.draws import draw_seed
from polyrot.symmetry.group import Symmetry, fold_gains
from polyrot.symmetry.search import WeightAlignment, align_weights


@dataclass(frozen=True)
class WeightPair:
    """Weights of two models, and the joint moments of their activations."""

    source: State
    target: State
    activations: tuple[Moments, ...]
    """Moments by site, from the target's activations to the source's."""


WeightWorld = Callable[[DyckModels, int, int], WeightPair]
"""Returns the weight pair of two seeds."""


def as_trained(dyck: DyckModels, source: int, target: int) -> WeightPair:
    """The models themselves: no control."""
    pairs = [{pair.seeds: pair for pair in dyck.pairs(site)}[source, target] for site in dyck.sites]
    moments = tuple(pair.moments[0] for pair in pairs)
    return WeightPair(_state(dyck, source), _state(dyck, target), moments)


def image(dyck: DyckModels, source: int, target: int) -> WeightPair:
    """Each target is a symmetric image of the source in the same basis: the weights do align."""
    return _image(dyck, source, target, residual=False)


def turned_image(dyck: DyckModels, source: int, target: int) -> WeightPair:
    """Each target is a symmetric image of the source in a Haar-rotated basis."""
    return _image(dyck, source, target, residual=True)


def decoy(dyck: DyckModels, source: int, target: int) -> WeightPair:
    """Each target is the source with its depth unembedding averaged in pairs of rows."""
    state = _state(dyck, source)
    return WeightPair(state, averaged_depths(state), _rotated_moments(dyck, source, None))


PLANTED, FLOOR = 0.55, 0.05
"""Largest planted squared difference, and the part that no alignment removes."""


def part_turned(dyck: DyckModels, source: int, target: int) -> WeightPair:
    """Each target is the source in a basis rotated by one angle in every plane, with noise.

    The angle changes the most sensitive tensor by `PLANTED`: the squared difference that remains
    if the basis is not aligned.  After rotating back only the noise remains: `FLOOR`.
    """
    folded = fold_gains({name: t.double() for name, t in _state(dyck, source).items()})
    largest = max(float(t.square().mean()) for n, t in folded.items() if not n.endswith("gain"))
    angle = math.acos(max(-1.0, 1 - (PLANTED - FLOOR) / (2 * largest)))
    rotation = _planes(dyck.models.config.d_model, angle, draw_seed(source, target, 21))
    turned = Symmetry(Symmetry.identity(dyck.models.config).layers, rotation).apply(folded)
    noisy = with_noise(turned, FLOOR, draw_seed(source, target, 22))
    return WeightPair(folded, noisy, _rotated_moments(dyck, source, rotation))


def scaled(dyck: DyckModels, source: int, target: int) -> WeightPair:
    """Each target is the source with a scaled token unembedding: no symmetry changes its norm.

    The squared difference is `PLANTED` if the bases agree, and larger otherwise.
    """
    state = fold_gains(_state(dyck, source))
    unembedding = state["W_U_tok"]
    longer = 1 + (PLANTED / float(unembedding.square().mean())) ** 0.5
    changed = {**state, "W_U_tok": longer * unembedding}
    return WeightPair(state, changed, _rotated_moments(dyck, source, None))


def with_noise(state: State, variance: float, seed: int, *, names: tuple[str, ...] = ()) -> State:
    """Add Gaussian noise to some weights, by default to all but gains."""
    generator = torch.Generator().manual_seed(seed)
    chosen = names or tuple(name for name in state if not name.endswith("gain"))
    draws = {
        name: variance**0.5 * torch.randn(state[name].shape, generator=generator) for name in chosen
    }
    return {name: tensor + draws.get(name, 0) for name, tensor in state.items()}


@lru_cache(maxsize=256)
def weight_pair(dyck: DyckModels, world: WeightWorld, source: int, target: int) -> WeightPair:
    """Return the pair of a world, computed once for all measurements."""
    return world(dyck, source, target)


@lru_cache(maxsize=256)
def alignment(
    dyck: DyckModels, world: WeightWorld, source: int, target: int, *, turn_residual: bool
) -> WeightAlignment:
    """Search for the symmetry that brings a pair's target closest to its source."""
    i, j = dyck.index(source), dyck.index(target)
    if world is as_trained:
        return align_models(dyck.models, i, dyck.models, j, turn_residual=turn_residual)
    pair = weight_pair(dyck, world, source, target)
    config = dyck.models.config
    return align_weights(
        pair.target, pair.source, config, turn_residual=turn_residual, seed=draw_seed(i, j)
    )


@lru_cache(maxsize=256)
def align_models(
    sources: StackedTransformer,
    i: int,
    targets: StackedTransformer,
    j: int,
    *,
    turn_residual: bool = True,
) -> WeightAlignment:
    """Search for the symmetry that brings one model of a stack closest to one of another."""
    return align_weights(
        targets.state(j),
        sources.state(i),
        sources.config,
        turn_residual=turn_residual,
        seed=draw_seed(i, j),
    )


def _state(dyck: DyckModels, seed: int) -> State:
    return dyck.models.state(dyck.index(seed))


def _image(dyck: DyckModels, source: int, target: int, *, residual: bool) -> WeightPair:
    state = _state(dyck, source)
    symmetry = Symmetry.random(dyck.models.config, draw_seed(source, target, 20), residual=residual)
    moments = _rotated_moments(dyck, source, symmetry.residual)
    return WeightPair(state, symmetry.apply(state), moments)


def _rotated_moments(dyck: DyckModels, seed: int, rotation: Tensor | None) -> tuple[Moments, ...]:
    """Return the moments from a seed's rotated activations to the unrotated ones."""
    result = []
    for site in dyck.sites:
        x = dyck.activations.at(site)[dyck.index(seed)][~dyck.held_out]
        centred = Centred.of("activations", x)
        other = centred if rotation is None else Centred.of("activations", x.double() @ rotation)
        result.append(Moments.from_centred(other, centred))
    return tuple(result)


def _planes(d: int, angle: float, seed: int) -> Float[Tensor, "d d"]:
    """Rotate a random set of orthogonal planes by the same angle."""
    c, s = math.cos(angle), math.sin(angle)
    plane = torch.tensor([[c, s], [-s, c]], dtype=torch.float64)
    basis = haar.sample(d, group="O", seed=seed)
    matrix: Tensor = basis.mT @ torch.block_diag(*[plane] * (d // 2)) @ basis
    return matrix
