"""Pairs of models as weights, up to their symmetries, and their controls."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.experiments.dyck.functions import averaged_depths
from polyrot.experiments.dyck.suite import DyckModels
from polyrot.linalg import haar
from polyrot.linalg.moments import Centred, Moments
from polyrot.models.transformer import StackedTransformer, State, analytic_positions
from polyrot.suites.draws import draw_seed
from polyrot.symmetry import released
from polyrot.symmetry.group import Symmetry, fold_gains
from polyrot.symmetry.search import WeightAlignment, align_weights, tensor_mse


@dataclass(frozen=True)
class WeightPair:
    """Weights of two models, and the joint moments of their activations."""

    source: State
    target: State
    activations: Mapping[str, Moments]
    """Moments by site, from the target's activations to the source's."""
    turn: Float[Tensor, "d_model d_model"] | None = None
    """What the target's position code is the source's times; None if the two are equal."""


WeightWorld = Callable[[DyckModels, int, int], WeightPair]
"""Returns the weight pair of two seeds."""


def as_trained(dyck: DyckModels, source: int, target: int) -> WeightPair:
    """The models themselves: no control."""
    moments = {
        site: {pair.seeds: pair for pair in dyck.pairs(site)}[source, target].moments[0]
        for site in dyck.sites
    }
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
    return WeightPair(folded, noisy, _rotated_moments(dyck, source, rotation), rotation)


def scaled(dyck: DyckModels, source: int, target: int) -> WeightPair:
    """Each target is the source with a scaled token unembedding: no symmetry changes its norm.

    The squared difference is `PLANTED` if the bases agree, and larger otherwise.
    """
    return _scaled(dyck, source, PLANTED)


def scaled_by_variance(dyck: DyckModels, source: int, target: int) -> WeightPair:
    """As `scaled`, with a squared difference that is `PLANTED` times the tensor's variance."""
    unembedding = fold_gains(_state(dyck, source))["W_U_tok"].double()
    return _scaled(dyck, source, PLANTED * float(unembedding.var(correction=0)))


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


STARTS = 4
"""Starts of the search as released, a quarter of the paper's: the others are hardly better."""
LAMBDAS = (0.0, 0.1, 1.0, 10.0, 100.0)
"""Weights of the activations' term of the joint loss: the paper's."""
JOINT_SITES = ("resid_post.0", "resid_post.1", "resid_post.1")
"""Sites of that term; the paper names the last one twice, as `resid_post_1` and `resid_pre_2`."""


@lru_cache(maxsize=256)
def search_as_released(
    dyck: DyckModels, world: WeightWorld, source: int, target: int, *, repaired: bool
) -> tuple[released.Found, list[released.Joint]]:
    """Align a pair by the paper's search, then by its joint loss at each of `LAMBDAS`."""
    pair = weight_pair(dyck, world, source, target)
    code = analytic_positions(dyck.models.config).double()
    goal = released.with_positions(pair.source, code)
    start = released.with_positions(pair.target, code if pair.turn is None else code @ pair.turn)
    found = released.search_as_released(start, goal, repaired=repaired, starts=STARTS)
    sites = [pair.activations[site] for site in JOINT_SITES]
    return found, released.refine_as_released(found, goal, sites, LAMBDAS)


@lru_cache(maxsize=256)
def models_as_released(
    models: StackedTransformer, i: int, j: int, *, repaired: bool
) -> dict[str, float]:
    """Align one model of a stack to another by the paper's search: the differences by tensor."""
    goal, start = (released.with_positions(models.state(k), models.positions(k)) for k in (i, j))
    found = released.search_as_released(start, goal, repaired=repaired, starts=STARTS)
    return tensor_mse(found.image, goal)


def by_variance(found: WeightAlignment, goal: State) -> dict[str, float]:
    """Divide each tensor's squared difference by the variance of the goal's entries."""
    folded = fold_gains({name: tensor.double() for name, tensor in goal.items()})
    return {name: mse / float(folded[name].var(correction=0)) for name, mse in found.mse.items()}


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
    return WeightPair(state, symmetry.apply(state), moments, symmetry.residual)


def _scaled(dyck: DyckModels, source: int, difference: float) -> WeightPair:
    state = fold_gains(_state(dyck, source))
    unembedding = state["W_U_tok"]
    longer = 1 + (difference / float(unembedding.square().mean())) ** 0.5
    changed = {**state, "W_U_tok": longer * unembedding}
    return WeightPair(state, changed, _rotated_moments(dyck, source, None))


def _rotated_moments(dyck: DyckModels, seed: int, rotation: Tensor | None) -> dict[str, Moments]:
    """Return the moments from a seed's rotated activations to the unrotated ones."""
    result = {}
    for site in dyck.sites:
        x = dyck.activations.at(site)[dyck.index(seed)][~dyck.held_out]
        centred = Centred.of("activations", x)
        other = centred if rotation is None else Centred.of("activations", x.double() @ rotation)
        result[site] = Moments.from_centred(other, centred)
    return result


def _planes(d: int, angle: float, seed: int) -> Float[Tensor, "d d"]:
    """Rotate a random set of orthogonal planes by the same angle."""
    c, s = math.cos(angle), math.sin(angle)
    plane = torch.tensor([[c, s], [-s, c]], dtype=torch.float64)
    basis = haar.sample(d, group="O", seed=seed)
    matrix: Tensor = basis.mT @ torch.block_diag(*[plane] * (d // 2)) @ basis
    return matrix
