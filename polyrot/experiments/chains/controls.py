"""Subspaces that replace a core, and coordinates that replace a core's."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.experiments.chains.models import ChainModels, Chains
from polyrot.linalg import haar
from polyrot.suites.draws import draw_seed

Basis = Float[Tensor, "d_model rank"]
Subspace = Callable[[ChainModels, int], Basis]
"""The subspace of a seed, given the seed's position among the models."""
Coordinates = list[Float[Tensor, "token rank"]]
"""Of every seed, on held-out tokens."""
SourcesAndTargets = tuple[Coordinates, Coordinates]
"""What is compared in pairs of seeds."""
States = Float[Tensor, "sequence position rank"]
"""Of one seed, in few coordinates."""


def as_trained(chains: Chains) -> ChainModels:
    """The models themselves: no control."""
    return chains.models


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


def coordinates(models: ChainModels, subspace: Subspace) -> Coordinates:
    """Express the held-out states of every seed in its subspace."""
    return [
        x[models.held_out].flatten(0, 1).double() @ subspace(models, index)
        for index, x in enumerate(models.activations)
    ]


def cores_compared(models: ChainModels) -> SourcesAndTargets:
    """Cores, on the same tokens: no control."""
    seeds = coordinates(models, core)
    return seeds, seeds


def random_projections(models: ChainModels) -> SourcesAndTargets:
    """Random subspaces instead of cores, on the same tokens."""
    seeds = coordinates(models, random_subspace)
    return seeds, seeds


def shuffled_tokens(models: ChainModels) -> SourcesAndTargets:
    """Cores, with the tokens of every target in an order drawn for it."""
    seeds = coordinates(models, core)

    def order(index: int) -> Tensor:
        generator = torch.Generator().manual_seed(draw_seed(index, 46))
        return torch.randperm(len(seeds[index]), generator=generator)

    return seeds, [x[order(index)] for index, x in enumerate(seeds)]


def first_core_rotated(models: ChainModels) -> SourcesAndTargets:
    """Only the first seed's core, rotated for every target by a rotation drawn for it."""
    seeds = coordinates(models, core)
    first = seeds[:1] * len(seeds)
    turned = [
        x @ haar.sample(x.shape[1], seed=draw_seed(index, 45)) for index, x in enumerate(first)
    ]
    return first, turned


def in_the_core(chains: Chains, index: int) -> States:
    """A seed's states in its core: no control."""
    return chains.models.activations[index].double() @ core(chains.models, index)


def in_a_random_subspace(chains: Chains, index: int) -> States:
    """A seed's states in a random subspace."""
    return chains.models.activations[index].double() @ random_subspace(chains.models, index)


def before_training(chains: Chains, index: int) -> States:
    """A seed's states before training, in the core that it has then."""
    models = chains.untrained_models
    return models.activations[index].double() @ core(models, index)


def states_of_the_chain(chains: Chains, index: int) -> States:
    """The states to predict, one-hot, without the last coordinate: the coordinates sum to one."""
    models = chains.models
    return torch.nn.functional.one_hot(models.targets, models.chain.states)[..., :-1].double()
