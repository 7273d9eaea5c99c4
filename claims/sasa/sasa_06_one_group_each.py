"""SASA-06: a circle, a sphere and a helix each take one group.

"Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333), Figure 1: in 64 dimensions, with 256
columns, each shape is held by one group, whose rank is that of the shape, where scalar
autoencoders spend ten atoms or more.  Units, groups or columns, are counted from the largest until
they carry 90% of the energy that the dictionary writes into a shape's subspace while it is on.  The
rank is how many directions carry 90% of what the first of them writes; a group that is the first
of two shapes is neither's.  Groups of rank 16, one on at a time, without a nuclear penalty and with
one; and groups of rank 4, of which there are more than are needed.

As published: the atoms of scalar autoencoders, of which as many columns are on as of the groups;
what ReLU and JumpReLU have on is what explains as much.  Each arm is a part.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import mean

import pytest
import torch

from polyrot.capabilities import figures
from polyrot.experiments.planted.controls import planted_dictionary, tiled_dictionary
from polyrot.experiments.planted.plan import (
    PENALISED,
    SCALARS,
    SHAPES,
    SMALL_GROUPS,
    SUBSPACE,
    TOPK,
)
from polyrot.experiments.planted.suite import Dictionary
from polyrot.sae.groups import written
from polyrot.sae.metrics import ev, l0, reconstruct
from polyrot.sae.subspaces import carriers, components, energies_inside
from polyrot.stats.estimate import Estimate, over_seeds
from polyrot.suites.draws import draw_seed
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, negative, positive
from polyrot.verdict.figure import Figure, Role
from polyrot.verdict.run import MODELS, Judge

CLAIM = Claim(
    "SASA-06",
    "Circle, sphere and helix each take one group",
    "arXiv 2606.06333, Figure 1",
    true_in=("dictionary-groups",),
    false_in=("dictionary-split", "dictionary-merged"),
)
GROUPED = (SUBSPACE, PENALISED, SMALL_GROUPS)
SCALAR = (TOPK, "BatchTopK", "Matryoshka", "JumpReLU", "ReLU")
NAMES = ("circle", "sphere", "helix")

World = Callable[[Suite, str], list[Dictionary]]
"""Dictionaries in the place of an arm's."""


def as_trained(suite: Suite, arm: str) -> list[Dictionary]:
    return suite.dictionaries(SHAPES if arm in GROUPED else SCALARS, arm)


def scalar(arm: str) -> World:
    return lambda suite, _: suite.dictionaries(SCALARS, arm)


def grouped(suite: Suite, arm: str) -> list[Dictionary]:
    return suite.dictionaries(SHAPES, SUBSPACE)


def as_planted(suite: Suite, arm: str) -> list[Dictionary]:
    own = suite.dictionaries(SHAPES, arm if arm in GROUPED else SUBSPACE)
    return [replace(d, sae=planted_dictionary(d.features, d.sae)) for d in own]


def as_tiled(suite: Suite, arm: str) -> list[Dictionary]:
    """Each shape is tiled by random directions of its subspace, one on at a time."""
    own = suite.dictionaries(SCALARS, TOPK)
    tiled = (tiled_dictionary(d.features, d.sae, draw_seed(d.seed, 94)) for d in own)
    return [replace(d, sae=sae) for d, sae in zip(own, tiled, strict=True)]


HARDENED = Measurement(
    CLAIM,
    Bar.at_most(0, "groups beyond one, or dimensions amiss"),
    (
        *(negative(f"columns of {arm}", scalar(arm)) for arm in SCALAR),
        positive("planted groups", as_planted),
    ),
)
PUBLISHED = Measurement(
    CLAIM,
    Bar.at_least(10, "atoms that carry 90% of a shape"),
    (
        negative("subspace-aware groups", grouped),
        negative("planted groups", as_planted),
        positive("planted tilings", as_tiled),
    ),
    published=True,
)


@dataclass(frozen=True)
class Measured:
    """Of each shape: its units, the first of them, and how many directions that writes along."""

    counts: list[int]
    firsts: list[int]
    ranks: list[int]
    beside: dict[str, float]


def measured(own: Dictionary) -> Measured:
    tokens = own.held_out()
    energies = energies_inside(own.sae, tokens, own.features.bases)
    firsts = energies.argmax(1).tolist()
    ranks = []
    for feature, first in enumerate(firsts):
        wrote = written(own.sae, tokens.x[tokens.on[:, feature]])[first]
        ranks.append(components(torch.linalg.svdvals(wrote).square()))
    beside = {
        "EV": ev(reconstruct(own.sae, tokens.x), tokens.x),
        "columns on": l0(own.sae, tokens.x),
    }
    return Measured(carriers(energies), firsts, ranks, beside)


def amiss(own: Measured, dims: Sequence[int]) -> float:
    """What is worst of three shapes: groups beyond one, groups shared, or how far a rank is off."""
    off = [abs(rank - dim) for rank, dim in zip(own.ranks, dims, strict=True)]
    shared = len(own.firsts) - len(set(own.firsts))
    return float(max(max(own.counts) - 1, shared, *off))


def over_dictionaries(
    chosen: list[Dictionary], value: Callable[[Measured, Sequence[int]], float]
) -> Estimate:
    values: dict[int, float] = {}
    every: dict[str, list[float]] = {}
    for own in chosen:
        found = measured(own)
        values[own.seed] = value(found, own.features.dims)
        beside = dict(found.beside)
        for name, count, rank in zip(NAMES, found.counts, found.ranks, strict=True):
            beside |= {f"units of the {name}": count, f"rank of the {name}": rank}
        for name, number in beside.items():
            every.setdefault(name, []).append(number)
    return over_seeds(values, details={name: mean(own) for name, own in every.items()})


def units_by_arm(estimates: figures.Worlds) -> list[Figure]:
    """Every arm that was measured, whichever of the two measurements it is in."""
    columns = [c.name for c in HARDENED.controls[: len(SCALAR)] if c.name in estimates]
    curves = [
        *((f"the {name}", Role.MODELS, MODELS, f"units of the {name}") for name in NAMES),
        *((name, Role.NEGATIVE, name, "units of the circle") for name in columns),
    ]
    return [
        figures.by_part(
            estimates,
            curves,
            name="units",
            title="Atoms per feature",
            caption="Units (groups, or columns) that carry 90% of what is written into a shape's "
            "subspace, mean over seeds; of controls, those of the circle.",
            y="units",
            log_y=True,
        )
    ]


@pytest.mark.measurement(PUBLISHED)
def test_published(suite: Suite, judge: Judge) -> None:
    judge(
        lambda world=as_trained: {
            arm: over_dictionaries(world(suite, arm), lambda found, _: mean(found.counts))
            for arm in SCALAR
        },
        figures=units_by_arm,
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    judge(
        lambda world=as_trained: {
            arm: over_dictionaries(world(suite, arm), amiss) for arm in GROUPED
        },
        figures=units_by_arm,
    )
