"""The search for the symmetry between two models."""

from itertools import pairwise, permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from planted_weights import CONFIG, EYE, few, model, normal, outputs, same, seeds, turned_positions
from scipy.optimize import minimize_scalar
from torch import Tensor

from polyrot.models.transformer import (
    TransformerConfig,
    initial_state,
)
from polyrot.symmetry import search
from polyrot.symmetry.group import Symmetry, fold_gains, random_symmetry
from polyrot.symmetry.search import WeightAlignment, _neuron_step, align_weights, tensor_mse


def inverse_heads(symmetry: Symmetry) -> list[list[int]]:
    return [layer.heads.argsort().tolist() for layer in symmetry.layers]


def head_orders(found: WeightAlignment) -> list[list[int]]:
    return [layer.heads.tolist() for layer in found.symmetry.layers]


@few
@given(seeds)
def test_a_random_image_is_brought_back(seed: int) -> None:
    state, planted = model(seed), Symmetry.random(CONFIG, seed)
    found = align_weights(planted.apply(state), state, CONFIG, turn_residual=False)
    assert found.worst < 1e-8
    # Head h of the image is head `heads[h]` of the model: its order is undone.
    assert head_orders(found) == inverse_heads(planted)
    for layer, true in zip(found.symmetry.layers, planted.layers, strict=True):
        undone = true.neurons.argsort()
        assert torch.equal(layer.neurons, undone)
        same(layer.scale, 1 / true.scale[undone], 1e-6)
        back = true.heads.argsort()
        same(layer.query_key, true.query_key[back].mT, 1e-6)
        same(layer.value_output, true.value_output[back].mT, 1e-6)


@few
@given(seeds)
@pytest.mark.seconds
def test_a_random_image_in_a_turned_residual_stream_is_brought_back(seed: int) -> None:
    state, planted = model(seed), Symmetry.random(CONFIG, seed, residual=True)
    image = planted.apply(state)
    found = align_weights(image, state, CONFIG)
    assert found.worst < 1e-8
    assert head_orders(found) == inverse_heads(planted)
    assert found.symmetry.residual is not None
    same(found.symmetry.residual, planted.residual.T, 1e-5)
    kept = align_weights(image, state, CONFIG, turn_residual=False)
    assert kept.worst > 1e-2


def test_without_turning_the_residual_stream_stays_and_there_is_one_start() -> None:
    found = align_weights(model(0), model(1), CONFIG, turn_residual=False, random_starts=3)
    assert len(found.starts) == 1
    assert found.symmetry.residual is not None
    assert torch.equal(found.symmetry.residual, EYE)


def test_reported_differences_are_those_of_the_aligned_image() -> None:
    target, source = model(0), model(1)
    found = align_weights(target, source, CONFIG)
    by_hand = tensor_mse(found.symmetry.apply(target), fold_gains(source))
    assert set(found.mse) == {name for name in source if not name.endswith("gain")}
    assert found.mse == pytest.approx(by_hand, rel=1e-10)
    assert found.worst == max(found.mse.values())
    assert min(found.starts) == pytest.approx(sum(by_hand.values()) / len(by_hand), rel=1e-10)


def test_aligned_weights_compute_what_the_target_does() -> None:
    target = model(0)
    found = align_weights(target, model(1), CONFIG)
    image = found.symmetry.apply(target)
    same(outputs(image, turned_positions(found.symmetry)), outputs(target))


def test_the_objective_falls_from_sweep_to_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    reached = []
    for sweeps in (1, 2, 3, 6):
        monkeypatch.setattr(search, "MAX_SWEEPS", sweeps)
        reached.append(align_weights(model(0), model(1), CONFIG, seed=5).starts)
    for before, after in pairwise(reached):
        assert all(b <= a + 1e-12 for a, b in zip(before, after, strict=True))
    assert min(reached[-1]) < min(reached[0])


@pytest.mark.seconds
def test_starting_from_the_result_is_no_worse() -> None:
    target, source = model(2), model(3)
    found = align_weights(target, source, CONFIG)
    assert found.symmetry.residual is not None
    again = align_weights(target, source, CONFIG, rotations=[found.symmetry.residual])
    assert len(again.starts) == len(found.starts) + 1
    # After the identity and the input and output tensors come the rotations given.
    assert again.starts[2] <= min(found.starts) + 1e-12
    assert min(again.starts) <= min(found.starts) + 1e-12


@pytest.mark.seconds
def test_more_starts_are_never_worse() -> None:
    target, source = model(4), model(5)
    means = [
        align_weights(target, source, CONFIG, random_starts=n, seed=1).starts for n in (0, 1, 4)
    ]
    assert [len(starts) for starts in means] == [2, 3, 6]
    assert means[0] == means[1][:2] == means[2][:2]
    assert min(means[2]) <= min(means[0])
    assert min(means[1]) <= min(means[0])


def test_unrelated_models_stay_apart() -> None:
    target, source = model(0), model(1)
    found = align_weights(target, source, CONFIG)
    plain = tensor_mse(fold_gains(target), fold_gains(source))
    assert 0.05 < min(found.starts) < sum(plain.values()) / len(plain)


