"""The dictionaries that are trained on planted subspaces, their data and their recipes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch

from polyrot.sae.activations import GroupTopK, ReLU, TopK
from polyrot.sae.recipe import BatchTopK, LearnedThresholds, Rule, SAEConfig
from polyrot.tasks.subspaces import Features, gaussian, random_bases, shapes

SUBSPACES = "subspaces"
FULL = "subspaces-full"
SUBSPACE, TOPK = "subspace-aware", "TopK"
SHAPES, SCALARS, PAPER = "shapes", "shapes-scalar", "shapes-paper"
DIMENSIONS, RANKS, STARTS = "dimensions", "ranks", "starts"
SMALL_GROUPS, PENALISED = "subspace-aware, rank 4", "subspace-aware, nuclear penalty"
PAPERS_METHOD = "nuclear penalty and auxiliary loss"
TOO_SMALL = "rank too small"
SAMPLES_FILE = "samples.json"
COEFFICIENTS = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Coefficients of the nuclear penalty in rank recovery: the paper's six, and larger ones."""
POWER = 80_652.6
"""Mean squared norm of GPT-2's activations before block 7, to which rank recovery is scaled."""


@dataclass(frozen=True)
class Experiment:
    """Planted features, one set per seed, and the dictionaries that are trained on them.

    Args:
        features: returns the features of a seed.
        arms: recipe of each kind of dictionary.
        seeds: of features, of tokens and of dictionaries.
        tokens: to train on.
        starts: dictionaries of each seed and arm, each from different initial weights.
        polished: is there one more, which starts at the planted solution?
        decoders: are only decoders kept?
    """

    features: Callable[[int], Features]
    arms: Mapping[str, SAEConfig]
    seeds: tuple[int, ...]
    tokens: int
    starts: int = 1
    polished: bool = False
    decoders: bool = False


def plan(name: str) -> dict[str, Experiment]:
    """Return the experiments of the shipped suite, or of the suite of the paper's sizes."""
    full = name == FULL
    experiments = {
        SHAPES: _shapes(),
        SCALARS: _scalars(),
        PAPER: _paper(),
        DIMENSIONS: _dimensions(full=full),
        RANKS: _ranks(full=full),
    }
    return experiments if full else {**experiments, STARTS: _starts()}


def _shapes() -> Experiment:
    """A circle, a sphere or a helix in every token: 256 latents in 64 dimensions, L0 16 or 4."""
    recipe = SAEConfig(columns=256, steps=6_000, batch=512, decay=0.2)
    group = GroupTopK(1, rank=16)
    arms = {
        SUBSPACE: replace(recipe, activation=group),
        SMALL_GROUPS: replace(recipe, activation=GroupTopK(1, rank=4)),
        PENALISED: replace(recipe, activation=group, nuclear=0.01),
    }
    return Experiment(lambda seed: shapes(64, 1, seed), arms, (0, 1, 2, 3), 20_000)


def _paper() -> Experiment:
    """The same shapes and groups, by the paper's own method, with more seeds.

    Up to half as many dead latents as there are dimensions reconstruct the residual.
    """
    shared = _shapes()
    recipe = replace(shared.arms[PENALISED], auxiliary=32)
    return replace(shared, arms={PAPERS_METHOD: recipe}, seeds=tuple(range(12)))


def _scalars() -> Experiment:
    """The same shapes and widths, at an L0 of 16.

    The L0 of ReLU and JumpReLU is such that they explain about as much as the others.
    """
    recipe = SAEConfig(columns=256, l1=1e-3, steps=6_000, batch=512, decay=0.2)
    rules: dict[str, Rule] = {
        TOPK: TopK(16),
        "BatchTopK": BatchTopK(16),
        "Matryoshka": BatchTopK(16, prefixes=(1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)),
        "JumpReLU": LearnedThresholds(l0=1e-4),
        "ReLU": ReLU(),
    }
    arms = {name: replace(recipe, activation=rule) for name, rule in rules.items()}
    return Experiment(lambda seed: shapes(64, 1, seed), arms, (0, 1, 2), 20_000)


def _dimensions(*, full: bool) -> Experiment:
    """One group per feature; features differ in dimension, and bases are not orthogonal."""
    dims: tuple[int, ...] = (1, 2, 3, 4, 6, 8)
    seeds: tuple[int, ...] = (0, 1, 2, 3)
    each, d_model, rank = 4, 128, 8
    active, steps, batch, tokens = 3, 6_000, 1_024, 50_000
    if full:
        dims, each, d_model, rank = (1, 2, 3, 4, 6, 8, 12, 16), 32, 768, 16
        active, steps, batch, tokens, seeds = 4, 8_000, 4_096, 200_000, (0, 1, 2)
    columns = rank * each * len(dims)
    recipe = SAEConfig(columns=columns, steps=steps, batch=batch, decay=0.2)

    def features(seed: int) -> Features:
        every = [dim for dim in dims for _ in range(each)]
        bases = random_bases(every, d_model, seed)
        return Features(bases, (gaussian,) * len(every), active, (1.0,) * len(every))

    arms = {
        SUBSPACE: replace(recipe, activation=GroupTopK(active, rank)),
        TOPK: replace(recipe, activation=TopK(active * rank)),
    }
    return Experiment(features, arms, seeds, tokens)


def _ranks(*, full: bool) -> Experiment:
    """Concepts of 1 to 8 dimensions, and one group of rank 10 for each."""
    each, d_model, active, batch, tokens = 2, 100, 2, 1_024, 50_000
    if full:
        each, d_model, active, batch, tokens = 32, 768, 8, 4_096, 200_000
    recipe = SAEConfig(
        columns=8 * each * 10,
        steps=20_000,
        batch=batch,
        learning_rate=1e-3,
        decay=0.2,
        activation=GroupTopK(active, rank=10),
    )

    def features(seed: int) -> Features:
        every = [dim for dim in range(1, 9) for _ in range(each)]
        bases = random_bases(every, d_model, seed)
        generator = torch.Generator().manual_seed(seed)
        scales = 0.5 + 1.5 * torch.rand(len(every), generator=generator)
        return Features(
            bases, (gaussian,) * len(every), active, tuple(scales.tolist()), power=POWER
        )

    arms = {f"{c:g}": replace(recipe, nuclear=c) for c in COEFFICIENTS}
    return Experiment(features, arms, (0, 1, 2, 3), tokens, decoders=True)


def _starts() -> Experiment:
    """Four orthogonal features of three dimensions, and twice the number of groups they need."""
    recipe = SAEConfig(expansion=1, steps=1_500, batch=256, learning_rate=2e-3, decay=0.2)
    arms = {
        SUBSPACE: replace(recipe, activation=GroupTopK(2, rank=3)),
        TOO_SMALL: replace(recipe, activation=GroupTopK(2, rank=2)),
    }

    def features(seed: int) -> Features:
        bases = random_bases((3,) * 4, 24, seed, orthogonal=True)
        return Features(bases, (gaussian,) * 4, 2, (1.0,) * 4)

    return Experiment(features, arms, (0, 1, 2, 3, 4), 8_192, starts=20, polished=True)
