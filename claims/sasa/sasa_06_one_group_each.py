"""SASA-06: a circle, a sphere and a helix each take one group.

"Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333), Figure 1: in 64 dimensions, with 256
latents, each shape is held by one group, whose rank is that of the shape, whereas scalar SAEs
spend ten atoms or more on it.  Units (groups, or single latents) are counted from the largest until
they carry 90% of the energy that the SAE writes into the subspace of a shape while it is active.
The rank is the number of directions that carry 90% of what the largest unit writes.  The number
judged is the worst of: groups beyond one for a shape, groups that are the largest of more than one
shape, and the error of a rank.  Three group SAEs: groups of rank 16, one active at a time, without
and with a nuclear penalty; and groups of rank 4, more of them than are needed.

As published: the mean number of atoms over the three shapes, of scalar SAEs at the L0 of the
groups; ReLU and JumpReLU at the L0 that explains as much variance.  Each architecture is a part.
"""

from collections.abc import Callable, Sequence
from statistics import mean

import pytest
import torch

from polyrot.claim import *
from polyrot.experiments.planted import controls, plan
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
GROUPED = (plan.SUBSPACE, plan.PENALISED, plan.SMALL_GROUPS)
SCALAR = (plan.TOPK, "BatchTopK", "Matryoshka", "JumpReLU", "ReLU")
NAMES = ("circle", "sphere", "helix")

World = Callable[[Dictionaries, str], list[Dictionary]]
"""The SAEs that stand for an architecture, one for each seed."""


def as_trained(dictionaries: Dictionaries, arm: str) -> list[Dictionary]:
    return dictionaries.dictionaries(plan.SHAPES if arm in GROUPED else plan.SCALARS, arm)


def planted(dictionaries: Dictionaries, arm: str) -> list[Dictionary]:
    return [controls.planted(sae) for sae in as_trained(dictionaries, arm)]


def tiled(dictionaries: Dictionaries, arm: str) -> list[Dictionary]:
    return [controls.tiled(sae) for sae in as_trained(dictionaries, arm)]


def always(arm: str, world: World = as_trained) -> World:
    """One architecture, whichever is asked for."""
    return lambda dictionaries, _: world(dictionaries, arm)


COLUMNS = tuple(negative(f"columns of {arm}", always(arm)) for arm in SCALAR)
UNITS = ByPart(
    "units",
    title="Atoms per feature",
    caption="Units (groups, or single latents) that carry 90% of what is written into the subspace "
    "of a shape, mean over seeds; for the controls, of the circle.",
    y="units",
    curves=(
        *(Curve(f"the {name}", Role.MODELS, detail=f"units of the {name}") for name in NAMES),
        *control_curves(COLUMNS, detail="units of the circle"),
    ),
    log_y=True,
)
HARDENED = Measurement(
    CLAIM,
    Bar.at_most(0, "groups beyond one, or dimensions amiss"),
    (*COLUMNS, positive("planted groups", planted)),
    figures=(UNITS,),
)
PUBLISHED = Measurement(
    CLAIM,
    Bar.at_least(10, "atoms that carry 90% of a shape"),
    (
        negative("subspace-aware groups", always(plan.SUBSPACE)),
        negative("planted groups", always(plan.SUBSPACE, planted)),
        positive("planted tilings", always(plan.TOPK, tiled)),
    ),
    published=True,
    figures=(UNITS,),
)


def amiss(units: list[int], largest: list[int], ranks: list[int], dims: Sequence[int]) -> float:
    """The worst of: groups beyond one for a shape, groups shared, error of a rank."""
    off = [abs(rank - dim) for rank, dim in zip(ranks, dims, strict=True)]
    return float(max(max(units) - 1, len(largest) - len(set(largest)), *off))


def atoms(units: list[int], *_: Sequence[int]) -> float:
    return mean(units)


def held(saes: list[Dictionary], judged: Callable[..., float]) -> Estimate:
    """How SAEs hold the shapes: `amiss` or `atoms`, averaged over seeds."""

    def measure(dictionary: Dictionary) -> Measured:
        sae, features, tokens = dictionary.sae, dictionary.features, dictionary.held_out()
        energies = energies_inside(sae, tokens, features.bases)
        units, largest = carriers(energies), energies.argmax(1).tolist()
        ranks = []
        for shape, unit in enumerate(largest):
            wrote = written(sae, tokens.x[tokens.on[:, shape]])[unit]
            ranks.append(components(torch.linalg.svdvals(wrote).square()))
        told = {"EV": ev(reconstruct(sae, tokens.x), tokens.x), "columns on": l0(sae, tokens.x)}
        for name, count, rank in zip(NAMES, units, ranks, strict=True):
            told |= {f"units of the {name}": count, f"rank of the {name}": rank}
        return Measured(judged(units, largest, ranks, features.dims), means=told)

    return average(saes, measure)


@pytest.mark.measurement(PUBLISHED)
def test_published(dictionaries: Dictionaries, judge: Judge) -> None:
    judge(lambda world=as_trained: {arm: held(world(dictionaries, arm), atoms) for arm in SCALAR})


@pytest.mark.measurement(HARDENED)
def test_hardened(dictionaries: Dictionaries, judge: Judge) -> None:
    judge(lambda world=as_trained: {arm: held(world(dictionaries, arm), amiss) for arm in GROUPED})
