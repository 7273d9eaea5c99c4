"""Subspaces at the site of a core: the core itself, and others of as many dimensions."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.experiments.chains.models import ChainModels
from polyrot.suites.draws import draw_seed

Basis = Float[Tensor, "d_model rank"]
Choice = Callable[[ChainModels, int], Basis]
"""The subspace of a seed, by its position among the models."""


def own_core(models: ChainModels, index: int) -> Basis:
    """The core, of the published rank: no control."""
    return models.cores[index].basis(models.rank)


def random_subspace(models: ChainModels, index: int) -> Basis:
    """Uniform among the subspaces of as many dimensions, drawn for every seed."""
    generator = torch.Generator().manual_seed(draw_seed(index, 41))
    shape = (models.d_model, models.rank)
    gaussian = torch.randn(shape, generator=generator, dtype=torch.float64)
    basis: Tensor = torch.linalg.qr(gaussian).Q
    return basis


def last_directions(models: ChainModels, index: int) -> Basis:
    """As many at the other end: axes of least variance among those that nothing reads."""
    return models.cores[index].directions[:, -models.rank :]


def principal_components(models: ChainModels, index: int) -> Basis:
    """As many of the directions of largest variance."""
    x = models.activations[index, ~models.held_out].flatten(0, 1).double()
    _, vectors = torch.linalg.eigh(torch.cov(x.mT))
    axes: Tensor = vectors.flip(1)[:, : models.rank]
    return axes
