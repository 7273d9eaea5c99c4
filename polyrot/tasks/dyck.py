"""Bounded-depth Dyck-3 with three labels at every position.

The task of "Polymorphism Is Rotation" (arXiv 2605.24577, section Setup and the
released code): token ids, sampling of valid and random content, sticky
validity, and the two held-out distributions.  Everything is vectorised over
sequences; only the position axis is a loop, because a stack machine is
sequential.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64
from numpy.random import Generator

PAD, BOS, EOS = 0, 1, 2
FIRST_BRACKET = 3
FAMILIES = 3
VOCABULARY = 40
CONTEXT = 64
MAX_DEPTH = 8
IGNORE = -100
"""Label of PAD positions, the value torch's cross-entropy skips."""

TRAIN_LENGTHS = (2, 62)
ANALYSIS_LENGTHS = (2, 48)
LONG_LENGTHS = (50, 60)

Tokens = Int64[np.ndarray, "sequence position"]
Content = Int64[np.ndarray, "sequence step"]
"""Brackets numbered 0-5 (twice the family, plus one to close), before framing."""

Lengths = Int64[np.ndarray, " sequence"]


@dataclass(frozen=True, eq=False)
class LabelledSequences:
    """Token ids and, per output head, the label of each; `IGNORE` marks no label.

    The Dyck-3 heads are `token` (a copy of the input token), `depth` (unmatched
    openers after it) and `valid` (1 from the first error on: a sticky *invalid*
    flag; the name is the paper's).
    """

    tokens: Tokens
    labels: dict[str, Tokens]

    @property
    def lengths(self) -> Lengths:
        """Number of positions that are not PAD, per sequence."""
        lengths: Lengths = np.asarray((self.tokens != PAD).sum(axis=1), dtype=np.int64)
        return lengths

    def __len__(self) -> int:
        return len(self.tokens)

    def cut(self, rows: Int64[np.ndarray, " row"], width: int) -> "LabelledSequences":
        """Keep some sequences, and of each the first `width` positions."""
        return LabelledSequences(
            self.tokens[rows, :width],
            {head: labels[rows, :width] for head, labels in self.labels.items()},
        )

    def by_length(self, buckets: int) -> Iterator["LabelledSequences"]:
        """Split into `buckets` groups of similar length, each cut to its longest."""
        lengths = self.lengths
        order = np.argsort(lengths, kind="stable")
        for rows in np.array_split(order, min(buckets, len(order))):
            yield self.cut(rows, int(lengths[rows].max()))


def label(tokens: Tokens) -> LabelledSequences:
    """Label sequences with the depth and the sticky validity of every prefix.

    Errors are: closing with nothing open, closing another family than the
    innermost, and opening beyond `MAX_DEPTH`.  From the first error on the depth
    keeps its last valid value.
    """
    count, width = tokens.shape
    rows = np.arange(count)
    stack = np.zeros((count, MAX_DEPTH), dtype=np.int64)
    depth = np.zeros(count, dtype=np.int64)
    invalid = np.zeros(count, dtype=bool)
    depths = np.empty((count, width), dtype=np.int64)
    invalids = np.empty((count, width), dtype=np.int64)
    for position in range(width):
        bracket = tokens[:, position] - FIRST_BRACKET
        family = bracket // 2
        opens = (bracket >= 0) & (bracket % 2 == 0)
        closes = (bracket >= 0) & (bracket % 2 == 1)
        innermost = stack[rows, np.maximum(depth - 1, 0)]
        matches = (depth > 0) & (innermost == family)
        invalid |= (opens & (depth == MAX_DEPTH)) | (closes & ~matches)
        pushes = opens & ~invalid
        stack[rows[pushes], depth[pushes]] = family[pushes]
        depth += pushes
        depth -= closes & ~invalid
        depths[:, position] = depth
        invalids[:, position] = invalid
    labels = {"token": tokens, "depth": depths, "valid": invalids}
    is_pad = tokens == PAD
    return LabelledSequences(
        tokens, {head: np.where(is_pad, IGNORE, values) for head, values in labels.items()}
    )


