"""Features that are subspaces: planted bases, points in them, and sums of a few at a time.

"Subspace-aware sparse autoencoders" (arXiv 2606.06333) takes a concept to be a point in a subspace
of a few dimensions: on a circle, on a sphere, or simply a Gaussian vector.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Coordinates = Callable[[int, int, torch.Generator], Float[Tensor, "token dim"]]
"""Called with the number of tokens, the dimension and the random generator."""


def gaussian(tokens: int, dim: int, generator: torch.Generator) -> Float[Tensor, "token dim"]:
    """Draw coordinates of total energy 1, the same in every direction."""
    x: Tensor = torch.randn(tokens, dim, generator=generator) / dim**0.5
    return x


def sphere(tokens: int, dim: int, generator: torch.Generator) -> Float[Tensor, "token dim"]:
    """Draw points uniformly from the unit sphere; in two dimensions this is the circle."""
    x = torch.randn(tokens, dim, generator=generator)
    x /= x.norm(dim=1, keepdim=True)
    return x


def helix(tokens: int, dim: int, generator: torch.Generator) -> Float[Tensor, "token 3"]:
    """Draw points of two turns of a helix of radius 1 and height 2, centred."""
    turn = 2 * torch.rand(tokens, generator=generator) - 1
    angle = 2 * math.pi * turn
    return torch.stack([angle.cos(), angle.sin(), turn], dim=1)


@dataclass(frozen=True, eq=False)
class Tokens:
    """Activations, and the features that are active in each token."""

    x: Float[Tensor, "token d_model"]
    on: Bool[Tensor, "token feature"]


@dataclass(frozen=True, eq=False)
class Features:
    """Planted subspaces, and how activations are made from them.

    Args:
        bases: orthonormal rows, by feature.
        coordinates: how a point is drawn, by feature.
        active: active features per token; all sets of this size are equally likely.
        scales: the factor that multiplies its points, by feature.
        noise: power of isotropic noise, as a share of the features' power.
        power: mean squared norm of a token without its noise; None keeps that of the features.
    """

    bases: tuple[Float[Tensor, "_ d_model"], ...]
    coordinates: tuple[Coordinates, ...]
    active: int
    scales: tuple[float, ...]
    noise: float = 0.01
    power: float | None = None

    @property
    def dims(self) -> tuple[int, ...]:
        """Dimension of each feature."""
        return tuple(len(basis) for basis in self.bases)

    @property
    def d_model(self) -> int:
        """Dimension of the space that contains them."""
        return self.bases[0].shape[1]

    def draw(self, tokens: int, seed: int) -> Tokens:
        """Draw tokens."""
        generator = torch.Generator().manual_seed(seed)
        count, d_model = len(self.bases), self.d_model
        order = torch.rand(tokens, count, generator=generator).argsort(1)
        on = torch.zeros(tokens, count, dtype=torch.bool)
        on.scatter_(1, order[:, : self.active], value=True)
        x = torch.zeros(tokens, d_model)
        for i, (basis, points, scale) in enumerate(
            zip(self.bases, self.coordinates, self.scales, strict=True)
        ):
            where = on[:, i].nonzero()[:, 0]
            x[where] += scale * points(len(where), len(basis), generator) @ basis
        if self.power is not None:
            x *= (self.power / float(x.square().sum(1).mean())) ** 0.5
        deviation = (self.noise * float(x.square().mean())) ** 0.5
        return Tokens(x + deviation * torch.randn(x.shape, generator=generator), on)


def random_bases(
    dims: Sequence[int], d_model: int, seed: int, *, orthogonal: bool = False
) -> tuple[Float[Tensor, "_ d_model"], ...]:
    """Draw orthonormal bases; with `orthogonal`, different features are orthogonal."""
    generator = torch.Generator().manual_seed(seed)
    if orthogonal:
        every: Tensor = torch.linalg.qr(torch.randn(d_model, sum(dims), generator=generator)).Q
        return tuple(every.mT.split(list(dims)))
    draws = (torch.randn(d_model, dim, generator=generator) for dim in dims)
    return tuple(torch.linalg.qr(draw).Q.mT.contiguous() for draw in draws)


def shapes(d_model: int, active: int, seed: int) -> Features:
    """Plant a circle, a sphere and a helix."""
    bases = random_bases((2, 3, 3), d_model, seed, orthogonal=True)
    return Features(bases, (sphere, sphere, helix), active, (1.0,) * 3)
