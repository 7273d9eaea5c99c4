"""Symmetries of the weights: what leaves the outputs alone, and what the searches find."""

from dataclasses import replace
from itertools import pairwise, permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from torch import Tensor

import polyrot as pr
from polyrot.linalg import haar
from polyrot.models.transformer import (
    StackedTransformer,
    State,
    TransformerConfig,
    analytic_positions,
    initial_state,
    stack_states,
)
from polyrot.symmetry import search
from polyrot.symmetry.group import Symmetry, facing_residual, fold_gains, random_symmetry
from polyrot.symmetry.refine import NORM, Refinement, _Distances, refine_rotation
from polyrot.symmetry.search import WeightAlignment, _neuron_step, align_weights, tensor_mse

CONFIG = TransformerConfig(d_model=12, heads=3, d_head=4, d_mlp=8)
EYE = torch.eye(CONFIG.d_model, dtype=torch.float64)
TOKENS = torch.randint(40, (1, 6, 20), generator=torch.Generator().manual_seed(0))
BLOCKS = ("blocks.0", "blocks.1")

seeds = st.integers(0, 10_000)
few = settings(max_examples=6)


def normal(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def model(seed: int) -> State:
    """Weights in float64, large enough for outputs far from linear, and uneven gains."""
    state = {}
    for i, (name, shape) in enumerate(CONFIG.shapes().items()):
        drawn = normal(*shape, seed=100 * seed + i)
        state[name] = 1 + 0.3 * drawn if name.endswith("gain") else 0.5 * drawn
    return state


def outputs(state: State, positions: Tensor | None = None) -> Tensor:
    """Logits of all three heads, in float64."""
    code = None if positions is None else positions[None]
    logits, _ = StackedTransformer(CONFIG, stack_states([state]), code).double()(TOKENS)
    return torch.cat(list(logits.values()), dim=-1).detach()


def turned_positions(symmetry: Symmetry) -> Tensor:
    """Positions of the image, in float64."""
    return analytic_positions(CONFIG).double() @ symmetry.residual


def only(symmetry: Symmetry, *parts: str) -> Symmetry:
    """Keep some parts of every layer; the rest, and the residual basis, stay as they are."""
    layers = [
        replace(plain, **{part: getattr(layer, part) for part in parts})
        for plain, layer in zip(Symmetry.identity(CONFIG).layers, symmetry.layers, strict=True)
    ]
    return Symmetry(tuple(layers))


def rotation_only(turn: Tensor) -> Symmetry:
    return replace(Symmetry.identity(CONFIG), residual=turn)


def small_turn(seed: int, size: float) -> Tensor:
    x = normal(CONFIG.d_model, CONFIG.d_model, seed=seed)
    return torch.linalg.matrix_exp(size * (x - x.T))


def same(actual: Tensor, expected: Tensor, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


def distance(actual: Tensor, expected: Tensor) -> float:
    return float((actual - expected).abs().max())


# The group.


@few
@given(seeds)
def test_outputs_of_a_random_image_are_the_models_own(seed: int) -> None:
    state = model(seed)
    same(outputs(random_symmetry(state, CONFIG, seed)), outputs(state))


@few
@given(seeds)
def test_outputs_in_a_turned_residual_stream_are_the_models_own(seed: int) -> None:
    state, symmetry = model(seed), Symmetry.random(CONFIG, seed, residual=True)
    image = symmetry.apply(state)
    same(outputs(image, turned_positions(symmetry)), outputs(state))
    # The package keeps position codes in single precision.
    same(outputs(image, symmetry.positions(CONFIG)), outputs(state), 2e-5)
    assert distance(outputs(image), outputs(state)) > 1e-2


def test_an_image_has_the_precision_of_the_model() -> None:
    state = {name: tensor.float() for name, tensor in model(0).items()}
    symmetry = Symmetry.random(CONFIG, 0, residual=True)
    image = symmetry.apply(state)
    assert {tensor.dtype for tensor in image.values()} == {torch.float32}
    same(outputs(image, symmetry.positions(CONFIG)), outputs(state), 1e-3)


def test_a_random_element_is_a_function_of_its_seed() -> None:
    state = model(0)
    one, again, other = (Symmetry.random(CONFIG, s).apply(state) for s in (1, 1, 2))
    assert all(torch.equal(one[name], again[name]) for name in state)
    assert not torch.equal(one["blocks.0.attn.W_Q"], other["blocks.0.attn.W_Q"])


@pytest.mark.parametrize(
    ("parts", "changed"),
    [
        (("heads",), ("attn.W_Q", "attn.W_K", "attn.W_V", "attn.W_O")),
        (("query_key",), ("attn.W_Q", "attn.W_K")),
        (("value_output",), ("attn.W_V", "attn.W_O")),
        (("neurons",), ("mlp.W_in", "mlp.W_out")),
        (("scale",), ("mlp.W_in", "mlp.W_out")),
    ],
)
def test_each_generator_changes_its_tensors_and_no_output(
    parts: tuple[str, ...], changed: tuple[str, ...]
) -> None:
    state = model(0)
    # Seed 4 moves heads in both layers.
    image = only(Symmetry.random(CONFIG, 4), *parts).apply(state)
    moved = {name for name in state if distance(image[name], state[name]) > 0.1}
    assert moved == {f"{block}.{name}" for block in BLOCKS for name in changed}
    assert all(torch.equal(image[name], state[name]) for name in state if name not in moved)
    same(outputs(image), outputs(state))


def test_a_residual_rotation_alone_folds_the_gains_and_changes_no_output() -> None:
    state, turn = model(0), haar.sample(CONFIG.d_model, seed=1)
    symmetry = rotation_only(turn)
    image = symmetry.apply(state)
    for name, tensor in image.items():
        if name.endswith("gain"):
            assert bool((tensor == 1).all())
        else:
            assert distance(tensor, state[name]) > 0.1
    same(outputs(image, turned_positions(symmetry)), outputs(state))


def test_the_identity_changes_nothing() -> None:
    state, identity = model(0), Symmetry.identity(CONFIG)
    image = identity.apply(state)
    assert all(torch.equal(image[name], state[name]) for name in state)
    assert torch.equal(identity.positions(CONFIG), analytic_positions(CONFIG))


def test_a_negative_scale_is_no_symmetry() -> None:
    state = model(0)
    symmetry = only(Symmetry.random(CONFIG, 1), "scale")
    negative = tuple(replace(layer, scale=-layer.scale) for layer in symmetry.layers)
    assert distance(outputs(Symmetry(negative).apply(state)), outputs(state)) > 1e-2


@pytest.mark.parametrize("name", ["W_Q", "W_V"])
def test_turning_one_side_of_a_head_is_no_symmetry(name: str) -> None:
    state = model(0)
    image = only(Symmetry.random(CONFIG, 1), "query_key", "value_output").apply(state)
    alone = {key: image[key] if key.endswith(name) else state[key] for key in state}
    assert distance(outputs(alone), outputs(state)) > 1e-2


def test_different_turns_of_queries_and_keys_are_no_symmetry() -> None:
    state = model(0)
    one, other = (only(Symmetry.random(CONFIG, s), "query_key").apply(state) for s in (1, 2))
    mixed = {name: other[name] if name.endswith("W_K") else one[name] for name in state}
    assert distance(outputs(mixed), outputs(state)) > 1e-2


def test_a_residual_rotation_under_unfolded_gains_is_no_symmetry() -> None:
    state, symmetry = model(0), rotation_only(haar.sample(CONFIG.d_model, seed=1))
    gains = {name: tensor for name, tensor in state.items() if name.endswith("gain")}
    without = state | {name: torch.ones_like(tensor) for name, tensor in gains.items()}
    positions, turned = turned_positions(symmetry), symmetry.apply(without)
    same(outputs(turned, positions), outputs(without))
    assert distance(outputs(turned | gains, positions), outputs(state)) > 1e-2


def test_folded_gains_are_one_and_outputs_stay() -> None:
    state = model(0)
    before = {name: tensor.clone() for name, tensor in state.items()}
    folded = fold_gains(state)
    same(outputs(folded), outputs(state))
    for name, tensor in folded.items():
        if name.endswith("gain"):
            assert bool((tensor == 1).all())
            assert distance(tensor, state[name]) > 0.1
        assert torch.equal(state[name], before[name])
    again = fold_gains(folded)
    assert all(torch.equal(again[name], folded[name]) for name in folded)


def test_weights_are_laid_out_along_the_residual_stream() -> None:
    # Under a rotation every tensor, laid out, is multiplied from the right.
    state, turn = fold_gains(model(0)), haar.sample(CONFIG.d_model, seed=3)
    image = rotation_only(turn).apply(state)
    for name in (name for name in state if not name.endswith("gain")):
        rows = facing_residual(name, state[name])
        assert rows.shape == (state[name].numel() // CONFIG.d_model, CONFIG.d_model)
        same(facing_residual(name, image[name]), rows @ turn)


# The search.


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
    assert found.worst == found.mse[found.worst_tensor] == max(found.mse.values())
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


def test_starting_from_the_result_is_no_worse() -> None:
    target, source = model(2), model(3)
    found = align_weights(target, source, CONFIG)
    assert found.symmetry.residual is not None
    again = align_weights(target, source, CONFIG, rotations=[found.symmetry.residual])
    assert len(again.starts) == len(found.starts) + 1
    # After the identity and the input and output tensors come the rotations given.
    assert again.starts[2] <= min(found.starts) + 1e-12
    assert min(again.starts) <= min(found.starts) + 1e-12


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


# The refinement.


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
