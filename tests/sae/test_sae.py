"""Autoencoders: gradients, training, metrics and transfer."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import polyrot as pr
from polyrot.sae.activations import Activation, JumpReLU, ReLU, TopK
from polyrot.sae.metrics import ev, ev_published, firing_correlation, l0, reconstruct
from polyrot.sae.recipe import SAEConfig
from polyrot.sae.relu_gradients import loss_gradients
from polyrot.sae.training import initial_weights, train_saes


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def sparse_activations(tokens: int, d: int, seed: int) -> torch.Tensor:
    """Sums of a few of 2d directions: what an autoencoder is for."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(2 * d, d, generator=generator)
    on = torch.rand(tokens, 2 * d, generator=generator) < 2 / d
    return (on * torch.rand(tokens, 2 * d, generator=generator)) @ directions


@pytest.fixture(scope="module")
def sae() -> pr.SAE:
    return train_saes(
        [sparse_activations(4000, 8, seed=0)], [SAEConfig(steps=800, batch=256, learning_rate=5e-3)]
    )[0]


@pytest.mark.parametrize("block", [64, 1_000_000])
def test_gradients_equal_autograd(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyrot.sae.relu_gradients.CPU_BLOCK", block)
    config = SAEConfig(expansion=3, l1=0.02)
    x = normal(2, 100, 8, seed=0)
    stacked = [initial_weights(SAEConfig(expansion=3, seed=s), 8) for s in (0, 1)]
    weights = {n: torch.stack([w[n] for w in stacked]).requires_grad_() for n in stacked[0]}
    with torch.no_grad():
        weights["b_dec"] += 0.3
        weights["b_enc"] -= 0.1
    hidden = torch.relu(
        (x - weights["b_dec"][:, None]) @ weights["W_enc"] + weights["b_enc"][:, None]
    )
    error = hidden @ weights["W_dec"] + weights["b_dec"][:, None] - x
    loss = error.square().mean((1, 2)) + config.l1 * hidden.sum(2).mean(1)
    loss.sum().backward()
    with torch.no_grad():
        gradients = loss_gradients(weights, x, config.l1)
    for name, weight in weights.items():
        torch.testing.assert_close(gradients[name], weight.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.training
def test_training_explains_sparse_activations(sae: pr.SAE) -> None:
    x = sparse_activations(2000, 8, seed=0)
    assert ev(reconstruct(sae, x), x) > 0.9
    untrained = pr.SAE(**initial_weights(SAEConfig(), 8))
    assert ev(reconstruct(untrained, x), x) < 0
    norms = sae.W_dec.norm(dim=1)
    torch.testing.assert_close(norms, torch.ones_like(norms))


@pytest.mark.training
def test_a_penalty_makes_it_sparser() -> None:
    x = sparse_activations(4000, 8, seed=0)
    weak, strong = (
        train_saes([x], [SAEConfig(steps=800, batch=256, learning_rate=5e-3, l1=l1)])[0]
        for l1 in (1e-4, 3e-2)
    )
    assert l0(strong, x) < 0.7 * l0(weak, x)


def test_a_stack_equals_its_members_trained_alone() -> None:
    data = [sparse_activations(500, 8, seed=s) for s in (0, 1)]
    configs = [SAEConfig(steps=5, batch=64, seed=s) for s in (0, 3)]
    for alone, together in zip(
        [train_saes([x], [c])[0] for x, c in zip(data, configs, strict=True)],
        train_saes(data, configs),
        strict=True,
    ):
        torch.testing.assert_close(alone.W_dec, together.W_dec, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(alone.b_dec, together.b_dec, rtol=1e-4, atol=1e-5)


def test_one_sae_seed_starts_from_one_decoder_whatever_the_activations() -> None:
    first = initial_weights(SAEConfig(seed=0), 8)
    assert torch.equal(first["W_dec"], initial_weights(SAEConfig(seed=0), 8)["W_dec"])
    assert not torch.equal(first["W_dec"], initial_weights(SAEConfig(seed=1), 8)["W_dec"])


def test_the_two_explained_variances_by_hand() -> None:
    x = torch.tensor([[0.0, 10.0], [2.0, 12.0]])
    mean = x.mean(0).expand(2, 2)
    # Predicting each dimension's mean explains nothing ...
    assert ev(mean, x) == 0
    # ... but counts as explaining where one mean serves all entries: 4 / (104 / 3) is left.
    assert ev_published(mean, x) == pytest.approx(1 - 1 / (104 / 3))
    assert ev(x, x) == ev_published(x, x) == 1


@given(st.integers(0, 100))
def test_carrying_a_dictionary_commutes_with_encoding(seed: int) -> None:
    weights = initial_weights(SAEConfig(seed=seed), 8)
    sae = pr.SAE(**{**weights, "b_dec": normal(8, seed=seed)})
    x = normal(200, 8, seed=seed + 1)
    y = x.double() @ pr.haar.sample(8, seed=seed) + 4
    fit = pr.align(x, y)
    carried = fit.carry_sae(sae)
    latents = sae.encode(x)
    torch.testing.assert_close(carried.encode(fit.apply(x)), latents, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(
        carried.decode(latents).double(), fit.apply(sae.decode(latents)), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("activation", [ReLU(), TopK(2), JumpReLU(torch.linspace(0.1, 0.9, 32))])
def test_in_half_precision_it_does_nearly_the_same(activation: Activation) -> None:
    weights = initial_weights(SAEConfig(expansion=4), 8)
    sae = pr.SAE(**weights, activation=activation)
    half = sae.to(torch.float16)
    x = normal(50, 8, seed=3)
    assert half.encode(x).dtype == torch.float16
    again = half.to(torch.float32)
    torch.testing.assert_close(again.encode(x), sae.encode(x), rtol=1e-2, atol=1e-2)
    assert torch.equal(again.W_enc, sae.W_enc.half().float())


def test_a_trained_one_survives_its_files(sae: pr.SAE, tmp_path: Path) -> None:
    sae.save(tmp_path / "sae")
    assert {p.name for p in (tmp_path / "sae").iterdir()} == {
        "cfg.json",
        "sae_weights.safetensors",
    }
    again = pr.SAE.load(tmp_path / "sae")
    x = normal(50, 8, seed=3)
    assert torch.equal(again.decode(again.encode(x)), sae.decode(sae.encode(x)))


def test_firing_correlation_is_pearsons_over_the_features_that_fire() -> None:
    generator = torch.Generator().manual_seed(5)
    x, y = torch.randn(2, 3_000, 8, generator=generator)
    y = x + y
    sae = pr.SAE(**initial_weights(SAEConfig(expansion=2), 8))
    u, v = sae.encode(x).double().numpy(), sae.encode(y).double().numpy()
    each = [np.corrcoef(a, b)[0, 1] for a, b in zip(u.T, v.T, strict=True)]
    assert firing_correlation(sae, x, y) == pytest.approx(np.mean(each))
    # A feature that is silent on x or y counts as uncorrelated.
    encoder = sae.W_enc.clone()
    encoder[:, 0] = 0
    b_enc = sae.b_enc.clone()
    b_enc[1] = -1
    silenced = pr.SAE(encoder, b_enc, sae.W_dec, sae.b_dec)
    u, v = silenced.encode(x), silenced.encode(0.01 * y)
    assert bool((u[:, 1] > 0).any())
    assert not bool((v[:, :2] > 0).any())
    of_all = [
        np.corrcoef(a, b)[0, 1] for a, b in zip(u.numpy().T[2:], v.numpy().T[2:], strict=True)
    ]
    assert firing_correlation(silenced, x, 0.01 * y) == pytest.approx(sum(of_all) / 16)
    assert firing_correlation(silenced, 0 * x, y) == 0
