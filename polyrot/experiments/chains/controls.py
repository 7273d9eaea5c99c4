"""Subspaces that replace a core, and coordinates that replace a core's."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.experiments.chains import planted
from polyrot.experiments.chains.models import FEWER_SEQUENCES, ChainModels, Chains
from polyrot.linalg import haar
from polyrot.suites.draws import Draw, draw_seed
from polyrot.tasks.markov import Chain

Basis = Float[Tensor, "d_model rank"]
Subspace = Callable[[ChainModels, int], Basis]
"""The subspace of a seed, given the seed's position among the models."""
Coordinates = list[Float[Tensor, "token rank"]]
"""Of every seed, on held-out tokens."""
SourcesAndTargets = tuple[Coordinates, Coordinates]
"""What is compared in pairs of seeds."""
States = Float[Tensor, "sequence position rank"]
"""Of one seed, in few coordinates."""
View = Callable[[ChainModels], ChainModels]
"""How models are looked at before their cores are extracted."""

DRAWS = 64
"""Random subspaces of every seed, over which overlaps are averaged."""
PLANTED = Draw(1_000)
"""The draw of planted models: none of those with which bars are calibrated."""


class Ablated(NamedTuple):
    """Models, and the subspace of each that is kept or removed."""

    models: ChainModels
    bases: Sequence[Basis]


def as_trained(chains: Chains) -> ChainModels:
    """The models themselves: no control."""
    return chains.models


def planted_models(
    chains: Chains, chain: Chain | None = None, bases: planted.Bases = planted.random_bases
) -> ChainModels:
    """Plant models of a chain, by default of the suite's: as many as there are seeds."""
    return planted.knows_the_state(
        PLANTED,
        chain or chains.models.chain,
        bases,
        sequences=FEWER_SEQUENCES,
        seeds=range(len(chains.seeds)),
    )


def core(models: ChainModels, index: int) -> Basis:
    """The core, of the published rank."""
    return models.cores[index].basis(models.rank)


def core_by_energy(models: ChainModels, index: int) -> Basis:
    """The core, of the rank that its energy selects."""
    return models.cores[index].basis()


def random_subspace(models: ChainModels, index: int) -> Basis:
    """Uniform among the subspaces of the published rank, drawn for every seed."""
    return _random(models.d_model, models.rank, draw_seed(index, 41))


def random_by_energy(models: ChainModels, index: int) -> Basis:
    """Uniform among the subspaces of the rank that energy selects, drawn for every seed."""
    return _random(models.d_model, models.cores[index].rank, draw_seed(index, 41))


def _random(d_model: int, rank: int, seed: int) -> Basis:
    generator = torch.Generator().manual_seed(seed)
    gaussian = torch.randn(d_model, rank, generator=generator, dtype=torch.float64)
    basis: Tensor = torch.linalg.qr(gaussian).Q
    return basis


def last_directions(models: ChainModels, index: int) -> Basis:
    """The last directions of ACE: those of least variance that the unembedding does not read."""
    return models.cores[index].directions[:, -models.rank :]


def principal_components(models: ChainModels, index: int) -> Basis:
    """The directions of largest variance."""
    x = models.activations[index, ~models.held_out].flatten(0, 1).double()
    _, vectors = torch.linalg.eigh(torch.cov(x.mT))
    axes: Tensor = vectors.flip(1)[:, : models.rank]
    return axes


def ablated(subspace: Subspace) -> Callable[[Chains], Ablated]:
    """Take a subspace of every seed of the suite."""
    return lambda chains: _ablated(chains.models, subspace)


def planted_ablated(chains: Chains) -> Ablated:
    """The cores of planted models, which read the state, and nothing else, in them."""
    return _ablated(planted_models(chains), core)


def _ablated(models: ChainModels, subspace: Subspace) -> Ablated:
    return Ablated(models, [subspace(models, index) for index in range(len(models.weight))])


Subspaces = Sequence[Sequence[Basis]]
"""Of every seed, in one draw or several."""


def cores_found(chains: Chains) -> Subspaces:
    """The cores, of the rank that energy selects: no control."""
    return [_ablated(chains.models, core_by_energy).bases]


def random_subspaces(chains: Chains) -> Subspaces:
    """Independent random subspaces of the cores' ranks, many draws of them."""
    models = chains.models
    return [
        [
            _random(models.d_model, core.rank, draw_seed(index, 42, draw))
            for index, core in enumerate(models.cores)
        ]
        for draw in range(DRAWS)
    ]


def cores_apart(chains: Chains) -> Subspaces:
    """The cores of models planted in subspaces that are orthogonal to each other."""
    apart = planted_models(chains, bases=planted.bases_apart)
    return [_ablated(apart, core_by_energy).bases]


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


def as_published(models: ChainModels) -> ChainModels:
    """With all that the unembedding reads."""
    return models


def without_common_shift(models: ChainModels) -> ChainModels:
    """Without the direction that shifts all logits alike."""
    return models.without_common_shift


def in_the_core(chains: Chains, view: View, index: int) -> States:
    """A seed's states in its core: no control."""
    models = view(chains.models)
    return models.activations[index].double() @ core_by_energy(models, index)


def in_a_random_subspace(chains: Chains, view: View, index: int) -> States:
    """A seed's states in a random subspace."""
    models = view(chains.models)
    return models.activations[index].double() @ random_by_energy(models, index)


def before_training(chains: Chains, view: View, index: int) -> States:
    """A seed's states before training, in the core that it has then."""
    models = view(chains.untrained_models)
    return models.activations[index].double() @ core_by_energy(models, index)


def states_of_the_chain(chains: Chains, view: View, index: int) -> States:
    """The states to predict, one-hot, without the last coordinate: the coordinates sum to one."""
    models = chains.models
    return torch.nn.functional.one_hot(models.targets, models.chain.states)[..., :-1].double()
