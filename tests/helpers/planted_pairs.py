"""Twenty seeds whose activations and autoencoders are known, for the claims about pairs."""

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from polyrot.capabilities.streams import (
    LATE_SITE,
    Checkpoints,
    ControlAutoencoders,
    haar_image,
)
from polyrot.linalg import haar
from polyrot.models.harvest import Activations
from polyrot.sae.model import SAE
from polyrot.suites.draws import draw_seed

SEQUENCES, LENGTH = 60, 25
TOKENS = SEQUENCES * LENGTH
SEQUENCE = torch.arange(SEQUENCES).repeat_interleave(LENGTH)
SEEDS = tuple(range(20))
Codes = Tensor
"""[token, feature], non-negative and sparse."""
Fires = Callable[[int, int], Codes]
"""By seed and width."""
Frame = Callable[[int, int], Tensor]
"""By seed and width, the directions of the features: [feature, d_model]."""


def draw(*parts: int) -> torch.Generator:
    return torch.Generator().manual_seed(draw_seed(91, *parts))


def codes(salt: int, d: int, share: float = 0.25) -> Codes:
    """Features that fire on a share of the tokens, each with a strength of its own."""
    fires = torch.rand(TOKENS, d, generator=draw(salt, 0)) < share
    sizes = torch.rand(TOKENS, d, generator=draw(salt, 1)) + 0.5
    return fires * sizes * torch.arange(1, d + 1) ** -0.3


def of_the_same_tokens(seed: int, d: int) -> Codes:
    return codes(0, d)


def of_other_tokens(seed: int, d: int) -> Codes:
    return codes(1 + seed, d)


def some_dropped(seed: int, d: int) -> Codes:
    """Rare features, of which every seed misses a few firings of its own.

    Dealt out to other tokens, what is missing is nearly always clipped by an autoencoder.
    """
    kept = torch.rand(TOKENS, d, generator=draw(8, seed)) > 0.0125
    return codes(0, d, share=0.03) * kept


def some_below_zero(seed: int, d: int) -> Codes:
    """Features that nearly always fire; where they do not, half of them are negative in a seed.

    Dealt out to other tokens, what is negative is nearly always made up for by what fires.
    """
    found = codes(0, d, share=0.95)
    return found - 0.85 * (found == 0) * negative_in(seed, d)


def negative_in(seed: int, d: int) -> Tensor:
    return torch.rand(d, generator=draw(9, seed)) < 0.5


def turned(seed: int, d: int) -> Tensor:
    """A Haar rotation of each seed's own."""
    return haar.sample(d, group="O", seed=draw_seed(92, seed)).float()


def same(seed: int, d: int) -> Tensor:
    """One rotation, the same for all seeds."""
    return turned(0, d)


def axes(seed: int, d: int) -> Tensor:
    """The axes, in each seed in another order and with other signs."""
    order = torch.randperm(d, generator=draw(3, seed))
    signs = torch.randint(0, 2, (d,), generator=draw(4, seed)) * 2.0 - 1
    return torch.eye(d)[order] * signs


def shrunk(seed: int, d: int) -> Tensor:
    """A rotation of each seed's own that shrinks half of the directions to a tenth."""
    gains = torch.ones(d)
    gains[torch.randperm(d, generator=draw(5, seed))[: d // 2]] = 0.1
    return gains[:, None] * turned(seed, d)


def in_blocks(seed: int, d: int) -> Tensor:
    """Eight blocks of dimensions are turned, each within itself."""
    return torch.block_diag(*haar.sample(d // 8, 8, seed=draw_seed(95, seed))).float()


class PlantedPairs(Checkpoints, ControlAutoencoders):
    """Codes times each seed's directions, plus noise; autoencoders that read the directions."""

    def __init__(
        self,
        frame: Frame = turned,
        *,
        width: int = 16,
        fires: Fires = of_the_same_tokens,
        noise: float = 0.02,
        offset: float = 0.0,
        half_way: Callable[[str, Tensor], Tensor] = lambda site, x: x,
        reads: Frame | None = None,
    ) -> None:
        """Make a suite.

        Args:
            frame: the directions of each seed's features.
            width: d_model, and the number of features.
            fires: the codes of each seed.
            noise: its standard deviation, of every seed's own.
            offset: of the mean along every feature's direction, which autoencoders know.
            half_way: the activations half way through training, by site, from the last ones:
                a linear map.
            reads: the directions that autoencoders read, if they are not the features'.
        """
        super().__init__("planted", SEEDS, ("resid_mid.1", LATE_SITE))
        self._frame, self._fires, self._noise, self._offset = frame, fires, noise, offset
        self._half_way, self._reads, self._d = half_way, reads or frame, width

    def _of(self, seed: int) -> Tensor:
        x = self._fires(seed, self._d) @ self._frame(seed, self._d)
        noise = self._noise * torch.randn(TOKENS, self._d, generator=draw(6, seed))
        return x + noise + self._mean(seed)

    def _mean(self, seed: int) -> Tensor:
        return self._offset * self._frame(seed, self._d).sum(0)

    @cached_property
    def activations(self) -> Activations:
        sets = torch.stack([self._of(seed) for seed in SEEDS])
        return Activations(dict.fromkeys(self.sites, sets), SEQUENCE)

    @cached_property
    def untrained_activations(self) -> Activations:
        """Other features, which all seeds share in bases of their own."""
        other = torch.randn(TOKENS, self._d, generator=draw(7))
        turns = haar.sample(self._d, len(SEEDS), group="O", seed=93).float()
        return Activations(dict.fromkeys(self.sites, other @ turns), SEQUENCE)

    @cached_property
    def held_out(self) -> Tensor:
        return SEQUENCE % 4 == 0

    def earlier_activations(self, index: int) -> Activations:
        last = self.activations
        return Activations({s: self._half_way(s, last.at(s)) for s in self.sites}, SEQUENCE)

    def sae(self, seed: int, site: str, sae_seed: int = 0) -> SAE:
        directions = self._reads(seed, self._d)
        if self._fires is some_below_zero:  # a feature for what is negative, too
            directions = torch.cat([directions, -directions[negative_in(seed, self._d)]])
        return reading(directions, self._mean(seed))

    def image_sae(self, seed: int, site: str) -> SAE:
        mean = haar_image(self._mean(seed)[None], seed)[0]
        return reading(haar_image(self._reads(seed, self._d), seed), mean)

    def earlier_sae(self, seed: int, site: str) -> SAE:
        directions = self._half_way(site, self._reads(seed, self._d))
        return reading(directions, self._half_way(site, self._mean(seed)[None])[0])

    def control_sae(self, index: int, site: str) -> SAE:
        return reading(haar.sample(self._d, group="O", seed=draw_seed(94, index)).float())


def reading(directions: Tensor, mean: Tensor | float = 0.0) -> SAE:
    """An autoencoder that reads and writes orthogonal directions, whatever their length."""
    encoder = (directions / directions.norm(dim=1, keepdim=True) ** 2).mT
    features, d_model = directions.shape
    return SAE(encoder, torch.zeros(features), directions, mean * torch.ones(d_model))
