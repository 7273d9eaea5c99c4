"""Additive second moments of two activation sets on the same tokens.

An orthogonal or affine fit and its explained variance need only the means and the
centred second moments: O(d^2) numbers, whatever the number of tokens.  Moments of
disjoint token sets add up (Chan, Golub & LeVeque 1983,
doi:10.1080/00031305.1983.10483115); sums are kept about the means, so a large common
offset costs no precision.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.linalg.checks import Array, as_activations, check_tokens


@dataclass(frozen=True)
class Centred:
    """One activation set about its mean, in float64: half of the moments of any of its pairs.

    For sets that are paired many times and fit into memory; stream larger ones.
    """

    mean: Float[Tensor, " d_model"]
    tokens: Float[Tensor, "token d_model"]
    second: Float[Tensor, "d_model d_model"]
    """Centred second moments, summed over tokens."""

    @classmethod
    def of(cls, name: str, value: Array) -> "Centred":
        """Centre a `[token, d_model]` array; errors call it by `name`."""
        x = as_activations(name, value).double()
        mean = x.mean(0)
        x = x - mean
        return cls(mean, x, x.mT @ x)


@dataclass(frozen=True)
class Moments:
    """Count, means and centred second moments (sums, not averages), in float64.

    `cross[i, j]` is the sum over tokens of centred source dimension i times
    centred target dimension j; `source` and `target` are the same within a side.
    `a + b` are the moments of the tokens of both.

    >>> x = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    >>> chunks = Moments.from_arrays(x[:60], x[:60]) + Moments.from_arrays(x[60:], x[60:])
    >>> chunks.count, bool(torch.allclose(chunks.cross, Moments.from_arrays(x, x).cross))
    (100, True)
    """

    count: int
    source_mean: Float[Tensor, " d_source"]
    target_mean: Float[Tensor, " d_target"]
    source: Float[Tensor, "d_source d_source"]
    target: Float[Tensor, "d_target d_target"]
    cross: Float[Tensor, "d_source d_target"]

    @property
    def source_variance(self) -> float:
        """Variance of the source, summed over tokens and dimensions."""
        return float(torch.trace(self.source))

    @property
    def target_variance(self) -> float:
        """Variance of the target, summed over tokens and dimensions."""
        return float(torch.trace(self.target))

    @classmethod
    def from_arrays(cls, source: Array, target: Array) -> "Moments":
        """Compute the moments of `[token, d_model]` arrays whose rows are the same tokens."""
        return cls.from_batches([(source, target)])

    @classmethod
    def from_centred(cls, source: Centred, target: Centred) -> "Moments":
        """Pair two sets of the same tokens: one matrix product, `source' target`."""
        count = len(source.tokens)
        check_tokens({"source": count, "target": len(target.tokens)})
        cross = source.tokens.mT @ target.tokens
        return cls(count, source.mean, target.mean, source.second, target.second, cross)

    @classmethod
    def from_batches(cls, pairs: Iterable[tuple[Array, Array]]) -> "Moments":
        """Stream moments from chunks `(source, target)`, in O(d^2) memory."""
        # Imported here, because it imports this module.
        from polyrot.linalg.streaming import MomentStream

        stream = MomentStream()
        for source, target in pairs:
            stream.add(source, target)
        return stream.finish()

    def __add__(self, other: "Moments") -> "Moments":
        if self.cross.shape != other.cross.shape:
            raise ValueError(
                f"Expected moments of the same dimensions but got {tuple(self.cross.shape)} "
                f"and {tuple(other.cross.shape)}"
            )
        count = self.count + other.count
        share = other.count / count
        between = self.count * share
        dx = other.source_mean - self.source_mean
        dy = other.target_mean - self.target_mean
        return Moments(
            count,
            self.source_mean + share * dx,
            self.target_mean + share * dy,
            self.source + other.source + between * torch.outer(dx, dx),
            self.target + other.target + between * torch.outer(dy, dy),
            self.cross + other.cross + between * torch.outer(dx, dy),
        )

    def swap(self) -> "Moments":
        """Exchange source and target."""
        return Moments(
            self.count,
            self.target_mean,
            self.source_mean,
            self.target,
            self.source,
            self.cross.mT,
        )
