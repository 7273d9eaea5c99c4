"""Do features of two autoencoders fire together?"""

import pytest
import torch
from torch import Tensor

from polyrot.capabilities.features import Firing
from polyrot.sae.model import SAE

TOKENS, D = 2_000, 6


def reading(encoder: Tensor) -> SAE:
    """An autoencoder that reads these directions, shifted so that all of them always fire."""
    features = encoder.shape[1]
    return SAE(encoder, torch.full((features,), 20.0), torch.randn(features, D), torch.zeros(D))


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_share_is_that_of_pearsons_correlation() -> None:
    x = draw(TOKENS, D, seed=0)
    own = Firing.of(reading(torch.eye(D)), x)
    r = torch.tensor([0.9, 0.65, 0.3, 0.1, 0.6, 0.4])
    noisy = r * x + (1 - r**2).sqrt() * draw(TOKENS, D, seed=1)
    other = Firing.of(reading(torch.eye(D)), noisy)
    assert own.shared_with(own) == 1
    assert own.shared_with(other) == pytest.approx(3 / 6)
    assert own.shared_with(other, above=0.35) == pytest.approx(4 / 6)


def test_partners_are_one_to_one() -> None:
    x = draw(TOKENS, D, seed=0)
    own = Firing.of(reading(torch.eye(D)), x)
    # Every feature of the other reads the first direction.
    doubled = Firing.of(reading(torch.cat([torch.eye(D)[:, :1]] * D, 1)), x)
    assert own.shared_with(doubled) == doubled.shared_with(own) == pytest.approx(1 / D)


def test_the_order_of_features_does_not_matter_and_that_of_tokens_does() -> None:
    x = draw(TOKENS, D, seed=0)
    own = Firing.of(reading(torch.eye(D)), x)
    permuted = Firing.of(reading(torch.eye(D)[:, [3, 1, 5, 0, 2, 4]]), x)
    assert own.shared_with(permuted) == 1
    assert own.shared_with(permuted.shuffled(torch.Generator().manual_seed(0))) == 0


def test_dead_features_have_no_partner() -> None:
    x = draw(TOKENS, D, seed=0)
    encoder = torch.eye(D)
    encoder[:, :2] = 0
    half_dead = Firing.of(reading(encoder), x)
    assert half_dead.shared_with(half_dead) == pytest.approx(4 / 6)
