"""Training of TopK and GroupTopK autoencoders: gradients, stacks, and what is recovered."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from planted_features import normal, planted
from scipy.optimize import linear_sum_assignment
from torch import Tensor

import polyrot as pr
from polyrot.sae.metrics import ev, reconstruct
from polyrot.sae.recipe import SAEConfig
from polyrot.sae.sparse_gradients import sparse_gradients
from polyrot.sae.training import SAEStack, initial_weights, train_saes

Weights = dict[str, Tensor]
SPARSE = [pr.TopK(3), pr.GroupTopK(groups=2, rank=2), pr.GroupTopK(groups=8, rank=2)]
"""Of the last a quarter of the features or more are on: gradients are those of a whole stack."""


def loss_of_each(weights: Weights, x: Tensor, activation: pr.TopK | pr.GroupTopK) -> Tensor:
    """Mean squared error of each autoencoder of a stack, computed densely."""
    losses = []
    for i, tokens in enumerate(x):
        W_enc, b_enc, W_dec, b_dec = (weights[n][i] for n in ("W_enc", "b_enc", "W_dec", "b_dec"))
        hidden = activation((tokens - b_dec) @ W_enc + b_enc)
        losses.append((hidden @ W_dec + b_dec - tokens).square().mean())
    return torch.stack(losses)


@given(
    stack=st.integers(1, 3),
    tokens=st.integers(1, 40),
    d_model=st.integers(1, 9),
    groups=st.integers(1, 12),
    rank=st.integers(1, 3),
    share=st.floats(0, 1),
    signed=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_gradients_equal_autograd(
    stack: int,
    tokens: int,
    d_model: int,
    groups: int,
    rank: int,
    share: float,
    signed: bool,
    seed: int,
) -> None:
    features = groups * rank
    on = 1 + round(share * (groups - 1))
    activation = pr.GroupTopK(on, rank) if signed else pr.TopK(on * rank)
    weights = {
        "W_enc": normal(stack, d_model, features, seed=seed),
        "b_enc": normal(stack, features, seed=seed + 1),
        "W_dec": normal(stack, features, d_model, seed=seed + 2),
        "b_dec": normal(stack, d_model, seed=seed + 3),
    }
    x = normal(stack, tokens, d_model, seed=seed + 4)
    for weight in weights.values():
        weight.requires_grad_()
    loss_of_each(weights, x, activation).sum().backward()
    with torch.no_grad():
        gradients = sparse_gradients(weights, x, activation)
    for name, weight in weights.items():
        torch.testing.assert_close(gradients[name], weight.grad, msg=f"gradient of {name}")


@pytest.mark.parametrize("activation", SPARSE)
def test_a_stack_equals_its_members_trained_alone_to_the_bit(
    activation: pr.TopK | pr.GroupTopK,
) -> None:
    data = [planted(500, normal(16, 8, seed=s).float(), 2, seed=s) for s in (0, 1)]
    configs = [SAEConfig(steps=5, batch=64, seed=s, activation=activation) for s in (0, 3)]
    alone = [train_saes([x], [c])[0] for x, c in zip(data, configs, strict=True)]
    for one, together, again in zip(
        alone, train_saes(data, configs), train_saes(data, configs), strict=True
    ):
        assert one.activation == together.activation == activation
        for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
            assert torch.equal(getattr(one, name), getattr(together, name))
            assert torch.equal(getattr(again, name), getattr(together, name))


@pytest.mark.parametrize("activation", SPARSE)
def test_steps_are_those_of_autograd_and_adam(activation: pr.TopK | pr.GroupTopK) -> None:
    data = planted(500, normal(16, 8, seed=0).float(), 2, seed=0)
    config = SAEConfig(expansion=2, steps=4, batch=64, activation=activation)
    weights = {n: w[None].clone().requires_grad_() for n, w in initial_weights(config, 8).items()}
    optimizer = torch.optim.Adam(weights.values(), lr=config.learning_rate)
    generator = torch.Generator().manual_seed(1_000_003)
    for _ in range(config.steps):
        x = data[torch.randint(len(data), (64,), generator=generator)][None]
        optimizer.zero_grad()
        loss_of_each(weights, x, activation).sum().backward()
        with torch.no_grad():
            W_dec = weights["W_dec"]
            W_dec.grad -= (W_dec.grad * W_dec).sum(2, keepdim=True) * W_dec
            optimizer.step()
            W_dec /= W_dec.norm(dim=2, keepdim=True)
            if isinstance(activation, pr.GroupTopK):
                weights["W_enc"] /= weights["W_enc"].norm(dim=1, keepdim=True)
    (trained,) = train_saes([data], [config])
    for name, weight in weights.items():
        torch.testing.assert_close(getattr(trained, name), weight[0].detach())


@pytest.mark.training
def test_topk_recovers_planted_features() -> None:
    directions = torch.nn.functional.normalize(normal(32, 16, seed=0).float(), dim=1)
    x = planted(8_000, directions, 2, seed=1)
    config = SAEConfig(expansion=4, steps=800, batch=512, learning_rate=5e-3, activation=pr.TopK(2))
    (trained,) = train_saes([x], [config])
    untrained = pr.SAE(**initial_weights(config, 16), activation=pr.TopK(2))
    assert ev(reconstruct(trained, x), x) > 0.9 > 0.6 > ev(reconstruct(untrained, x), x)
    found, before = ((directions @ s.W_dec.T).amax(1) for s in (trained, untrained))
    assert float((found > 0.95).float().mean()) > 0.8
    assert float((before > 0.95).float().mean()) < 0.1


@pytest.mark.training
def test_groups_recover_planted_subspaces() -> None:
    """The rows of a group come to span a planted plane, whatever basis of it they are."""
    generator = torch.Generator().manual_seed(0)
    bases = torch.linalg.qr(torch.randn(12, 32, 2, generator=generator)).Q
    which = torch.rand(8_000, 12, generator=generator).topk(2).indices
    x = (bases[which] @ torch.randn(8_000, 2, 2, 1, generator=generator)).sum(1)[:, :, 0]
    config = SAEConfig(
        expansion=1,
        steps=1_500,
        batch=512,
        learning_rate=5e-3,
        activation=pr.GroupTopK(groups=2, rank=2),
    )

    def mean_share(sae: pr.SAE) -> float:
        """Share of a plane inside the group matched with it, averaged over planes."""
        groups = torch.linalg.qr(sae.W_dec.unflatten(0, (-1, 2)).mT).Q
        shares = (bases[:, None].mT @ groups[None]).square().sum((2, 3)) / 2
        return float(shares[linear_sum_assignment(-shares)].mean())

    (trained,) = train_saes([x], [config])
    untrained = pr.SAE(**initial_weights(config, 32), activation=config.activation)
    assert ev(reconstruct(trained, x), x) > 0.9 > 0.4 > ev(reconstruct(untrained, x), x)
    assert mean_share(trained) > 0.95 > 0.3 > mean_share(untrained)
    for norms in (trained.W_dec.norm(dim=1), trained.W_enc.norm(dim=0)):
        torch.testing.assert_close(norms, torch.ones_like(norms))


def test_a_recipe_of_relu_says_what_it_said_before_there_was_a_choice() -> None:
    """Keys of caches and the files of what is published are made of it."""
    assert SAEConfig().recipe() == {
        "expansion": 8,
        "l1": 1e-3,
        "steps": 4_000,
        "batch": 4_096,
        "learning_rate": 5e-4,
        "seed": 0,
    }


def test_recipes_that_differ_are_told_apart_and_are_json() -> None:
    activations = [pr.TopK(2), pr.TopK(3), pr.GroupTopK(2, 2), pr.GroupTopK(2, 3), pr.ReLU()]
    texts = {json.dumps(SAEConfig(activation=a).recipe(), sort_keys=True) for a in activations}
    assert len(texts) == len(activations)
    assert SAEConfig(activation=pr.TopK(2)).recipe()["activation"] == {"kind": "TopK", "k": 2}


def test_an_activation_that_does_not_fit_is_refused_before_training() -> None:
    config = SAEConfig(expansion=1, activation=pr.TopK(9))
    with pytest.raises(ValueError, match="Expected 1 <= k <= 8 features but got k=9"):
        SAEStack([torch.randn(20, 8)], [config])
