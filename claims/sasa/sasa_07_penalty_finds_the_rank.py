"""SASA-07: the nuclear penalty finds the rank.

"Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333), rank recovery: concepts of 1 to 8
dimensions, one group of rank 10 for each, and six coefficients of the nuclear penalty, on
activations of the norm of GPT-2's.  At the best coefficient the effective rank of a group is the
dimension of its concept.  Concepts and groups are matched by the share of the concept's subspace
that lies in the span of the group's rows.  The coefficient with the smallest mean error on the
first seed is chosen; the mean error on the other seeds is judged, for every dimension.

As published: the rank is the number of components that make up 90% of the squared singular values
of a group's rows, and a concept counts only if its group holds at least half of it.  Hardened: the
rank is the exponential of the entropy of those shares, which needs no threshold, all concepts
count, and there are two further coefficients, so that the best is not the largest.
"""

from collections.abc import Callable, Mapping
from statistics import mean

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
WITHOUT = "0"
LARGEST_PUBLISHED = 100
"""Coefficient of the paper."""
HALF = 0.5
"""Share of a concept that its group holds, to count as published."""

Decoders = Mapping[str, list[Decoder]]
"""One for each seed, by coefficient."""
World = Callable[[Dictionaries], Decoders]
Rank = Callable[[Spectrum], float]
Ranks = Mapping[int, Mapping[int, list[float]]]
"""Learned ranks by seed and planted dimension."""


def as_trained(dictionaries: Dictionaries) -> Decoders:
    names = [f"{coefficient:g}" for coefficient in COEFFICIENTS]
    return {name: dictionaries.decoders(name) for name in names}


def as_published(dictionaries: Dictionaries) -> Decoders:
    every = as_trained(dictionaries)
    return {name: own for name, own in every.items() if float(name) <= LARGEST_PUBLISHED}


def without_the_penalty(dictionaries: Dictionaries) -> Decoders:
    return {WITHOUT: dictionaries.decoders(WITHOUT)}


def random_rows(dictionaries: Dictionaries) -> Decoders:
    return {WITHOUT: [controls.random_rows(own) for own in dictionaries.decoders(WITHOUT)]}


def as_planted(dictionaries: Dictionaries) -> Decoders:
    return {WITHOUT: [controls.planted_rows(own) for own in dictionaries.decoders(WITHOUT)]}


BAR = Bar.at_most(0.5, "mean error of the rank")
CONTROLS = (
    negative("coefficient 0", without_the_penalty),
    negative("random rows", random_rows),
    positive("planted rows", as_planted),
)
PUBLISHED = Measurement(CLAIM, BAR, CONTROLS, published=True)
HARDENED = Measurement(CLAIM, BAR, CONTROLS)


def learned(decoder: Decoder, rank: Rank, least_share: float) -> dict[int, list[float]]:
    """The ranks of the groups that are matched to concepts, by the concepts' dimension."""
    _, singular, spans = torch.linalg.svd(decoder.blocks.double(), full_matrices=False)
    bases = [basis.double() for basis in decoder.features.bases]
    ranks: dict[int, list[float]] = {dim: [] for dim in DIMS}
    matched = match(spans, bases, whole=True).tolist()
    for group, basis in zip(matched, bases, strict=True):
        share = float((spans[group] @ basis.mT).square().sum()) / len(basis)
        if share >= least_share:
            ranks[len(basis)].append(float(rank(singular[group].square())))
    return ranks


def error(ranks: Mapping[int, list[float]]) -> float:
    """Mean difference from the planted dimension; the largest dimension if nothing matched."""
    off = [abs(rank - dim) for dim, own in ranks.items() for rank in own]
    return mean(off) if off else float(max(DIMS))


def best(decoders: Decoders, rank: Rank, least_share: float) -> tuple[str, dict[str, Ranks]]:
    """Choose the coefficient on the first seed; and all ranks, by coefficient."""
    every = {
        name: {own.seed: learned(own, rank, least_share) for own in by_seed}
        for name, by_seed in decoders.items()
    }
    first = next(iter(next(iter(every.values()))))
    return min(every, key=lambda name: error(every[name][first])), every


def errors(decoders: Decoders, rank: Rank, least_share: float) -> dict[str, Estimate]:
    coefficient, every = best(decoders, rank, least_share)
    first, *others = every[coefficient]
    held = {own.seed: learned(own, rank, HALF) for own in decoders[coefficient]}
    # If no group is matched to a concept of some dimension, its rank counts as 0.
    ranks = {
        seed: {dim: own or [0.0] for dim, own in every[coefficient][seed].items()}
        for seed in others
    }

    def measure(seed: int) -> dict[str, float]:
        return {f"dimension {dim}": error({dim: own}) for dim, own in ranks[seed].items()}

    def details(dim: int) -> dict[str, float]:
        concepts = [d.features.dims.count(dim) for d in decoders[coefficient] if d.seed in others]
        return {
            "coefficient": float(coefficient),
            "mean rank": mean(rank for seed in others for rank in ranks[seed][dim]),
            "concepts with a group": sum(len(held[seed][dim]) for seed in others) / sum(concepts),
            "error where it was chosen": error(every[coefficient][first]),
        }

    return average_by_part(
        others, measure, details={f"dimension {dim}": details(dim) for dim in DIMS}
    )


@pytest.mark.measurement(PUBLISHED)
def test_published(dictionaries: Dictionaries, judge: Judge) -> None:
    judge(lambda world=as_published: errors(world(dictionaries), components, HALF))


@pytest.mark.measurement(HARDENED)
def test_hardened(dictionaries: Dictionaries, judge: Judge) -> None:
    def recovered() -> Figure:
        chosen, every = best(as_trained(dictionaries), effective_rank, 0.0)
        pooled = {}
        for name, by_seed in every.items():
            others = list(by_seed.values())[1:]
            pooled[name] = {dim: [rank for own in others for rank in own[dim]] for dim in DIMS}
        return figures.ranks(pooled, chosen)

    judge(
        lambda world=as_trained: errors(world(dictionaries), effective_rank, 0.0),
        figures=[lambda _: [recovered()]],
    )
