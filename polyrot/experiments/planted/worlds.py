"""Worlds of planted subspaces: points, dictionaries and sample counts of known truth."""

from collections.abc import Callable
from dataclasses import replace
from math import ceil, log

import torch

from polyrot.experiments.planted.constructed import (
    penalised_decoder,
    planted_dictionary,
    shaken,
    tiled_dictionary,
)
from polyrot.experiments.planted.plan import RANKS, STARTS, SUBSPACES, plan
from polyrot.experiments.planted.samples import (
    COUNTS,
    DIMS,
    REPETITIONS,
    RESOLUTION,
    Samples,
)
from polyrot.experiments.planted.suite import (
    Decoder,
    Dictionaries,
    Dictionary,
    Points,
    SampleCounts,
    Vectors,
    sphere_points,
)
from polyrot.progress import Progress, silent
from polyrot.sae.activations import GroupTopK, TopK
from polyrot.sae.l1_risk import nearest_axes
from polyrot.sae.model import SAE
from polyrot.sae.recipe import SAEConfig
from polyrot.suites.draws import Draw
from polyrot.suites.registry import world_name
from polyrot.tasks.subspaces import Features

NOISE = 0.02
"""Approximate norm of the noise of points nearly along an axis, or nearly on a circle."""
SCATTER = 0.1
"""Standard deviation of the logarithm of the tokens that a repetition needs."""


def _sphere(dim: int, draw: Draw, repetition: int) -> Vectors:
    return sphere_points(dim, draw.seed(repetition, 1 + dim))


def _axes(dim: int, draw: Draw, repetition: int) -> Vectors:
    """Points along one axis or another."""
    return _nearly(nearest_axes(_sphere(dim, draw, repetition)), dim, draw, repetition)


def _circle(dim: int, draw: Draw, repetition: int) -> Vectors:
    """Points on one circle, whatever the number of dimensions."""
    x = _sphere(dim, draw, repetition)
    x[:, 2:] = 0
    return _nearly(x, dim, draw, repetition)


def _nearly(x: Vectors, dim: int, draw: Draw, repetition: int) -> Vectors:
    generator = draw.generator(repetition, 100 + dim)
    x = x + NOISE / dim**0.5 * torch.randn(x.shape, generator=generator, dtype=x.dtype)
    x /= x.norm(dim=1, keepdim=True)
    return x


POINT_WORLDS: dict[str, Callable[[int, Draw, int], Vectors]] = {
    "points-sphere": _sphere,
    "points-axes": _axes,
    "points-circle": _circle,
}
"""By name: unit vectors by dimension, draw and repetition."""


class PointWorld(Points):
    """Unit vectors of features, as the world specifies."""

    def __init__(self, world: str, *, draw: int = 0, progress: Progress = silent) -> None:
        """Take a world of `POINT_WORLDS` and the number of its random draw."""
        super().__init__(world_name(world, draw), (0,))
        self._make, self._draw = POINT_WORLDS[world], Draw(draw)

    def points(self, dim: int, repetition: int) -> Vectors:
        return self._make(dim, self._draw, repetition)


