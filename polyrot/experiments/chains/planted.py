"""Planted models of a Markov chain: activations and unembedding that encode the present state.

In 64 dimensions, constructed without an encoder, so that the core of every seed is known.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.experiments.chains.models import ChainModels
from polyrot.suites.draws import Draw
from polyrot.tasks.markov import Chain

SEEDS = (0, 1, 2, 3, 4)
D_MODEL = 64
SEQUENCES = 8_192
"""Fewer than the 12,288 of the suite `markov`, for speed."""
NOISE = 0.3
"""Standard deviation outside the subspace that is read; along an axis of the codes it is 0.5."""
SHARPNESS = 10.0
"""Margin of the correct logit above the others."""

Bases = Callable[[Draw, int], Float[Tensor, "d_model d_model"]]
"""Axes of a seed's space: the first hold the state."""


def random_bases(draw: Draw, seed: int) -> Tensor:
    """Every seed has another basis."""
    return draw.haar(D_MODEL, seed, 1)


def bases_apart(draw: Draw, seed: int) -> Tensor:
    """Seeds encode the state along different axes, three each, as long as there are any left.

    The 22nd seed and those after it share another basis.
    """
    places = D_MODEL // 3
    return random_bases(draw, seed // places).roll(-3 * (seed % places), dims=1)


def one_basis(draw: Draw, seed: int) -> Tensor:
    """All seeds have the same basis."""
    return random_bases(draw, 0)


def codes(chain: Chain) -> Float[Tensor, "state code"]:
    """Return a point for every state: the corners of a simplex, in one dimension less."""
    centred = torch.eye(chain.states) - 1 / chain.states
    corners: Tensor = torch.linalg.svd(centred).U[:, :-1]
    return corners


def knows_the_state(
    draw: Draw,
    chain: Chain,
    bases: Bases = random_bases,
    *,
    sequences: int = SEQUENCES,
    seeds: Sequence[int] = (),
) -> ChainModels:
    """The present state in the subspace that is read, noise in the rest; by default for `SEEDS`."""
    seeds = seeds or SEEDS
    states = chain.sample(sequences, seed=draw.seed(0, 2))
    points = codes(chain)
    rank = points.shape[1]
    activations, weights = [], []
    for seed in seeds:
        basis = bases(draw, seed)
        inside, outside = basis[:, :rank], basis[:, rank:]
        shape = (*states[:, 1:].shape, D_MODEL - rank)
        noise = NOISE * torch.randn(shape, generator=draw.generator(seed, 3))
        activations.append(points[states[:, :-1]] @ inside.mT + noise @ outside.mT)
        weights.append(SHARPNESS * points @ inside.mT)
    bias = torch.zeros(len(seeds), chain.states)
    return ChainModels(chain, states[:, 1:], torch.stack(activations), torch.stack(weights), bias)
