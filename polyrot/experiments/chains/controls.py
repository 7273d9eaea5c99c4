"""Subspaces that replace a core, and coordinates to compare with a core's."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.experiments.chains.models import ChainModels
from polyrot.linalg import haar
from polyrot.suites.draws import draw_seed

Basis = Float[Tensor, "d_model rank"]
Subspace = Callable[[ChainModels, int], Basis]
"""The subspace of a seed, given the seed's position among the models."""
Coordinates = list[Float[Tensor, "token rank"]]
"""Of every seed."""


def core(models: ChainModels, index: int) -> Basis:
    """The core, of the published rank: no control."""
    return models.cores[index].basis(models.rank)


def random_subspace(models: ChainModels, index: int) -> Basis:
    """Uniform among the subspaces of the core's rank, drawn for every seed."""
    generator = torch.Generator().manual_seed(draw_seed(index, 41))
    shape = (models.d_model, models.rank)
    gaussian = torch.randn(shape, generator=generator, dtype=torch.float64)
    basis: Tensor = torch.linalg.qr(gaussian).Q
    return basis


def disjoint_subspace(models: ChainModels, index: int) -> Basis:
    """Axes of the residual stream that no other seed's subspace contains."""
    first = index * models.rank
    axes = torch.eye(models.d_model, dtype=torch.float64)
    return axes[:, first : first + models.rank]


def last_directions(models: ChainModels, index: int) -> Basis:
    """The last directions of ACE: those of least variance that the unembedding does not read."""
    return models.cores[index].directions[:, -models.rank :]


def principal_components(models: ChainModels, index: int) -> Basis:
    """The directions of largest variance."""
    x = models.activations[index, ~models.held_out].flatten(0, 1).double()
    _, vectors = torch.linalg.eigh(torch.cov(x.mT))
    axes: Tensor = vectors.flip(1)[:, : models.rank]
    return axes


def projected(
    models: ChainModels, index: int, subspace: Subspace
) -> Float[Tensor, "sequence position rank"]:
    """Express the states of a seed in its subspace."""
    return models.activations[index].double() @ subspace(models, index)


def coordinates(models: ChainModels, subspace: Subspace) -> Coordinates:
    """Express the held-out states of every seed in its subspace."""
    return [
        x[models.held_out].flatten(0, 1).double() @ subspace(models, index)
        for index, x in enumerate(models.activations)
    ]


def shuffled(seeds: Coordinates) -> Coordinates:
    """Put the tokens of every seed in an order drawn for it."""

    def order(index: int) -> Tensor:
        generator = torch.Generator().manual_seed(draw_seed(index, 46))
        return torch.randperm(len(seeds[index]), generator=generator)

    return [x[order(index)] for index, x in enumerate(seeds)]


def rotated(seeds: Coordinates) -> Coordinates:
    """Rotate the coordinates of every seed by a rotation drawn for it."""
    return [x @ haar.sample(x.shape[1], seed=draw_seed(index, 45)) for index, x in enumerate(seeds)]
