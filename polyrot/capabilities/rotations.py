"""What claims about the rotation itself have in common: their precondition, and their figures."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.capabilities.controls import shuffled_tokens
from polyrot.capabilities.pairs import Pair, PairMeasure, World
from polyrot.capabilities.streams import Streams
from polyrot.stats.estimate import Estimate
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Precondition

A_MAP = Precondition(
    "a rotation relates the seeds",
    Bar.above(0.0, "held-out alignment EV, less that of shuffled tokens"),
)
"""Between clouds that nothing relates, the best rotation is Haar by theorem: it says nothing."""


def explains_more(pair: Pair) -> float:
    """Held-out EV of the rotation, less that of the one fitted to shuffled tokens."""
    return pair.alignment.ev - shuffled_tokens(pair).alignment.ev


def a_map(streams: Streams, *, published: bool = False) -> dict[str, Estimate]:
    """Measure `A_MAP` at every site: on the free coordinates or, as published, on all of them."""
    return streams.each_site(explains_more, ordered=False, free=not published)


def on_free_coordinates(
    streams: Streams, measure: PairMeasure, world: World
) -> dict[str, Estimate]:
    """Average a property of the rotation over unordered pairs: the transpose has the same."""
    return streams.each_site(measure, world, ordered=False, free=True)


def with_details(
    estimates: Mapping[str, Estimate], details: Mapping[str, Mapping[str, Any]]
) -> dict[str, Estimate]:
    """Add figures to report with the estimate of each part."""
    return {
        part: replace(estimate, details={**estimate.details, **details.get(part, {})})
        for part, estimate in estimates.items()
    }


def relative_norm(rotation: Float[Tensor, "d d"]) -> float:
    """norm(R - I) / sqrt(2d): near 1 for Haar matrices, as it is sqrt(1 - tr R / d)."""
    d = len(rotation)
    distance = torch.linalg.matrix_norm(rotation - torch.eye(d, dtype=torch.float64))
    return float(distance / math.sqrt(2 * d))