def sample(
    count: int,
    *,
    rng: Generator,
    lengths: tuple[int, int] = TRAIN_LENGTHS,
    p_valid: float = 0.5,
    p_open: float = 0.55,
) -> LabelledSequences:
    """Draw labelled sequences from the training distribution.

    Each is valid with probability `p_valid` (opens with probability `p_open`
    where both moves are allowed, and may end with unmatched openers), otherwise
    uniform over the six brackets.  Content lengths are uniform on `lengths`,
    inclusive.
    """
    low, high = lengths
    if not 1 <= low <= high <= CONTEXT - 1:
        raise ValueError(
            f"Expected 1 <= shortest <= longest <= {CONTEXT - 1} but got lengths={lengths!r}"
        )
    content_length = rng.integers(low, high + 1, size=count)
    content = _valid_content(count, high, rng, p_open)
    is_random = rng.random(count) >= p_valid
    content[is_random] = rng.integers(0, 2 * FAMILIES, size=(int(is_random.sum()), high))
    return label(_frame(content, content_length))


def sample_compositional(count: int, *, rng: Generator) -> LabelledSequences:
    """Draw labelled sequences with one deep nest between two shallow runs.

    The nest has a single family and a depth uniform on 3-8; the runs are adjacent
    open-close pairs of random families, at least one pair each, and fill the
    context.
    """
    length = CONTEXT - 2
    nest_depth = rng.integers(3, MAX_DEPTH + 1, size=(count, 1))
    pairs_before = rng.integers(1, length // 2 - nest_depth, size=(count, 1))
    nest_family = rng.integers(0, FAMILIES, size=(count, 1))
    pair_family = rng.integers(0, FAMILIES, size=(count, length // 2)).repeat(2, axis=1)
    position = np.arange(length)
    inside = position - 2 * pairs_before
    in_nest = (inside >= 0) & (inside < 2 * nest_depth)
    family = np.where(in_nest, nest_family, pair_family)
    closes = np.where(in_nest, inside >= nest_depth, position % 2 == 1)
    content_length = np.full(count, length)
    return label(_frame(2 * family + closes, content_length))


def sample_long(count: int, *, rng: Generator) -> LabelledSequences:
    """Draw labelled sequences of content lengths 50-60 from the training mix."""
    return sample(count, rng=rng, lengths=LONG_LENGTHS)


def sample_short(count: int, *, rng: Generator) -> LabelledSequences:
    """Draw labelled sequences of content lengths 2-48 from the training mix."""
    return sample(count, rng=rng, lengths=ANALYSIS_LENGTHS)


def sample_two_back(count: int, *, rng: Generator) -> LabelledSequences:
    """Draw training sequences whose only label is the token two positions back.

    Another task on the same inputs: models trained on it are the control that
    shares everything with the Dyck-3 models but the function.
    """
    tokens = sample(count, rng=rng).tokens
    back = np.full_like(tokens, IGNORE)
    back[:, 2:] = np.where(tokens[:, 2:] == PAD, IGNORE, tokens[:, :-2])
    return LabelledSequences(tokens, {"token": back})


HELD_OUT: dict[str, Callable[..., LabelledSequences]] = {
    "train": sample,
    "compositional": sample_compositional,
    "long": sample_long,
}
"""The three held-out distributions, by the name used in manifests and reports."""


def _valid_content(count: int, width: int, rng: Generator, p_open: float) -> Content:
    rows = np.arange(count)
    stack = np.zeros((count, MAX_DEPTH), dtype=np.int64)
    depth = np.zeros(count, dtype=np.int64)
    content = np.empty((count, width), dtype=np.int64)
    prefers_open = rng.random((width, count)) < p_open
    families = rng.integers(0, FAMILIES, size=(width, count))
    for position in range(width):
        opens = (depth < MAX_DEPTH) & ((depth == 0) | prefers_open[position])
        innermost = stack[rows, np.maximum(depth - 1, 0)]
        family = np.where(opens, families[position], innermost)
        stack[rows[opens], depth[opens]] = family[opens]
        content[:, position] = 2 * family + ~opens
        depth += np.where(opens, 1, -1)
    return content


def _frame(content: Content, content_length: Lengths) -> Tokens:
    """Put BOS before the content, EOS after it where it fits, PAD elsewhere."""
    count, width = content.shape
    tokens = np.full((count, CONTEXT), PAD, dtype=np.int64)
    tokens[:, 0] = BOS
    tokens[:, 1 : width + 1] = content + FIRST_BRACKET
    position = np.arange(CONTEXT)
    end = 1 + content_length[:, None]
    tokens[position == end] = EOS
    tokens[position > end] = PAD
    return tokens


def concatenate(parts: Sequence[LabelledSequences]) -> LabelledSequences:
    """Join batches that have the same output heads."""
    return LabelledSequences(
        np.concatenate([part.tokens for part in parts]),
        {head: np.concatenate([part.labels[head] for part in parts]) for head in parts[0].labels},
    )
