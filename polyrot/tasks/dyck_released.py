"""The random draws of the code released with "Polymorphism Is Rotation" (arXiv 2605.24577).

The same distribution as `polyrot.tasks.dyck.sample`, but drawn sequence by sequence and symbol by
symbol, in the order of that code: from one seed it gives the paper's own sequences, so that a
number can be compared to the last digit.
"""

import numpy as np
from numpy.random import Generator

from polyrot.tasks.dyck import (
    ANALYSIS_LENGTHS,
    BOS,
    CONTEXT,
    EOS,
    FAMILIES,
    FIRST_BRACKET,
    MAX_DEPTH,
    PAD,
    LabelledSequences,
    label,
)

P_VALID, P_OPEN = 0.5, 0.55
BRACKETS = 2 * FAMILIES


def sample_as_released(
    batches: int, size: int, *, seed: int, lengths: tuple[int, int] = ANALYSIS_LENGTHS
) -> LabelledSequences:
    """Draw batches of labelled sequences one after another from one seed.

    Args:
        batches: number of batches; the lengths of each are drawn before its content.
        size: sequences in a batch.
        seed: of the paper's generator.
        lengths: shortest and longest content.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(batches):
        drawn = rng.integers(lengths[0], lengths[1] + 1, size=size)
        valid = rng.random(size) < P_VALID
        for length, nested in zip(drawn.tolist(), valid, strict=True):
            content = _nested(rng, length) if nested else _any(rng, length)
            rows.append(_framed(content))
    return label(np.array(rows))


def _nested(rng: Generator, length: int) -> list[int]:
    """Draw content that closes only what is open; a family is drawn only where one opens."""
    content, open_families = [], list[int]()
    for _ in range(length):
        opens = not open_families or (len(open_families) < MAX_DEPTH and rng.random() < P_OPEN)
        if opens:
            open_families.append(int(rng.integers(0, FAMILIES)))
            content.append(FIRST_BRACKET + 2 * open_families[-1])
        else:
            content.append(FIRST_BRACKET + 2 * open_families.pop() + 1)
    return content


def _any(rng: Generator, length: int) -> list[int]:
    drawn: list[int] = rng.integers(FIRST_BRACKET, FIRST_BRACKET + BRACKETS, size=length).tolist()
    return drawn


def _framed(content: list[int]) -> list[int]:
    framed = [BOS, *content, EOS][:CONTEXT]
    return framed + [PAD] * (CONTEXT - len(framed))