def _halved(features: Features) -> Features:
    """A group for every half of a feature; a feature of one dimension stays whole."""
    halves = [
        half
        for basis in features.bases
        for half in (basis[: (len(basis) + 1) // 2], basis[(len(basis) + 1) // 2 :])
        if len(half)
    ]
    return replace(features, bases=tuple(halves))


def _in_pairs(features: Features) -> Features:
    """A group for every two features; an odd one joins the pair before it."""
    bases = list(features.bases)
    pairs = [torch.cat(bases[i : i + 2]) for i in range(0, len(bases) - len(bases) % 2, 2)]
    if len(bases) % 2:
        pairs[-1] = torch.cat([pairs[-1], bases[-1]])
    return replace(features, bases=tuple(pairs))


def _turned(features: Features) -> Features:
    """Each basis is rotated by about twenty degrees out of its subspace."""
    turned = []
    for index, basis in enumerate(features.bases):
        generator = torch.Generator().manual_seed(index)
        noise = torch.randn(basis.shape, generator=generator) / basis.shape[1] ** 0.5
        turned.append(torch.linalg.qr((basis + 0.36 * noise).mT).Q.mT.contiguous())
    return replace(features, bases=tuple(turned))


DICTIONARY_WORLDS: dict[str, Callable[[Features], Features]] = {
    "dictionary-groups": lambda features: features,
    "dictionary-split": _halved,
    "dictionary-merged": _in_pairs,
    "dictionary-elsewhere": _turned,
}
"""By name: how the groups of a dictionary hold the planted features."""


class DictionaryWorld(Dictionaries):
    """Constructed dictionaries, whose groups hold what the world specifies."""

    def __init__(self, world: str, *, draw: int = 0, progress: Progress = silent) -> None:
        """Take a world of `DICTIONARY_WORLDS` and the number of its random draw."""
        self._plan = plan(SUBSPACES)
        super().__init__(world_name(world, draw), (0, 1, 2, 3, 4))
        self._held, self._draw = DICTIONARY_WORLDS[world], Draw(draw)

    def dictionaries(
        self, experiment: str, arm: str, *, polished: bool = False
    ) -> list[Dictionary]:
        trained = self._plan[experiment]
        starts = trained.starts if experiment == STARTS and not polished else 1
        found = []
        for seed in trained.seeds:
            number = self._draw.seed(seed, 3)
            features = trained.features(number)
            for start in range(starts):
                salt = self._draw.seed(seed, 4 + start)
                held = features if polished else self._held(features)
                sae = _written(held, features, trained.arms[arm], salt)
                found.append(Dictionary(sae, features, number, drawn_from=self._truth(features)))
        return found

    def decoders(self, arm: str) -> list[Decoder]:
        trained = self._plan[RANKS]
        rule = trained.arms[arm].activation
        assert isinstance(rule, GroupTopK)
        found = []
        for seed in trained.seeds:
            number = self._draw.seed(seed, 5)
            features = trained.features(number)
            groups = trained.arms[arm].features(features.d_model) // rule.rank
            blocks = penalised_decoder(self._held(features), groups, rule.rank)
            if not trained.arms[arm].nuclear:
                generator = self._draw.generator(seed, 6)
                blocks = torch.randn(blocks.shape, generator=generator)
                blocks /= blocks.norm(dim=2, keepdim=True)
            found.append(Decoder(blocks, features, number))
        return found

    def _truth(self, features: Features) -> Features:
        """Return the features that tokens are drawn from: the groups', if equally many."""
        held = self._held(features)
        return held if held.dims == features.dims else features


def _written(held: Features, features: Features, recipe: SAEConfig, salt: int) -> SAE:
    columns = recipe.features(features.d_model)
    rule = recipe.activation
    like = SAE(
        W_enc=torch.zeros(features.d_model, columns),
        b_enc=torch.zeros(columns),
        W_dec=torch.zeros(columns, features.d_model),
        b_dec=torch.zeros(features.d_model),
        activation=rule if isinstance(rule, GroupTopK) else TopK(1),
    )
    if isinstance(rule, GroupTopK):
        fitting = replace(held, bases=held.bases[: columns // rule.rank])
        return shaken(planted_dictionary(fitting, like), salt)
    if len(held.bases) == len(features.bases):
        return tiled_dictionary(held, like, salt)
    # Not a tiling, but a basis: one latent per dimension.
    rows = torch.cat(features.bases)
    decoder = torch.zeros_like(like.W_dec)
    decoder[: len(rows)] = rows
    on = TopK(min(columns, 16))
    return replace(like, W_enc=decoder.mT.contiguous(), W_dec=decoder, activation=on)


SAMPLE_WORLDS: dict[str, Callable[[int], float]] = {
    "samples-power": lambda dim: 40 * dim**1.5,
    "samples-exponential": lambda dim: 20 * 1.4**dim,
}
"""By name: tokens that a subspace needs, as a function of its dimension."""


def _tried(needed: float) -> int | None:
    """Round up to a number that the sweep resolves; None if beyond its range."""
    rounded = round(RESOLUTION ** ceil(log(max(needed, 1.0)) / log(RESOLUTION)))
    return rounded if rounded <= max(COUNTS) else None


class SampleWorld(SampleCounts):
    """Tokens to recovery that grow with the dimension as the world specifies, with scatter."""

    def __init__(self, world: str, *, draw: int = 0, progress: Progress = silent) -> None:
        """Take a world of `SAMPLE_WORLDS` and the number of its random draw."""
        super().__init__(world_name(world, draw), (0,))
        self._needed, self._draw = SAMPLE_WORLDS[world], Draw(draw)

    @property
    def samples(self) -> Samples:
        """Return the counts, rounded up to numbers of tokens in the sweep."""
        shape = (len(DIMS), REPETITIONS)
        scatter = SCATTER * torch.randn(shape, generator=self._draw.generator(0, 7))
        found: dict[int, list[int | None]] = {}
        for dim, row in zip(DIMS, scatter, strict=True):
            needed = [self._needed(dim) * float(count.exp()) for count in row]
            found[dim] = [_tried(count) for count in needed]
        return found
