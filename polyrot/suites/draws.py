"""A random draw of a synthetic world."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.linalg import haar


@dataclass(frozen=True)
class Draw:
    """Source of a world's randomness; the salt gives every call site a separate generator."""

    number: int

    def seed(self, seed: int, salt: int) -> int:
        return draw_seed(self.number, seed, salt)

    def generator(self, seed: int, salt: int) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed(seed, salt))

    def haar(self, d: int, seed: int, salt: int) -> Float[Tensor, "d d"]:
        return haar.sample(d, group="O", seed=self.seed(seed, salt)).float()


def draw_seed(*parts: int) -> int:
    """Mix small integers into one seed, the same in every process."""
    seed = 17
    for part in parts:
        seed = (seed * 1_000_003 + part) % 2**62
    return seed
