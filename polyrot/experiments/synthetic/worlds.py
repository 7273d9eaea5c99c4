"""Synthetic suites: activations of known truth, measured by the whole pipeline.

Five seeds at one site.  Most worlds map one base set of activations, which has a power-law
covariance and sparse features that an autoencoder can find, differently for every seed;
autoencoders are trained on the result as on any suite.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from polyrot.capabilities.autoencoder_training import NOISE, noise_activations
from polyrot.capabilities.cores import Cores
from polyrot.capabilities.dictionaries import RECIPE as DICTIONARIES
from polyrot.capabilities.dictionaries import GroupAutoencoders, recipe_of
from polyrot.capabilities.streams import (
    IMAGE_SAE_SEED,
    LATE_SITE,
    ControlAutoencoders,
    haar_image,
)
from polyrot.cores.gramians import Tail, affine
from polyrot.models.harvest import Activations
from polyrot.progress import Progress, silent, within
from polyrot.sae.model import SAE
from polyrot.sae.recipe import SAEConfig
from polyrot.sae.training import train_saes
from polyrot.suites.draws import Draw
from polyrot.suites.registry import world_name

SEEDS = (0, 1, 2, 3, 4)
D_MODEL = 64
SEQUENCES, LENGTH = 512, 32
SEQUENCE = torch.arange(SEQUENCES).repeat_interleave(LENGTH)
HELD_OUT_SHARE = 0.25
READOUTS = 8
"""Number of coordinates that a model reads from its activations: they make its core."""
RECIPE = SAEConfig(expansion=4, l1=3e-3, steps=500, batch=512, learning_rate=3e-3)
"""Shorter than the paper's: the world is simpler than a model.  On held-out tokens of
`world:haar` it explains 95% with about 48 features at a time."""
DICTIONARY_RECIPE = replace(DICTIONARIES, steps=300, batch=256, learning_rate=1e-2)
"""Shorter than the shipped recipe, for the same reason."""

Tokens = Float[Tensor, "token d_model"]


def features(draw: Draw, seed: int = 0) -> Tokens:
    """Sparse sums of directions of falling strength, in a space of falling variances.

    128 directions, about four active at a time; the k-th has strength k^-1/2, and the variances of
    the space's principal axes follow a power law too.
    """
    generator = draw.generator(seed, 1)
    count = 2 * D_MODEL
    axes = torch.arange(1, D_MODEL + 1) ** -0.5
    directions = torch.randn(count, D_MODEL, generator=generator) * axes
    directions /= directions.norm(dim=1, keepdim=True)
    strengths = torch.arange(1, count + 1)[:, None] ** -0.5
    shape = (SEQUENCES * LENGTH, count)
    active = torch.rand(shape, generator=generator) < 4 / count
    sizes = active * torch.empty(shape).exponential_(generator=generator)
    x = sizes @ (directions * strengths) @ draw.haar(D_MODEL, seed, 2)
    return x / x.std()


def relative_noise(x: Tokens, share: float, generator: torch.Generator) -> Tokens:
    """Draw isotropic noise whose scale is a share of the tokens' standard deviation."""
    return share * x.std() * torch.randn(x.shape, generator=generator)


def shift(x: Tokens, generator: torch.Generator) -> Tokens:
    """Shift the mean by a random vector as large as the tokens' standard deviation."""
    return x + x.std() * torch.randn(D_MODEL, generator=generator)


WorldMap = Callable[[Draw, Tokens, int], Tokens]
"""Maps the base set, which all seeds of the world share, to the activations of one seed."""


def _each_under(matrix: Callable[[Draw, int], Tensor], noise: float = 0.01) -> WorldMap:
    """Map the base set by one matrix per seed, and add noise and a shift of the mean."""

    def world(draw: Draw, base: Tokens, seed: int) -> Tokens:
        x = base @ matrix(draw, seed)
        return shift(x + relative_noise(x, noise, draw.generator(seed, 3)), draw.generator(seed, 4))

    return world


def _rotation(draw: Draw, seed: int) -> Tensor:
    return draw.haar(D_MODEL, seed, 5)


def _permutation(draw: Draw, seed: int) -> Tensor:
    order = torch.randperm(D_MODEL, generator=draw.generator(seed, 6))
    matrix: Tensor = torch.eye(D_MODEL)[order]
    return matrix


def _signed_permutation(draw: Draw, seed: int) -> Tensor:
    signs = torch.randint(0, 2, (D_MODEL,), generator=draw.generator(seed, 7)) * 2 - 1
    matrix: Tensor = _permutation(draw, seed) * signs
    return matrix


