"""Sets of orthogonal matrices that are not Haar, each in its own way."""

from collections.abc import Callable

import torch
from torch import Tensor

import polyrot as pr

COUNT = 5
"""Matrices that are tested together."""


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _eye(d: int) -> Tensor:
    return torch.eye(d, dtype=torch.float64)


def _in_random_bases(matrices: Tensor, seed: int) -> Tensor:
    bases = pr.haar.sample(matrices.shape[-1], COUNT, group="O", seed=seed + 10**6)
    return bases.mT @ matrices @ bases


def permutations(d: int, seed: int) -> Tensor:
    draw = _generator(seed)
    return torch.stack([_eye(d)[torch.randperm(d, generator=draw)] for _ in range(COUNT)])


def signed_permutations(d: int, seed: int) -> Tensor:
    signs = torch.randint(0, 2, (COUNT, d, 1), generator=_generator(seed + 1)) * 2 - 1
    return permutations(d, seed) * signs


def block_haar(d: int, seed: int) -> Tensor:
    blocks = pr.haar.sample(d // 8, 8 * COUNT, group="O", seed=seed)
    return torch.stack([torch.block_diag(*own) for own in blocks.split(8)])


def qr_without_sign_fix(d: int, seed: int) -> Tensor:
    gaussian = torch.randn(COUNT, d, d, generator=_generator(seed), dtype=torch.float64)
    return torch.linalg.qr(gaussian).Q


def independent_angles(d: int, seed: int) -> Tensor:
    """Eigenangles drawn uniformly, each on its own: they do not repel."""
    angles = torch.pi * torch.rand(COUNT, d // 2, generator=_generator(seed), dtype=torch.float64)
    matrices = torch.zeros(COUNT, d, d, dtype=torch.float64)
    first = torch.arange(0, d, 2)
    matrices[:, first, first] = matrices[:, first + 1, first + 1] = angles.cos()
    matrices[:, first + 1, first] = angles.sin()
    matrices[:, first, first + 1] = -angles.sin()
    return _in_random_bases(matrices, seed)


def cyclic_shifts(d: int, seed: int) -> Tensor:
    """Eigenangles evenly spaced: more even than Haar."""
    return _in_random_bases(_eye(d)[(torch.arange(d) + 1) % d].expand(COUNT, d, d), seed)


def five_percent_identity(d: int, seed: int) -> Tensor:
    fixed = round(0.05 * d)
    inner = pr.haar.sample(d - fixed, COUNT, group="O", seed=seed)
    whole = torch.stack([torch.block_diag(own, _eye(fixed)) for own in inner])
    return _in_random_bases(whole, seed)


ALTERNATIVES: tuple[Callable[[int, int], Tensor], ...] = (
    permutations,
    signed_permutations,
    block_haar,
    qr_without_sign_fix,
    independent_angles,
    cyclic_shifts,
    five_percent_identity,
)