def pair_cost(scale: float, have: list[Tensor], want: list[Tensor]) -> float:
    """Squared difference of one neuron in place of another, at a scale."""
    (read, write), (goal_read, goal_write) = have, want
    difference = (scale * read - goal_read).square().sum()
    return float(difference + (write / scale - goal_write).square().sum())


def best_scale(have: list[Tensor], want: list[Tensor]) -> tuple[float, float]:
    """The scale with the lowest cost, and that cost, by brute force."""
    grid = torch.linspace(-4, 4, 161, dtype=torch.float64)
    first = min(grid.tolist(), key=lambda u: pair_cost(float(torch.tensor(u).exp()), have, want))
    found = minimize_scalar(
        lambda u: pair_cost(float(torch.tensor(u, dtype=torch.float64).exp()), have, want),
        bounds=(first - 0.1, first + 0.1),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return float(torch.tensor(found.x).exp()), float(found.fun)


@few
@given(seeds, st.floats(0.2, 5.0))
def test_the_scale_of_a_neuron_is_the_best(seed: int, uneven: float) -> None:
    have = [normal(1, 6, seed=seed) * uneven, normal(1, 6, seed=seed + 1) / uneven]
    # Somewhat related, as pairs are that are matched.
    want = [normal(1, 6, seed=seed + 2) + have[0], normal(1, 6, seed=seed + 3) + have[1]]
    order, scale = _neuron_step((have[0], have[1]), (want[0], want[1]))
    assert order.tolist() == [0]
    expected, cost = best_scale([x[0] for x in have], [x[0] for x in want])
    assert float(scale) == pytest.approx(expected, rel=1e-4)
    reached = pair_cost(float(scale), [x[0] for x in have], [x[0] for x in want])
    assert reached == pytest.approx(cost, rel=1e-7)


@pytest.mark.parametrize("seed", range(4))
def test_neurons_are_matched_as_well_as_in_any_order(seed: int) -> None:
    have = (normal(4, 3, seed=seed), normal(4, 3, seed=seed + 10))
    want = (normal(4, 3, seed=seed + 20), normal(4, 3, seed=seed + 30))
    cost = {
        (i, j): best_scale([x[j] for x in have], [x[i] for x in want])[1]
        for i in range(4)
        for j in range(4)
    }
    totals = {
        order: sum(cost[i, j] for i, j in enumerate(order)) for order in permutations(range(4))
    }
    order, scale = _neuron_step(have, want)
    assert bool((scale > 0).all())
    assert tuple(order.tolist()) == min(totals, key=lambda o: totals[o])
    reached = sum(
        pair_cost(float(scale[i]), [x[j] for x in have], [x[i] for x in want])
        for i, j in enumerate(order.tolist())
    )
    assert reached == pytest.approx(min(totals.values()), rel=1e-6)


def test_dead_neurons_do_not_break_the_search() -> None:
    state = model(0)
    state["blocks.0.mlp.W_in"][3] = 0
    state["blocks.0.mlp.W_out"][:, 3] = 0
    found = align_weights(random_symmetry(state, CONFIG, 1), state, CONFIG, turn_residual=False)
    assert found.worst < 1e-8
    assert all(bool(layer.scale.isfinite().all()) for layer in found.symmetry.layers)


def turned_cost(have: tuple[Tensor, Tensor], want: tuple[Tensor, Tensor]) -> float:
    """Squared difference of two pairs of matrices once one turn, the best, is applied to both."""
    rows = [torch.cat(pair, dim=1) for pair in (have, want)]
    left, _, right = torch.linalg.svd(rows[1] @ rows[0].T)
    return float((left @ right @ rows[0] - rows[1]).square().sum())


@pytest.mark.parametrize("heads", [3, 4])
def test_heads_are_matched_as_well_as_in_any_order(heads: int) -> None:
    config = TransformerConfig(d_model=12, heads=heads, d_head=3, d_mlp=4)
    states = []
    for seed in (0, 1):
        drawn = initial_state(config, seed)
        states.append({n: t if n.endswith("gain") else 20 * t for n, t in drawn.items()})
    target, source = ({n: t.double() for n, t in state.items()} for state in states)
    found = align_weights(target, source, config, turn_residual=False)
    for index, layer in enumerate(found.symmetry.layers):
        block = f"blocks.{index}.attn"
        (q, k, v, o), (gq, gk, gv, go) = (
            [state[f"{block}.W_{name}"] for name in "QKVO"] for state in (target, source)
        )
        cost = {
            order: sum(
                turned_cost((q[j], k[j]), (gq[i], gk[i]))
                + turned_cost((v[j], o[j].T), (gv[i], go[i].T))
                for i, j in enumerate(order)
            )
            for order in permutations(range(heads))
        }
        assert tuple(layer.heads.tolist()) == min(cost, key=lambda order: cost[order])
        reached = sum(found.mse[f"{block}.W_{name}"] for name in "QKVO") * q.numel()
        assert reached == pytest.approx(min(cost.values()), rel=1e-9)
