"""Moments of all pairs of large activation sets at one site, from one pass of all of them."""

from collections.abc import Sequence
from functools import cached_property

from jaxtyping import Bool, Float
from torch import Tensor

from polyrot.linalg.moments import Moments
from polyrot.linalg.streaming import JointMomentStream

CHUNK = 16_384
"""Tokens of every set that are read at a time."""

PairMoments = tuple[Moments, Moments | None]
"""Moments of the tokens to fit, and of those held out, if any."""


class JointPairs:
    """The activation sets of one site; sums that pairs have in common are computed and kept once.

    For k sets, k + k(k-1)/2 matrices are kept for the tokens to fit and the same number for those
    held out; pair by pair it would be six for each ordered pair.
    """

    def __init__(
        self, sets: Sequence[Float[Tensor, "token d_model"]], held_out: Bool[Tensor, " token"]
    ) -> None:
        """Store the sets, whose rows are the same tokens; nothing is computed yet."""
        self._sets, self._held_out = sets, held_out

    def moments(self, source: Tensor, target: Tensor, held_out: Tensor) -> PairMoments | None:
        """Return the moments from target to source, if both are sets of this site.

        None for other sets or other held-out tokens: a control that replaces a set must not be
        given the models' moments.
        """
        names = [self._name(x) for x in (target, source)]
        if names[0] is None or names[1] is None or names[0] == names[1]:
            return None
        pair = (names[0], names[1])
        if held_out is self._held_out:
            return self._of(self._fit, pair), self._of(self._held, pair)
        if not bool(held_out.any()):
            return self._of(self._fit, pair) + self._of(self._held, pair), None
        return None

    def _name(self, x: Tensor) -> str | None:
        return next((str(i) for i, known in enumerate(self._sets) if known is x), None)

    @cached_property
    def _fit(self) -> dict[tuple[str, str], Moments]:
        return self._summed(~self._held_out)

    @cached_property
    def _held(self) -> dict[tuple[str, str], Moments]:
        return self._summed(self._held_out)

    def _summed(self, chosen: Bool[Tensor, " token"]) -> dict[tuple[str, str], Moments]:
        names = [str(i) for i in range(len(self._sets))]
        stream = JointMomentStream([(a, b) for i, a in enumerate(names) for b in names[i + 1 :]])
        for rows in chosen.nonzero().flatten().split(CHUNK):
            stream.add({name: x[rows] for name, x in zip(names, self._sets, strict=True)})
        return stream.finish()

    @staticmethod
    def _of(known: dict[tuple[str, str], Moments], pair: tuple[str, str]) -> Moments:
        return known[pair] if pair in known else known[pair[1], pair[0]].swap()