def _linear(condition: float) -> Callable[[Draw, int], Tensor]:
    """Make a map for each seed that shrinks half of the directions, in random bases.

    By condition^(2/3), so that the map between two seeds has a condition number of about
    condition^(4/3): 4 if it is 3, and 20 if it is 10.
    """
    gains = torch.ones(D_MODEL)
    gains[::2] = condition ** (-2 / 3)

    def matrix(draw: Draw, seed: int) -> Tensor:
        return draw.haar(D_MODEL, seed, 8) @ torch.diag(gains) @ draw.haar(D_MODEL, seed, 9)

    return matrix


def _partial(draw: Draw, seed: int) -> Tensor:
    return _fixing(D_MODEL // 2, draw, seed)


def _aligned_axes(draw: Draw, seed: int) -> Tensor:
    return _fixing(3, draw, seed)


def _fixing(axes: int, draw: Draw, seed: int) -> Tensor:
    """Draw a rotation that fixes the first axes."""
    matrix = torch.eye(D_MODEL)
    matrix[axes:, axes:] = draw.haar(D_MODEL - axes, seed, 10)
    return matrix


def _identity(draw: Draw, base: Tokens, seed: int) -> Tokens:
    return base + relative_noise(base, 0.01, draw.generator(seed, 3))


def _unrelated(draw: Draw, base: Tokens, seed: int) -> Tokens:
    return features(draw, 1 + seed)


def _gaussian_matched(draw: Draw, base: Tokens, seed: int) -> Tokens:
    values, vectors = torch.linalg.eigh(torch.cov(base.double().mT))
    root = (vectors * values.clamp(min=0).sqrt()).mT.float()
    noise = torch.randn(base.shape, generator=draw.generator(seed, 12))
    return torch.mm(noise @ root + base.mean(0), _rotation(draw, seed))


def _order(draw: Draw, seed: int) -> Int[Tensor, " token"]:
    return torch.randperm(SEQUENCES * LENGTH, generator=draw.generator(seed, 13))


def _shuffled_tokens(draw: Draw, base: Tokens, seed: int) -> Tokens:
    return base[_order(draw, seed)] @ _rotation(draw, seed)


def readout(draw: Draw) -> Float[Tensor, "_ d_model"]:
    """Draw the readout: the coordinates of the base set that models read."""
    return torch.randn(READOUTS, D_MODEL, generator=draw.generator(0, 16))


def _shuffled_in_part(*, read: bool) -> WorldMap:
    """Rotate the base set, with tokens shuffled in the readout's subspace or in the complement."""

    def world(draw: Draw, base: Tokens, seed: int) -> Tokens:
        axes = torch.linalg.qr(readout(draw).mT).Q
        within = base @ axes @ axes.mT
        without = base - within
        order = _order(draw, seed)
        mixed = within[order] + without if read else within + without[order]
        return torch.mm(mixed, _rotation(draw, seed))

    return world


ACTIVATION_WORLDS: dict[str, WorldMap] = {
    "haar": _each_under(_rotation),
    "identity": _identity,
    "mean-shift-only": _each_under(lambda draw, seed: torch.eye(D_MODEL)),
    "permutation": _each_under(_permutation),
    "signed-permutation": _each_under(_signed_permutation),
    "partial": _each_under(_partial),
    "basis-aligned-axes": _each_under(_aligned_axes),
    "linear-3": _each_under(_linear(3.0)),
    "linear-10": _each_under(_linear(10.0)),
    "noise-0.1": _each_under(_rotation, noise=0.1),
    "noise-0.3": _each_under(_rotation, noise=0.3),
    "noise-1": _each_under(_rotation, noise=1.0),
    "shuffled-inside": _shuffled_in_part(read=True),
    "shuffled-outside": _shuffled_in_part(read=False),
    "shuffled-tokens": _shuffled_tokens,
    "gaussian-matched": _gaussian_matched,
    "unrelated": _unrelated,
}
"""By name: how the activations of seeds are related."""
READS_OTHER_TOKENS = ("shuffled-inside", "shuffled-tokens")
"""Worlds in which each seed's readout reads the base set's tokens in a different order."""


class WorldSuite(Cores, ControlAutoencoders, GroupAutoencoders):
    """A synthetic suite: activations at one site, and autoencoders trained on first use."""

    def __init__(
        self,
        world: str,
        *,
        draw: int = 0,
        progress: Progress = silent,
    ) -> None:
        """Take a world of `ACTIVATION_WORLDS` and the number of its random draw."""
        super().__init__(world_name(world, draw), SEEDS, (LATE_SITE,))
        self._world, self._map = world, ACTIVATION_WORLDS[world]
        self._draw = Draw(draw)
        self._progress = progress
        self._dictionaries: dict[tuple[str, int], list[SAE]] = {}

    @cached_property
    def activations(self) -> Activations:
        return _at_the_site([self._map(self._draw, self._base, seed) for seed in SEEDS])

    @cached_property
    def _base(self) -> Tokens:
        return features(self._draw)

    @cached_property
    def untrained_activations(self) -> Activations:
        """Activations of separate features, unrelated to everything else in the world."""
        return _at_the_site([features(self._draw, 50 + seed) for seed in SEEDS])

    def tail(self, seed: int) -> Tail:
        """Return the readout of the base set, fitted on a seed's activations by least squares."""
        x = self.activations.at(LATE_SITE)[self.index(seed)].double()
        wanted = self._base.double() @ readout(self._draw).double().mT
        if self._world in READS_OTHER_TOKENS:
            wanted = wanted[_order(self._draw, seed)]
        x, wanted = x - x.mean(0), wanted - wanted.mean(0)
        weight = torch.linalg.lstsq(x, wanted).solution.mT
        return affine(weight.float(), torch.zeros(READOUTS))

    @cached_property
    def held_out(self) -> Bool[Tensor, " token"]:
        order = torch.randperm(SEQUENCES, generator=self._draw.generator(0, 14))
        return torch.isin(SEQUENCE, order[: int(HELD_OUT_SHARE * SEQUENCES)])

    def sae(self, seed: int, site: str, sae_seed: int = 0) -> SAE:
        return (self._separate_saes if sae_seed else self._saes)[self.index(seed)]

    def image_sae(self, seed: int, site: str) -> SAE:
        return self._image_saes[self.index(seed)]

    def control_sae(self, index: int, site: str) -> SAE:
        return (self._noise_saes if site == NOISE else self._other_saes)[index]

    def dictionary(self, seed: int, kind: str, sae_seed: int = 0) -> SAE:
        if sae_seed and seed != SEEDS[0]:
            raise self.lacks(f"second dictionary of seed {seed}, only of seed {SEEDS[0]}")
        seeds = SEEDS[:1] if sae_seed else SEEDS
        key = (kind, sae_seed)
        if key not in self._dictionaries:
            recipe = recipe_of(kind, DICTIONARY_RECIPE)
            what = f"of the {kind} kind, SAE seed {sae_seed}"
            self._dictionaries[key] = self._train(
                self.activations, what, (sae_seed,) * len(seeds), recipe
            )
        return self._dictionaries[key][seeds.index(seed)]

    @cached_property
    def _saes(self) -> list[SAE]:
        return self._train(self.activations, "SAE seed 0")

    @cached_property
    def _separate_saes(self) -> list[SAE]:
        sae_seeds = [self.sae_seed(seed) for seed in SEEDS]
        return self._train(self.activations, "separate SAE seeds", sae_seeds)

    @cached_property
    def _image_saes(self) -> list[SAE]:
        sets = self.activations.at(LATE_SITE).unbind(0)
        images = [haar_image(x, seed) for x, seed in zip(sets, SEEDS, strict=True)]
        return self._train(_at_the_site(images), "of images", (IMAGE_SAE_SEED,) * len(SEEDS))

    @cached_property
    def _other_saes(self) -> list[SAE]:
        return self._train(self.untrained_activations, "of other features")

    @cached_property
    def _noise_saes(self) -> list[SAE]:
        sets = [noise_activations(self._draw.seed(s, 15), len(SEQUENCE), D_MODEL) for s in SEEDS]
        return self._train(_at_the_site(sets), "of noise")

    def _train(
        self,
        activations: Activations,
        what: str,
        sae_seeds: Sequence[int] = (0,) * len(SEEDS),
        recipe: SAEConfig | None = None,
    ) -> list[SAE]:
        """Train one autoencoder per SAE seed, on the activations of the first seeds."""
        configs = [replace(recipe or RECIPE, seed=seed) for seed in sae_seeds]
        progress = within(self._progress, what=f"{self.name}: autoencoders, {what}")
        seen = activations.at(LATE_SITE)[: len(configs), ~self.held_out]
        return train_saes(seen.unbind(0), configs, progress=progress)


def _at_the_site(sets: Sequence[Tokens]) -> Activations:
    return Activations({LATE_SITE: torch.stack(list(sets))}, SEQUENCE)
