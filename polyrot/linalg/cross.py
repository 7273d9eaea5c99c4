"""The moments of activation sets that an orthogonal fit needs, computed from the arrays.

An orthogonal map preserves variance, so neither the fit nor its explained variance depends on
the covariance matrix of either side: one product of the tokens suffices where `Moments` takes
three.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from polyrot.linalg.moments import Moments

NUMBERS = 2**20
"""Numbers of a set converted to float64 at a time: 8 MiB, which fit in the cache."""

Tokens = Int[Tensor, " kept"]


@dataclass(frozen=True)
class CrossMoments:
    """Count, means, variances and centred cross-covariance (sums, not averages), in float64."""

    count: int
    source_mean: Float[Tensor, " d_source"]
    target_mean: Float[Tensor, " d_target"]
    source_variance: float
    """Summed over tokens and dimensions."""
    target_variance: float
    cross: Float[Tensor, "d_source d_target"]
    arrays: tuple[Float[Tensor, "token d_source"], Float[Tensor, "token d_target"]]
    """The arrays themselves, not copies; `tokens` are rows of both."""
    tokens: Tokens

    def swap(self) -> "CrossMoments":
        """Exchange source and target."""
        return CrossMoments(
            self.count,
            self.target_mean,
            self.source_mean,
            self.target_variance,
            self.source_variance,
            self.cross.mT,
            self.arrays[::-1],
            self.tokens,
        )

    def complete(self) -> Moments:
        """Compute the moments with both sides' covariances, from the arrays.

        Raises:
            ValueError: where the arrays have been changed since.
        """
        moments = whole_moments(self.arrays, self.tokens)
        # A caller that refills one buffer would get the moments of other tokens.
        changes = (
            float(torch.linalg.matrix_norm(moments.cross - self.cross)),
            abs(moments.source_variance - self.source_variance),
            abs(moments.target_variance - self.target_variance),
        )
        if not max(changes) <= 1e-9 * (self.source_variance + self.target_variance):
            raise ValueError(
                "Expected the arrays that were aligned but they have been changed since; read "
                "`moments` or `identifiable_rank` before, or align copies"
            )
        return moments


def whole_moments(
    arrays: tuple[Float[Tensor, "token d_source"], Float[Tensor, "token d_target"]], tokens: Tokens
) -> Moments:
    """Compute the moments of some tokens of two arrays, without a copy of these tokens."""
    parts = _chunks(tokens, max(x.shape[1] for x in arrays))
    return Moments.from_batches((arrays[0][part], arrays[1][part]) for part in parts)


@dataclass(frozen=True)
class Sums:
    """Sums over tokens about fixed origins, of sets and of pairs of sets."""

    count: int
    sums: list[Float[Tensor, " _"]]
    squares: list[float]
    products: list[Float[Tensor, "_ _"]]


def cross_moments(
    sets: Sequence[Float[Tensor, "token _"]],
    pairs: Sequence[tuple[int, int]],
    tokens: Tokens,
) -> list[CrossMoments]:
    """Compute the cross-moments of pairs of sets on some of their tokens, in one pass.

    Args:
        sets: activation sets of the same tokens, on one device.
        pairs: positions in `sets`, source and target.
        tokens: rows to take, at least two.

    Raises:
        ValueError: where there are fewer than two tokens.
    """
    count = len(tokens)
    if count < 2:
        raise ValueError(
            f"Expected at least 2 tokens on either side of the split but got {count}; change "
            "holdout, or align more sequences"
        )
    origins = find_origins(sets, tokens)
    found = add_up(sets, pairs, tokens, origins)
    shifts = [total / count for total in found.sums]
    variances = [
        square - count * float(shift @ shift)
        for square, shift in zip(found.squares, shifts, strict=True)
    ]
    return [
        CrossMoments(
            count,
            origins[a] + shifts[a],
            origins[b] + shifts[b],
            variances[a],
            variances[b],
            product - count * torch.outer(shifts[a], shifts[b]),
            (sets[a], sets[b]),
            tokens,
        )
        for (a, b), product in zip(pairs, found.products, strict=True)
    ]


def find_origins(
    sets: Sequence[Float[Tensor, "token _"]], tokens: Tokens
) -> list[Float[Tensor, " _"]]:
    """Find a point near the mean of each set; sums about it lose no digits to an offset."""
    first = next(_chunks(tokens, max(x.shape[1] for x in sets)))
    origins = []
    for x in sets:
        # About one of the tokens, so equal tokens have a variance of 0.
        token = x[first[0]].double()
        origins.append(token + (x[first].double() - token).mean(0))
    return origins


def add_up(
    sets: Sequence[Float[Tensor, "token _"]],
    pairs: Sequence[tuple[int, int]],
    tokens: Tokens,
    origins: Sequence[Float[Tensor, " _"]],
) -> Sums:
    """Sum tokens, their squares and the products of pairs, about origins, in float64."""
    sums = [torch.zeros_like(origin) for origin in origins]
    squares = [0.0] * len(sets)
    products = [origins[a].new_zeros(len(origins[a]), len(origins[b])) for a, b in pairs]
    for part in _chunks(tokens, max(x.shape[1] for x in sets)):
        shifted = [x[part].double() - origin for x, origin in zip(sets, origins, strict=True)]
        for i, x in enumerate(shifted):
            sums[i] += x.sum(0)
            squares[i] += float(torch.dot(x.flatten(), x.flatten()))
        for (a, b), product in zip(pairs, products, strict=True):
            product.addmm_(shifted[a].mT, shifted[b])
    return Sums(len(tokens), sums, squares, products)


def _chunks(tokens: Tokens, d: int) -> Iterator[Tokens]:
    """Split tokens into parts of about equal length, none with a single token."""
    size = max(2, NUMBERS // d)
    return iter(tokens.tensor_split(-(-len(tokens) // size)))
