"""Controls that replace trained dictionaries, or measurements on them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from statistics import median

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.experiments.planted.constructed import (
    penalised_decoder,
    planted_decoder,
    planted_dictionary,
    shaken,
    tiled_dictionary,
)
from polyrot.experiments.planted.suite import (
    Decoder,
    Dictionary,
    SampleCounts,
    Vectors,
    sphere_points,
)
from polyrot.linalg import haar
from polyrot.sae.subspaces import Directions, clustered
from polyrot.suites.draws import draw_seed
from polyrot.tasks.subspaces import Features, sphere

ERROR, COVERED = 0.5, 0.9
"""How near a point must be to a single direction, and the share of points that must be."""
HELD_OUT, TOKENS, DRAWS = 500, 4_096, 10
COVERABLE = 8
"""Largest dimension in which this many directions come near to most points."""

Needed = Mapping[int, Sequence[float | None]]
"""Tokens that every repetition needed, by dimension; None where no number sufficed."""


def drawn_from(tiling: Vectors, count: int, repetition: int) -> Float[Tensor, "{count} dim"]:
    """Points that are atoms of a tiling."""
    generator = torch.Generator().manual_seed(draw_seed(repetition, 91))
    return tiling[torch.randint(len(tiling), (count,), generator=generator)]


def planted(dictionary: Dictionary) -> Dictionary:
    """The planted solution: one group for each feature."""
    return replace(dictionary, sae=planted_dictionary(dictionary.features, dictionary.sae))


def near_the_planted(dictionary: Dictionary, runs: int) -> list[Dictionary]:
    """Copies of the planted solution, each weight off by up to a hundredth."""
    solution = planted(dictionary)
    seeds = [draw_seed(dictionary.seed, run, 92) for run in range(runs)]
    return [replace(solution, sae=shaken(solution.sae, seed)) for seed in seeds]


def tiled(dictionary: Dictionary) -> Dictionary:
    """Tile each feature with random directions in its subspace, one active at a time."""
    seed = draw_seed(dictionary.seed, 94)
    return replace(dictionary, sae=tiled_dictionary(dictionary.features, dictionary.sae, seed))


def random_groups(dictionary: Dictionary) -> Dictionary:
    """Decoder rows of random directions."""
    generator = torch.Generator().manual_seed(draw_seed(dictionary.seed, 99))
    rows = torch.randn(dictionary.sae.W_dec.shape, generator=generator)
    rows /= rows.norm(dim=1, keepdim=True)
    return replace(dictionary, sae=replace(dictionary.sae, W_dec=rows))


def clusters(dictionary: Dictionary) -> Directions:
    """Latents clustered by the angle between them, one cluster for each feature."""
    features = len(dictionary.features.bases)
    return clustered(dictionary.sae, features, dictionary.held_out().x)


def random_subspaces(dictionary: Dictionary) -> Directions:
    """One random subspace for each feature."""
    features, seed = dictionary.features, draw_seed(dictionary.seed, 93)
    return haar.sample(dictionary.sae.d_model, len(features.bases), seed=seed)


@lru_cache(maxsize=16)
def planted_groups(features: Features) -> Float[Tensor, "group rank d_model"]:
    """One group for each feature, whose span holds it; float64."""
    rank = max(features.dims)
    rows = planted_decoder(features, len(features.bases), rank).double()
    groups: Tensor = rows.unflatten(0, (-1, rank))
    return groups


def on_the_sphere(dictionary: Dictionary, feature: int, count: int, *, salt: int) -> Vectors:
    """Unit vectors of a feature in the space of the activations."""
    basis = dictionary.features.bases[feature].double()
    return sphere_points(len(basis), draw_seed(dictionary.seed, feature, salt))[:count] @ basis


def random_rows(decoder: Decoder) -> Decoder:
    """Groups of random unit rows."""
    generator = torch.Generator().manual_seed(draw_seed(decoder.seed, 95))
    blocks = torch.randn(decoder.blocks.shape, generator=generator)
    return replace(decoder, blocks=blocks / blocks.norm(dim=2, keepdim=True))


def planted_rows(decoder: Decoder) -> Decoder:
    """Groups whose rows lie in one concept's subspace only, spread evenly in it."""
    groups, rank = decoder.blocks.shape[:2]
    return replace(decoder, blocks=penalised_decoder(decoder.features, groups, rank))


def one_direction_a_token(sweep: SampleCounts) -> Needed:
    """Take each token as a direction, until most other points are near to one of them."""
    return {
        dim: [
            median(_covering(dim, draw_seed(dim, repetition, draw, 96)) for draw in range(DRAWS))
            for repetition in range(len(counts))
        ]
        for dim, counts in sweep.samples.items()
        if dim <= COVERABLE
    }


@cache
def _covering(dim: int, seed: int) -> float:
    """Draw points of a sphere one by one; count them until most others are near one of them."""
    generator = torch.Generator().manual_seed(seed)
    tokens = sphere(TOKENS, dim, generator)
    near = (sphere(HELD_OUT, dim, generator) @ tokens.mT).abs() >= (1 - ERROR**2) ** 0.5
    first = torch.where(near.any(1), near.byte().argmax(1), len(tokens))
    return 1 + float(first.double().quantile(COVERED))


def planted_needs(*, power: float, base: float) -> Callable[[SampleCounts], Needed]:
    """Needs that are a power of the dimension times an exponential of it, with 10% scatter."""

    def world(sweep: SampleCounts) -> Needed:
        rng = np.random.default_rng(97)
        return {
            dim: [round(40 * dim**power * base**dim * rng.lognormal(0, 0.1)) for _ in counts]
            for dim, counts in sweep.samples.items()
        }

    return world
