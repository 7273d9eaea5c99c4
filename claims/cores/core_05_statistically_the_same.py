"""CORE-05: cores of independently trained models are statistically the same.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): on the same tokens the
coordinates of two cores have canonical correlations of 0.93-0.99.  Measured here for every pair of
seeds, on sequences that the cores were not extracted from; each of the three correlations is
judged separately.  A control shows the correlations of three random directions of the same
activations.
"""

from collections.abc import Callable

import pytest

from polyrot.claim import *
from polyrot.cores.comparison import canonical_correlations
from polyrot.experiments.chains.controls import (
    Coordinates,
    coordinates,
    core,
    random_subspace,
    rotated,
    shuffled,
)
from polyrot.experiments.chains.models import ChainModels, Chains

CLAIM = Claim(
    "CORE-05",
    "Cores are statistically the same",
    "arXiv 2602.22600, Markov chain",
    {"markov": "0.93 to 0.99"},
    true_in=("chain-state",),
    false_in=("chain-own-third", "chain-other-sequences"),
)
World = Callable[[ChainModels], tuple[Coordinates, Coordinates]]
"""Coordinates of the sources and of the targets of pairs, on held-out tokens."""


def cores(models: ChainModels) -> tuple[Coordinates, Coordinates]:
    seeds = coordinates(models, core)
    return seeds, seeds


def random_projections(models: ChainModels) -> tuple[Coordinates, Coordinates]:
    seeds = coordinates(models, random_subspace)
    return seeds, seeds


def shuffled_tokens(models: ChainModels) -> tuple[Coordinates, Coordinates]:
    seeds = coordinates(models, core)
    return seeds, shuffled(seeds)


def one_core_rotated(models: ChainModels) -> tuple[Coordinates, Coordinates]:
    """Sources and targets are the first seed's core; each target is turned by a rotation."""
    seeds = coordinates(models, core)
    first = seeds[:1] * len(seeds)
    return first, rotated(first)


BAR = Bar.at_least(0.93, "canonical correlation of core coordinates")
CONTROLS = (
    negative("shuffled tokens", shuffled_tokens),
    negative("random projections", random_projections),
    positive("the core of one seed, rotated", one_core_rotated),
)
HARDENED = Measurement(
    CLAIM,
    BAR,
    CONTROLS,
    printed={"markov": (Printed((0.93, 0.99), "three seeds, three directions", ends=True),)},
)
CORRELATIONS = ByPart(
    "correlations",
    title="What two seeds have in common",
    caption="Canonical correlations of coordinates on held-out tokens, mean over pairs.",
    y="canonical correlation",
    curves=(Curve("cores", Role.MODELS), *control_curves(CONTROLS[:2])),
    bar=BAR,
)


def correlations(chains: Chains, world: World) -> dict[str, Estimate]:
    sources, targets = world(chains.chain)

    def measure(seeds: tuple[int, int]) -> dict[str, float]:
        source, target = map(chains.index, seeds)
        found = canonical_correlations(sources[source], targets[target])
        return dict(zip(("first", "second", "third"), map(float, found), strict=True))

    return average_by_part(chains.seed_pairs(), measure)


@pytest.mark.measurement(HARDENED)
def test_hardened(chains: Chains, judge: Judge) -> None:
    judge(lambda world=cores: correlations(chains, world), figures=[CORRELATIONS])
