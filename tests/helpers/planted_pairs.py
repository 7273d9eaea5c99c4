"""Twenty seeds whose activations and autoencoders are known, for the claims about pairs."""

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from polyrot.capabilities.streams import (
    HALF_WAY,
    LATE_SITE,
    Checkpoints,
    ControlAutoencoders,
    haar_image,
)
from polyrot.linalg import haar
from polyrot.models.harvest import Activations
from polyrot.sae.model import SAE
from polyrot.suites.draws import draw_seed

D, SEQUENCES, LENGTH = 16, 60, 25
TOKENS = SEQUENCES * LENGTH
SEQUENCE = torch.arange(SEQUENCES).repeat_interleave(LENGTH)
SEEDS = tuple(range(20))
Codes = Tensor
"""[token, feature], non-negative and sparse."""
Frame = Callable[[int], Tensor]
"""By seed, the directions of the features: [feature, d_model]."""


def draw(*parts: int) -> torch.Generator:
    return torch.Generator().manual_seed(draw_seed(91, *parts))


def codes(salt: int) -> Codes:
    """Features that fire on one token in four, each with a strength of its own."""
    fires = torch.rand(TOKENS, D, generator=draw(salt, 0)) < 0.25
    sizes = torch.rand(TOKENS, D, generator=draw(salt, 1)) + 0.5
    return fires * sizes * torch.arange(1, D + 1) ** -0.3


def turned(seed: int) -> Tensor:
    """A Haar rotation of each seed's own."""
    return haar.sample(D, group="O", seed=draw_seed(92, seed)).float()


def same(seed: int) -> Tensor:
    return turned(0)


def axes(seed: int) -> Tensor:
    """The axes, in each seed in another order and with other signs."""
    order = torch.randperm(D, generator=draw(3, seed))
    signs = torch.randint(0, 2, (D,), generator=draw(4, seed)) * 2.0 - 1
    return torch.eye(D)[order] * signs


def shrunk(seed: int) -> Tensor:
    """A rotation of each seed's own that shrinks half of the directions to a tenth."""
    gains = torch.ones(D)
    gains[torch.randperm(D, generator=draw(5, seed))[: D // 2]] = 0.1
    return gains[:, None] * turned(seed)


class PlantedPairs(Checkpoints, ControlAutoencoders):
    """Codes times each seed's directions, plus noise; autoencoders that read the directions."""

    def __init__(
        self,
        frame: Frame = turned,
        *,
        related: bool = True,
        noise: float = 0.02,
        offset: float = 0.0,
        half_way: Callable[[str, Tensor], Tensor] = lambda site, x: x,
        reads: Frame | None = None,
    ) -> None:
        """Make a suite.

        Args:
            frame: the directions of each seed's features.
            related: are the codes those of the same tokens in all seeds?
            noise: its standard deviation, of every seed's own.
            offset: added to every dimension of every seed but the first.
            half_way: the activations half way through training, by site, from the last ones.
            reads: the directions that autoencoders read, if they are not the features'.
        """
        super().__init__("planted", SEEDS, ("resid_mid.1", LATE_SITE))
        self._frame, self._related, self._noise, self._offset = frame, related, noise, offset
        self._half_way, self._reads = half_way, reads or frame

    def _of(self, seed: int) -> Tensor:
        x = codes(0 if self._related else 1 + seed) @ self._frame(seed)
        noise = self._noise * torch.randn(TOKENS, D, generator=draw(6, seed))
        return x + noise + self._offset * (seed != SEEDS[0])

    @cached_property
    def activations(self) -> Activations:
        sets = torch.stack([self._of(seed) for seed in SEEDS])
        return Activations(dict.fromkeys(self.sites, sets), SEQUENCE)

    @cached_property
    def untrained_activations(self) -> Activations:
        """Other features, which all seeds share in bases of their own."""
        other = torch.randn(TOKENS, D, generator=draw(7))
        turns = haar.sample(D, len(SEEDS), group="O", seed=93).float()
        return Activations(dict.fromkeys(self.sites, other @ turns), SEQUENCE)

    @cached_property
    def held_out(self) -> Tensor:
        return SEQUENCE % 4 == 0

    def earlier_activations(self, index: int) -> Activations:
        last = self.activations
        return Activations({s: self._half_way(s, last.at(s)) for s in self.sites}, SEQUENCE)

    def sae(self, seed: int, site: str, sae_seed: int = 0) -> SAE:
        return reading(self._reads(seed))

    def image_sae(self, seed: int, site: str) -> SAE:
        return reading(haar_image(self._reads(seed), seed))

    def earlier_sae(self, seed: int, site: str) -> SAE:
        assert HALF_WAY
        return reading(self._reads(seed))

    def control_sae(self, index: int, site: str) -> SAE:
        return reading(haar.sample(D, group="O", seed=draw_seed(94, index)).float())


def reading(directions: Tensor) -> SAE:
    """An autoencoder that reads and writes orthogonal directions, whatever their length."""
    lengths = directions.norm(dim=1, keepdim=True)
    return SAE((directions / lengths**2).mT, torch.zeros(D), directions, torch.zeros(D))
