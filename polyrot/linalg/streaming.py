"""Second moments of activations that arrive in chunks, accumulated in place.

At d = 4,096 one matrix of moments takes 128 MiB, and a pair has three: chunks are added to them
in place, through one matrix of workspace.
"""

from collections.abc import Callable, Iterable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.linalg.checks import Array, as_activations, check_tokens
from polyrot.linalg.moments import Moments

CHUNK = 16_384
"""Most tokens, and most numbers of a set, converted to float64 at a time, to bound the memory."""
CHUNK_NUMBERS = 2**23

Name = str
Matrix = Float[Tensor, "d_source d_target"]


class MomentStream:
    """The moments of one pair, from chunks of both sides.

    Everything is float64, on the device of the first chunk, which also fixes the widths; four
    matrices of d^2 numbers are allocated then, and nothing grows with the number of tokens.

    >>> x = torch.randn(500, 8, generator=torch.Generator().manual_seed(0))
    >>> stream = MomentStream()
    >>> for chunk in x.split(100):
    ...     stream.add(chunk, 2 * chunk)
    >>> stream.finish().count
    500
    """

    def __init__(self) -> None:
        """Start without tokens."""
        self._joint = JointMomentStream([("source", "target")])

    def add(self, source: Array, target: Array) -> None:
        """Add chunks `[token, d_model]` whose rows are the same tokens.

        Raises:
            TypeError: where a chunk is not of a floating type.
            ValueError: where token counts differ, widths change, values are not finite or there
                are fewer than two tokens.
        """
        self._joint.add({"source": source, "target": target})

    def merge(self, moments: Moments) -> None:
        """Add the moments of other tokens."""
        self._joint.merge({("source", "target"): moments})

    def finish(self) -> Moments:
        """Return the moments of all tokens so far, and empty the stream.

        Raises:
            ValueError: where there was no token.
        """
        (moments,) = self._joint.finish().values()
        return moments


class JointMomentStream:
    """The moments of several pairs of activation sets, from chunks of every set.

    For k sets and all their pairs, k + k(k-1)/2 matrices are kept: each is summed once, and
    shared by the moments that `finish` returns.
    """

    def __init__(self, pairs: Iterable[tuple[Name, Name]]) -> None:
        """Name the pairs as (source, target); these names are those of the sets."""
        self._pairs = tuple(dict.fromkeys(pairs))
        self._names = tuple(dict.fromkeys(name for pair in self._pairs for name in pair))
        self._products = (*((name, name) for name in self._names), *self._pairs)
        self._reset()

    def add(self, chunks: Mapping[Name, Array]) -> None:
        """Add a chunk `[token, d_model]` of every set, whose rows are the same tokens."""
        sets = {name: as_activations(name, chunks[name]) for name in self._names}
        check_tokens({name: len(x) for name, x in sets.items()})
        size = max(1, min(CHUNK, CHUNK_NUMBERS // max(x.shape[1] for x in sets.values())))
        for part in zip(*(x.split(size) for x in sets.values()), strict=True):
            self._add(dict(zip(sets, part, strict=True)))

    def merge(self, moments: Mapping[tuple[Name, Name], Moments]) -> None:
        """Add the moments of every pair on other tokens."""
        means: dict[Name, Tensor] = {}
        products: dict[tuple[Name, Name], Tensor] = {}
        for a, b in self._pairs:
            pair_moments = moments[a, b]
            means |= {a: pair_moments.source_mean, b: pair_moments.target_mean}
            products |= {(a, a): pair_moments.source, (b, b): pair_moments.target}
            products[a, b] = pair_moments.cross
        count = moments[self._pairs[0]].count
        self._absorb(count, means, lambda a, b: products[a, b])

    def finish(self) -> dict[tuple[Name, Name], Moments]:
        """Return the moments of every pair, and empty the stream.

        Raises:
            ValueError: where there was no token.
        """
        if not self._count:
            raise ValueError(
                f"Expected at least one chunk of {' and '.join(self._names)} but got none"
            )
        result = {
            (a, b): Moments(
                self._count,
                self._means[a],
                self._means[b],
                self._sums[a, a],
                self._sums[b, b],
                self._sums[a, b],
            )
            for a, b in self._pairs
        }
        self._reset()
        return result

    def _reset(self) -> None:
        self._count = 0
        self._means: dict[Name, Tensor] = {}
        self._sums: dict[tuple[Name, Name], Tensor] = {}
        self._work = torch.empty(0)

    def _add(self, chunks: Mapping[Name, Float[Tensor, "token _"]]) -> None:
        means, centred = {}, {}
        for name, chunk in chunks.items():
            x = chunk.double()
            means[name] = x.mean(0)
            centred[name] = x - means[name]

        def product(a: Name, b: Name) -> Matrix:
            return torch.mm(centred[a].mT, centred[b], out=self._workspace(means, a, b))

        self._absorb(len(x), means, product)

    def _absorb(
        self,
        count: int,
        means: Mapping[Name, Float[Tensor, " _"]],
        product: Callable[[Name, Name], Matrix],
    ) -> None:
        """Add centred sums of products about other means (Chan, Golub & LeVeque 1983)."""
        if not self._count:
            self._count = count
            self._means = {name: means[name].clone() for name in self._names}
            self._sums = {(a, b): product(a, b).clone() for a, b in self._products}
            return
        self._check_widths(means)
        total = self._count + count
        share = count / total
        between = self._count * share
        shifts = {name: means[name] - self._means[name] for name in self._names}
        for (a, b), kept in self._sums.items():
            kept.add_(product(a, b))
            outer = torch.outer(shifts[a], shifts[b], out=self._workspace(means, a, b))
            kept.add_(outer.mul_(between))
        for name, mean in self._means.items():
            mean.add_(share * shifts[name])
        self._count = total

    def _workspace(self, means: Mapping[Name, Tensor], a: Name, b: Name) -> Matrix:
        """Return a matrix for one product, in the same memory for all."""
        rows, columns = len(means[a]), len(means[b])
        if self._work.numel() < rows * columns:
            largest = max(len(mean) for mean in means.values())
            self._work = means[a].new_empty(largest**2)
        return self._work[: rows * columns].view(rows, columns)

    def _check_widths(self, means: Mapping[Name, Tensor]) -> None:
        known = {name: len(mean) for name, mean in self._means.items()}
        given = {name: len(means[name]) for name in known}
        if given != known:
            raise ValueError(
                f"Expected chunks of the same dimensions, {known}, but got {given}; a stream "
                "takes the activations of one site"
            )
