"""SASA-07: the nuclear penalty finds the rank.

"Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333), rank recovery: concepts of 1 to 8
dimensions, one group of rank 10 for each, and six coefficients of the nuclear penalty, up to 100,
on activations scaled to the norm of GPT-2's.  At the best coefficient the effective rank of a group
is the dimension of its concept.  Concepts and groups are matched by the share of the concept's
subspace that lies in the span of the group's rows.  The coefficient with the smallest mean error on
the first seed is chosen; the mean error on the other seeds is judged, for every dimension.

The recipe is that of the paper, except that the decoder's gradient is projected and the learning
rate falls at the end, while the released code clips the norm of the gradient to 1, which at that
norm of activations happens in every step.  There is no auxiliary loss; that of its script for this
experiment is zero, because the script never passes on which latents are dead.

As published: the rank is the number of components that make up 90% of the squared singular values
of a group's rows, and a concept counts only if its group holds at least half of it; where none
counts, the rank is 0.  Hardened: the
rank is the exponential of the entropy of those shares, which needs no threshold, all concepts
count, and there are two further coefficients, so that the best is not the largest.
"""

from collections.abc import Callable, Mapping
from functools import partial
from statistics import mean
from typing import NamedTuple

import pytest
import torch

from polyrot.claim import *
from polyrot.experiments.planted import controls, figures
from polyrot.experiments.planted.plan import COEFFICIENTS
from polyrot.experiments.planted.suite import Decoder, Dictionaries
from polyrot.sae.subspaces import Spectrum, components, effective_rank, match

CLAIM = Claim(
    "SASA-07",
    "The nuclear penalty finds the rank",
    "arXiv 2606.06333, rank recovery",
    true_in=("dictionary-groups",),
    false_in=("dictionary-split", "dictionary-merged"),
)
DIMS = range(1, 9)
HALF = 0.5
"""Share of a concept that its group holds, to count as published."""
Decoders = Mapping[str, list[Decoder]]
"""One for each seed, by coefficient."""
Rank = Callable[[Spectrum], float]


def as_trained(dictionaries: Dictionaries, most: float = max(COEFFICIENTS)) -> Decoders:
    names = [f"{coefficient:g}" for coefficient in COEFFICIENTS if coefficient <= most]
    return {name: dictionaries.decoders(name) for name in names}


BAR = Bar.at_most(0.5, "mean error of the rank", scale=Scale.LOG)
CONTROLS = (
    negative("coefficient 0", lambda saes: as_trained(saes, most=0)),
    negative(
        "random rows", lambda saes: {"0": list(map(controls.random_rows, saes.decoders("0")))}
    ),
    positive(
        "planted rows", lambda saes: {"0": list(map(controls.planted_rows, saes.decoders("0")))}
    ),
)
PUBLISHED = Measurement(CLAIM, BAR, CONTROLS, published=True)
HARDENED = Measurement(CLAIM, BAR, CONTROLS)


class Match(NamedTuple):
    """A concept's dimension, its group's rank, and the share of the concept that is in it."""

    dim: int
    rank: float
    share: float


def matches(decoder: Decoder, rank: Rank) -> list[Match]:
    _, singular, spans = torch.linalg.svd(decoder.blocks.double(), full_matrices=False)
    bases = [basis.double() for basis in decoder.features.bases]
    found = []
    for group, basis in zip(match(spans, bases, whole=True).tolist(), bases, strict=True):
        share = float((spans[group] @ basis.mT).square().sum()) / len(basis)
        found.append(Match(len(basis), float(rank(singular[group].square())), share))
    return found


def error(found: list[Match], least_share: float) -> float:
    """Mean difference from the planted dimension; the largest dimension if no group counts."""
    off = [abs(one.rank - one.dim) for one in found if one.share >= least_share]
    return mean(off) if off else float(max(DIMS))


def best(decoders: Decoders, rank: Rank, least_share: float) -> str:
    """The coefficient with the smallest mean error on the first seed."""
    return min(decoders, key=lambda name: error(matches(decoders[name][0], rank), least_share))


def errors(decoders: Decoders, rank: Rank, least_share: float) -> dict[str, Estimate]:
    coefficient = best(decoders, rank, least_share)
    first, *others = decoders[coefficient]
    found = {decoder.seed: matches(decoder, rank) for decoder in others}

    def of_dimension(dim: int) -> Estimate:
        concepts = {seed: [one for one in every if one.dim == dim] for seed, every in found.items()}
        of_all_seeds = [one for known in concepts.values() for one in known]
        ranks = {
            # If no group counts, the rank is 0.
            seed: [one.rank for one in known if one.share >= least_share] or [0.0]
            for seed, known in concepts.items()
        }
        details = {
            "coefficient": float(coefficient),
            "mean rank": mean(rank for of_seed in ranks.values() for rank in of_seed),
            "concepts with a group": sum(one.share >= HALF for one in of_all_seeds)
            / len(of_all_seeds),
            "error where it was chosen": error(matches(first, rank), least_share),
        }
        off = {seed: mean(abs(r - dim) for r in of_seed) for seed, of_seed in ranks.items()}
        return average(off, off.__getitem__, details=details)

    return {f"dimension {dim}": of_dimension(dim) for dim in DIMS}


@pytest.mark.measurement(PUBLISHED)
def test_published(dictionaries: Dictionaries, judge: Judge) -> None:
    as_published = partial(as_trained, most=100)
    judge(lambda world=as_published: errors(world(dictionaries), components, HALF))


@pytest.mark.measurement(HARDENED)
def test_hardened(dictionaries: Dictionaries, judge: Judge) -> None:
    def recovered(_: Worlds) -> list[Figure]:
        decoders = as_trained(dictionaries)
        found = {
            name: [one[:2] for decoder in others for one in matches(decoder, effective_rank)]
            for name, (_, *others) in decoders.items()
        }
        return [figures.ranks(found, best(decoders, effective_rank, 0.0))]

    judge(
        lambda world=as_trained: errors(world(dictionaries), effective_rank, 0.0),
        figures=[recovered],
    )
