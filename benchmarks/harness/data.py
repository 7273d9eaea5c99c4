"""Data as real activations are: ill-conditioned, off centre, with a few dominant dimensions."""

from functools import lru_cache

import torch
from torch import Tensor

DECAY = 1.0
"""Standard deviations fall as a power of the rank: the covariance's condition is d^2."""
NOISE = 0.1
DOMINANT = 3
"""Dimensions of a seed that are far larger and far off centre, as residual streams have."""


def latent(tokens: int, d: int, seed: int = 0) -> Tensor:
    """Draw what all seeds of a cohort have in common: float32 `[token, d]`."""
    generator = torch.Generator().manual_seed(seed)
    scales = torch.arange(1, d + 1, dtype=torch.float32).pow(-DECAY) * d**0.5
    return torch.randn(tokens, d, generator=generator) * scales


def seen_by(common: Tensor, seed: int) -> Tensor:
    """Turn what is common into one seed's basis, with its own noise, mean and loud dimensions."""
    d = common.shape[1]
    generator = torch.Generator().manual_seed(1_000 + seed)
    basis = torch.linalg.qr(torch.randn(d, d, generator=generator)).Q
    own = torch.randn(common.shape, generator=generator)
    x = torch.addmm(own, common, basis, beta=NOISE)
    loud = torch.randperm(d, generator=generator)[:DOMINANT]
    x[:, loud] *= 8
    x += torch.randn(d, generator=generator)
    x[:, loud] += 50
    return x


@lru_cache(maxsize=1)
def pair(tokens: int, d: int) -> tuple[Tensor, Tensor]:
    """Two seeds' activations on the same tokens, float32 `[token, d]`."""
    common = latent(tokens, d)
    return seen_by(common, 0), seen_by(common, 1)


def cross_covariance(d: int, condition: float, seed: int = 0) -> Tensor:
    """Draw a float64 `[d, d]` matrix of this condition number, its bases far from the axes."""
    generator = torch.Generator().manual_seed(seed)
    u, v = (
        torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64)).Q
        for _ in range(2)
    )
    ranks = torch.arange(d, dtype=torch.float64) / (d - 1)
    return u * condition**-ranks @ v.mT


@lru_cache(maxsize=1)
def rotation(d: int) -> Tensor:
    """Fit a rotation between two seeds, as a claim would: float64, of determinant 1."""
    from polyrot.linalg.moments import Moments
    from polyrot.linalg.procrustes import align

    source, target = pair(2 * d, d)
    return align(moments=Moments.from_arrays(source, target), group="SO").rotation
