"""The refinement of the residual rotation."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from planted_weights import (
    CONFIG,
    EYE,
    distance,
    few,
    model,
    normal,
    rotation_only,
    same,
    seeds,
    small_turn,
)
from torch import Tensor

import polyrot as pr
from polyrot.linalg import haar
from polyrot.models.transformer import (
    State,
)
from polyrot.symmetry.group import Symmetry, facing_residual, fold_gains
from polyrot.symmetry.refine import NORM, Refinement, _Distances, refine_rotation
from polyrot.symmetry.search import align_weights, tensor_mse


def loss_by_hand(
    image: State,
    goal: State,
    rotation: Tensor,
    arrays: list[tuple[Tensor, Tensor]],
    weight: float,
) -> float:
    """The loss, from tensors and tokens themselves."""
    mse = tensor_mse(rotation_only(rotation).apply(image), fold_gains(goal))
    value = float(torch.tensor(list(mse.values())).double().norm(NORM))
    return value + weight * unexplained_by_hand(rotation, arrays)


def unexplained_by_hand(rotation: Tensor, arrays: list[tuple[Tensor, Tensor]]) -> float:
    shares = []
    for have, want in arrays:
        goal = want - want.mean(0)
        rest = (have - have.mean(0)) @ rotation - goal
        shares.append(float(rest.square().sum() / goal.square().sum()))
    return sum(shares) / len(shares) if shares else 0.0


def refined(
    target: State,
    source: State,
    symmetry: Symmetry,
    arrays: list[tuple[Tensor, Tensor]],
    weight: float,
) -> Refinement:
    moments = [pr.Moments.from_arrays(have, want) for have, want in arrays]
    return refine_rotation(target, source, symmetry, activations=moments, weight=weight)


@pytest.mark.parametrize("weight", [0.0, 0.5])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.seconds
def test_refining_gives_a_rotation_with_no_higher_loss(seed: int, weight: float) -> None:
    target, source = model(seed), model(seed + 10)
    d = CONFIG.d_model
    arrays = [(normal(50, d, seed=seed), normal(50, d, seed=seed + 1)) for seed in (1, 7)]
    found = align_weights(target, source, CONFIG).symmetry
    assert found.residual is not None
    result = refined(target, source, found, arrays, weight)
    same(result.rotation @ result.rotation.T, EYE, 1e-10)
    image = Symmetry(found.layers).apply(fold_gains(target))
    before, after = (
        loss_by_hand(image, source, rotation, arrays, weight)
        for rotation in (found.residual, result.rotation)
    )
    assert after <= before + 1e-9
    # The mean is not the maximum, so that there is something left to gain.
    assert after < 0.999 * before
    # A Cayley transform stays in the component of its start.
    assert torch.linalg.det(result.rotation) * torch.linalg.det(found.residual) > 0
    mse = tensor_mse(replace(found, residual=result.rotation).apply(target), fold_gains(source))
    assert result.worst == pytest.approx(max(mse.values()), rel=1e-9)
    assert result.unexplained == pytest.approx(
        unexplained_by_hand(result.rotation, arrays), rel=1e-9
    )


@pytest.mark.parametrize("seed", range(3))
def test_refining_lowers_the_worst_tensor_at_the_cost_of_the_mean(seed: int) -> None:
    target, source = model(seed), model(seed + 10)
    found = align_weights(target, source, CONFIG)
    result = refine_rotation(target, source, found.symmetry)
    image = replace(found.symmetry, residual=result.rotation).apply(target)
    mse = tensor_mse(image, fold_gains(source))
    assert result.worst < 0.95 * found.worst
    assert sum(mse.values()) / len(mse) > min(found.starts)


def test_without_activations_their_weight_is_nothing() -> None:
    target, source = model(0), model(1)
    plain = refine_rotation(target, source, Symmetry.identity(CONFIG))
    weighted = refine_rotation(target, source, rotation_only(EYE), weight=3.0)
    assert plain.unexplained == weighted.unexplained == 0
    assert torch.equal(plain.rotation, weighted.rotation)


@pytest.mark.parametrize("seed", range(3))
def test_a_small_rotation_is_undone_from_the_identity(seed: int) -> None:
    state, turn = model(seed), small_turn(seed, 0.05)
    result = refine_rotation(rotation_only(turn).apply(state), state, Symmetry.identity(CONFIG))
    assert distance(turn, EYE) > 0.1
    assert result.worst < 1e-6
    same(result.rotation @ result.rotation.T, EYE, 1e-10)
    same(result.rotation, turn.T, 5e-3)


def test_the_best_rotation_is_left_alone() -> None:
    state, planted = model(0), Symmetry.random(CONFIG, 3, residual=True)
    image = planted.apply(state)
    found = align_weights(image, state, CONFIG).symmetry
    result = refine_rotation(image, state, found)
    assert found.residual is not None
    assert result.worst < 1e-8
    same(result.rotation, found.residual, 1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_under_a_large_weight_activations_decide(seed: int) -> None:
    # Weights that want the identity, activations that want another rotation.
    state, turn = model(seed), small_turn(seed + 50, 0.1)
    x = normal(200, CONFIG.d_model, seed=seed) + 3
    result = refined(state, state, Symmetry.identity(CONFIG), [(x @ turn, x)], 1e6)
    assert result.unexplained < 1e-6
    same(result.rotation, turn.T, 5e-3)
    assert result.worst > 1e-3
    weights_alone = refined(state, state, Symmetry.identity(CONFIG), [(x @ turn, x)], 0.0)
    assert weights_alone.worst < 1e-8
    assert weights_alone.unexplained > 1e-2


@few
@given(seeds)
def test_distances_and_their_slopes_are_those_of_squared_differences(seed: int) -> None:
    image, goal = fold_gains(model(seed)), fold_gains(model(seed + 1))
    d = CONFIG.d_model
    x, y = normal(60, d, seed=seed) + 2, normal(60, d, seed=seed + 1) - 1
    weights = _Distances.of_weights(image, goal)
    sites = _Distances.of_activations([pr.Moments.from_arrays(x, y)], d)
    names = [name for name in goal if not name.endswith("gain")]
    x, y = x - x.mean(0), y - y.mean(0)

    def directly(turn: Tensor) -> Tensor:
        parts = [
            (facing_residual(n, image[n]) @ turn - facing_residual(n, goal[n])).square().mean()
            for n in names
        ]
        return torch.stack([*parts, (x @ turn - y).square().sum() / y.square().sum()])

    turn = haar.sample(d, group="O", seed=seed).requires_grad_()
    given_by, by_hand = torch.cat([weights.at(turn), sites.at(turn)]), directly(turn)
    same(given_by, by_hand)
    for ours, plain in zip(given_by, by_hand, strict=True):
        slopes = [torch.autograd.grad(v, turn, retain_graph=True)[0] for v in (ours, plain)]
        # Both are functions on the orthogonal group: only slopes along it are defined.
        along = [turn.T @ slope - slope.T @ turn for slope in slopes]
        same(along[0], along[1])
        assert float(along[0].detach().norm()) > 1e-3
