"""The model: its shapes, and its outputs against a plain reference for one sequence."""

import math

import numpy as np
import pytest
import torch

from polyrot.models.harvest import harvest, predict
from polyrot.models.transformer import (
    StackedTransformer,
    TransformerConfig,
    analytic_positions,
    canonical_site,
    initial_state,
    stack_states,
)
from polyrot.symmetry.group import random_symmetry
from polyrot.tasks import dyck

CONFIG = TransformerConfig()


@pytest.fixture(scope="module")
def stack() -> StackedTransformer:
    states = [initial_state(CONFIG, seed) for seed in range(3)]
    # Larger weights and uneven gains than at the start, so that nothing is nearly linear.
    generator = torch.Generator().manual_seed(9)
    for state in states:
        for name, tensor in state.items():
            if name.endswith("gain"):
                tensor.add_(torch.randn(tensor.shape, generator=generator), alpha=0.3)
            else:
                tensor.mul_(8)
    return StackedTransformer(CONFIG, stack_states(states))


def reference_logits(state: dict[str, torch.Tensor], tokens: list[int]) -> dict[str, torch.Tensor]:
    """One sequence, one seed, no stacking, written from the description of the model."""

    def norm(x: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
        return x / torch.sqrt((x**2).mean(-1, keepdim=True) + 1e-5) * gain

    n = len(tokens)
    x = state["W_E"][tokens] + analytic_positions(CONFIG)[:n]
    for i in range(2):
        h = norm(x, state[f"blocks.{i}.ln1.gain"])
        out = torch.zeros_like(x)
        for head in range(4):
            q, k, v = (h @ state[f"blocks.{i}.attn.W_{m}"][head].T for m in "QKV")
            scores = q @ k.T / math.sqrt(16)
            scores = scores.masked_fill(torch.ones(n, n).triu(1).bool(), -math.inf)
            out += scores.softmax(-1) @ v @ state[f"blocks.{i}.attn.W_O"][head].T
        x = x + out
        h = norm(x, state[f"blocks.{i}.ln2.gain"])
        x = x + torch.relu(h @ state[f"blocks.{i}.mlp.W_in"].T) @ state[f"blocks.{i}.mlp.W_out"].T
    x = norm(x, state["ln_f.gain"])
    heads = {"token": "tok", "depth": "depth", "valid": "valid"}
    return {head: x @ state[f"W_U_{name}"].T for head, name in heads.items()}


def test_parameter_count_and_every_shape() -> None:
    state = initial_state(CONFIG, 0)
    assert sum(tensor.numel() for tensor in state.values()) == 104_448
    block = {
        "attn.W_Q": (4, 16, 64),
        "attn.W_K": (4, 16, 64),
        "attn.W_V": (4, 16, 64),
        "attn.W_O": (4, 64, 16),
        "mlp.W_in": (256, 64),
        "mlp.W_out": (64, 256),
        "ln1.gain": (64,),
        "ln2.gain": (64,),
    }
    expected = {
        "W_E": (40, 64),
        "W_U_tok": (40, 64),
        "W_U_depth": (9, 64),
        "W_U_valid": (2, 64),
        "ln_f.gain": (64,),
    } | {f"blocks.{i}.{name}": shape for i in range(2) for name, shape in block.items()}
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == expected


def test_positions_are_analytic_and_live_in_six_dimensions() -> None:
    code = analytic_positions(CONFIG)
    assert code.shape == (64, 64)
    assert not code[:, 6:].any()
    t = 10
    expected = [t / 64, 1 / 11, math.log(11) / math.log(64), 0.0]
    expected += [math.cos(2 * math.pi * t / 64), math.sin(2 * math.pi * t / 64)]
    assert code[t, :6].tolist() == pytest.approx(expected, abs=1e-6)
    assert code[0, 3] == 1


def test_initial_weights_are_small_and_gains_one() -> None:
    state = initial_state(CONFIG, 0)
    assert bool((state["ln_f.gain"] == 1).all())
    assert float(state["blocks.0.mlp.W_in"].std()) == pytest.approx(0.02, rel=0.03)
    assert not torch.equal(state["W_E"], initial_state(CONFIG, 1)["W_E"])


def test_stack_equals_the_plain_model_for_every_seed(stack: StackedTransformer) -> None:
    batch = dyck.sample(1, rng=np.random.default_rng(0), lengths=(20, 20))
    tokens = [int(t) for t in batch.tokens[0] if t != dyck.PAD]
    logits = predict(stack, batch)
    for seed in range(3):
        expected = reference_logits(stack.state(seed), tokens)
        for head, values in expected.items():
            torch.testing.assert_close(logits[head][seed], values, rtol=2e-4, atol=2e-4)


def test_predictions_are_causal(stack: StackedTransformer) -> None:
    tokens = torch.full((3, 1, 12), 3)
    changed = tokens.clone()
    changed[:, :, 8:] = 6
    before, _ = stack(tokens)
    after, _ = stack(changed)
    for head in before:
        torch.testing.assert_close(before[head][:, :, :8], after[head][:, :, :8])
        assert not torch.equal(before[head][:, :, 8:], after[head][:, :, 8:])


def test_harvest_skips_padding_and_names_sequences(stack: StackedTransformer) -> None:
    batch = dyck.sample(100, rng=np.random.default_rng(0))
    harvested = harvest(stack, batch)
    tokens = int(batch.lengths.sum())
    assert set(harvested.by_site) == set(CONFIG.sites())
    for activations in harvested.by_site.values():
        assert activations.shape == (3, tokens, 64)
        assert activations.dtype == torch.float32
    assert sorted(torch.bincount(harvested.sequence).tolist()) == sorted(batch.lengths.tolist())


def test_one_site_has_two_names(stack: StackedTransformer) -> None:
    batch = dyck.sample(4, rng=np.random.default_rng(0))
    harvested = harvest(stack, batch, ("resid_pre.1",))
    assert list(harvested.by_site) == ["resid_post.0"]
    assert harvested.at("resid_pre.1") is harvested.at("resid_post.0")
    assert canonical_site("resid_pre.0") == "resid_pre.0"
    with pytest.raises(KeyError, match="resid_mid.7"):
        harvested.at("resid_mid.7")
    with pytest.raises(ValueError, match="resid_mid.7"):
        harvest(stack, batch, ("resid_mid.7",))


def test_wrong_tensors_are_named() -> None:
    state = stack_states([initial_state(CONFIG, 0)])
    state["W_E"] = state["W_E"][:, :39]
    with pytest.raises(ValueError, match=r"state\['W_E'\] of shape \(1, 40, 64\) but got"):
        StackedTransformer(CONFIG, state)


def test_a_symmetry_changes_weights_and_not_outputs(stack: StackedTransformer) -> None:
    state = stack.state(0)
    images = [random_symmetry(state, CONFIG, seed) for seed in range(3)]
    batch = dyck.sample(20, rng=np.random.default_rng(0))
    plain = predict(stack, batch)
    moved = predict(StackedTransformer(CONFIG, stack_states(images)), batch)
    for image in images:
        for name in ("blocks.0.attn.W_Q", "blocks.1.attn.W_O", "blocks.1.mlp.W_in"):
            assert float((image[name] - state[name]).abs().mean()) > 0.05
    for head, values in moved.items():
        for seed in range(3):
            torch.testing.assert_close(values[seed], plain[head][0], rtol=1e-3, atol=1e-3)
