"""Gramians drawn at random, and how far subspaces are apart."""

import math

import torch

from polyrot.cores import principal_angles


def normal(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def gramian(d: int, rank: int, *, seed: int) -> torch.Tensor:
    root = normal(d, rank, seed=seed)
    return root @ root.mT


def span(x: torch.Tensor) -> torch.Tensor:
    return torch.linalg.qr(x).Q


def largest_angle(first: torch.Tensor, second: torch.Tensor) -> float:
    """Between two subspaces, in radians."""
    return math.radians(float(principal_angles(first, second)[-1]))


def assert_same_spans(found: torch.Tensor, expected: torch.Tensor, atol: float = 1e-8) -> None:
    """The first r columns of both span one subspace, for every r."""
    for r in range(1, expected.shape[1] + 1):
        assert largest_angle(found[:, :r], span(expected[:, :r])) < atol
