"""SASA-06: a circle, a sphere and a helix each take one group.

"Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333), Figure 1: in 64 dimensions, with 256
latents, each shape is held by one group, whose rank is that of the shape, whereas scalar SAEs
spend ten atoms or more on it.  Units (groups, or single latents) are counted from the largest until
they carry 90% of the energy that the SAE writes into the subspace of a shape while it is active.
The rank is the number of directions that carry 90% of what the largest unit writes; a group that is
the largest of two shapes counts for neither.  Three group SAEs: groups of rank 16, one active at a
time, without and with a nuclear penalty; and groups of rank 4, more of them than are needed.

As published: the atoms of scalar SAEs, which have the same L0 as the groups; ReLU and JumpReLU have
the L0 that explains as much variance.  Each architecture is a part.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean

import pytest
import torch

from polyrot.claim import (
    Bar,
    ByPart,
    Claim,
    Curve,
    Judge,
    Measured,
    Measurement,
    Role,
    average,
    negative,
    positive,
)
from polyrot.experiments.planted import controls
from polyrot.experiments.planted.plan import (
    PENALISED,
    SCALARS,
    SHAPES,
    SMALL_GROUPS,
    SUBSPACE,
    TOPK,
)
from polyrot.experiments.planted.suite import Dictionaries, Dictionary
from polyrot.sae.groups import written
from polyrot.sae.metrics import ev, l0, reconstruct
from polyrot.sae.subspaces import carriers, components, energies_inside

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

World = Callable[[Dictionaries, str], list[Dictionary]]
"""The SAEs that stand for an architecture, one for each seed."""


def as_trained(dictionaries: Dictionaries, arm: str) -> list[Dictionary]:
    return dictionaries.dictionaries(SHAPES if arm in GROUPED else SCALARS, arm)


def scalar(arm: str) -> World:
    return lambda dictionaries, _: dictionaries.dictionaries(SCALARS, arm)


def grouped(dictionaries: Dictionaries, arm: str) -> list[Dictionary]:
    return dictionaries.dictionaries(SHAPES, SUBSPACE)


def as_planted(dictionaries: Dictionaries, arm: str) -> list[Dictionary]:
    groups = dictionaries.dictionaries(SHAPES, arm if arm in GROUPED else SUBSPACE)
    return [controls.planted(own) for own in groups]


def as_tiled(dictionaries: Dictionaries, arm: str) -> list[Dictionary]:
    return [controls.tiled(own) for own in dictionaries.dictionaries(SCALARS, TOPK)]


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
UNITS = ByPart(
    "units",
    title="Atoms per feature",
    caption="Units (groups, or single latents) that carry 90% of what is written into the subspace "
    "of a shape, mean over seeds; for the controls, of the circle.",
    y="units",
    curves=(
        *(Curve(f"the {name}", Role.MODELS, detail=f"units of the {name}") for name in NAMES),
        *(
            Curve(own.name, Role.NEGATIVE, own.name, "units of the circle")
            for own in HARDENED.controls[: len(SCALAR)]
        ),
    ),
    log_y=True,
)


@dataclass(frozen=True)
class Shapes:
    """How an SAE holds each of the three shapes."""

    units: list[int]
    """How many carry it."""
    largest: list[int]
    """Which of them carries most."""
    ranks: list[int]
    """How many directions that one writes along."""


def shapes_in(dictionary: Dictionary) -> Shapes:
    tokens = dictionary.held_out()
    energies = energies_inside(dictionary.sae, tokens, dictionary.features.bases)
    largest = energies.argmax(1).tolist()
    ranks = []
    for shape, unit in enumerate(largest):
        wrote = written(dictionary.sae, tokens.x[tokens.on[:, shape]])[unit]
        ranks.append(components(torch.linalg.svdvals(wrote).square()))
    return Shapes(carriers(energies), largest, ranks)


def told(dictionary: Dictionary, shapes: Shapes) -> dict[str, float]:
    sae, x = dictionary.sae, dictionary.held_out().x
    figures = {"EV": ev(reconstruct(sae, x), x), "columns on": l0(sae, x)}
    for name, units, rank in zip(NAMES, shapes.units, shapes.ranks, strict=True):
        figures |= {f"units of the {name}": units, f"rank of the {name}": rank}
    return figures


def amiss(shapes: Shapes, dims: Sequence[int]) -> float:
    """The worst of: groups beyond one for a shape, groups shared, error of a rank."""
    off = [abs(rank - dim) for rank, dim in zip(shapes.ranks, dims, strict=True)]
    shared = len(shapes.largest) - len(set(shapes.largest))
    return float(max(max(shapes.units) - 1, shared, *off))


def atoms(dictionary: Dictionary) -> Measured:
    shapes = shapes_in(dictionary)
    return Measured(mean(shapes.units), means=told(dictionary, shapes))


def deviation(dictionary: Dictionary) -> Measured:
    shapes = shapes_in(dictionary)
    return Measured(amiss(shapes, dictionary.features.dims), means=told(dictionary, shapes))


@pytest.mark.measurement(PUBLISHED)
def test_published(dictionaries: Dictionaries, judge: Judge) -> None:
    judge(
        lambda world=as_trained: {arm: average(world(dictionaries, arm), atoms) for arm in SCALAR},
        figures=[UNITS],
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(dictionaries: Dictionaries, judge: Judge) -> None:
    judge(
        lambda world=as_trained: {
            arm: average(world(dictionaries, arm), deviation) for arm in GROUPED
        },
        figures=[UNITS],
    )
