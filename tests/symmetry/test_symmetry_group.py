"""Symmetries of the weights: what leaves the outputs alone, and what does not."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from planted_weights import (
    BLOCKS,
    CONFIG,
    distance,
    few,
    model,
    only,
    outputs,
    rotation_only,
    same,
    seeds,
    turned_positions,
)

from polyrot.linalg import haar
from polyrot.models.transformer import (
    analytic_positions,
)
from polyrot.symmetry.group import Symmetry, facing_residual, fold_gains, random_symmetry


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
