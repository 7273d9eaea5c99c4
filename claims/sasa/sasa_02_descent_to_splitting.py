"""SASA-02: the l1 objective prefers splitting.

"Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333): a path leads from the true basis of a
subspace to a tiling of it by many atoms, and the risk of an l1 autoencoder falls along the path.
The tiling is evenly spread atoms; copies of the basis vectors move straight to them in ten steps.
The risk is that of the best non-negative codes, on the same points at every step.  The step is
judged in which the risk falls least, or rises most.
"""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch

from polyrot.claim import *
from polyrot.experiments.planted import controls
from polyrot.experiments.planted.figures import ByNumber
from polyrot.experiments.planted.suite import Points, Vectors
from polyrot.sae.l1_risk import even_tiling, l1_risk, nearest_axes, path_to_tiling

CLAIM = Claim(
    "SASA-02",
    "The l1 objective prefers splitting",
    "arXiv 2606.06333, descent path",
    true_in=("points-sphere",),
    false_in=("points-axes",),
)
PAIRS = {2: 8, 3: 16, 4: 40}
"""Atoms of a tiling, each with its negative, by dimension."""
REPETITIONS, STEPS = 12, 10
DIGITS = 6
"""To which a change is known: the optimiser of the codes is not exact."""
RISK = "risk after {}"
Tiled = tuple[Vectors, Vectors]
"""Points and a tiling."""


def sphere(points: Points, dim: int, pairs: int, repetition: int) -> Tiled:
    return points.points(dim, repetition)[:256], even_tiling(dim, pairs, repetition)


def along_the_axes(points: Points, *which: int) -> Tiled:
    """Features that are single directions, those of the basis; the same tiling."""
    vectors, tiling = sphere(points, *which)
    return nearest_axes(vectors), tiling


def along_the_tiling(points: Points, dim: int, pairs: int, repetition: int) -> Tiled:
    """Features that are the atoms of the tiling."""
    vectors, tiling = sphere(points, dim, pairs, repetition)
    return controls.drawn_from(tiling, len(vectors), repetition), tiling


CONTROLS = (
    negative("one dimension", lambda points, dim, *rest: sphere(points, 1, *rest)),
    negative("features along the axes", along_the_axes),
    positive("features along the tiling", along_the_tiling),
)
HARDENED = Measurement(
    CLAIM,
    Bar.below(0, "largest change of risk in a step, share of the first"),
    CONTROLS,
    figures=tuple(
        ByNumber(
            f"{dim} dimensions",
            title=f"Risk along the path, {dim} dimensions",
            caption="Risk of the best codes under an l1 penalty, relative to that at the basis, "
            "while copies of the basis move to a tiling; mean over draws.",
            x="step",
            y="risk, share of the first",
            numbers=range(STEPS + 1),
            curves=(
                Curve("a sphere", Role.MODELS, detail=RISK),
                *control_curves(CONTROLS[:2], detail=RISK),
            ),
        )
        for dim in PAIRS
    ),
)


def risks(vectors: Vectors, tiling: Vectors) -> list[float]:
    """The risk of every dictionary on the path, relative to the first."""
    found = [l1_risk(vectors, atoms, l1=0.1) for atoms in path_to_tiling(tiling, STEPS)]
    return [risk / found[0] for risk in found]


def largest_change(points: Points, dim: int, world: Callable[..., Tiled]) -> Estimate:
    paths = [risks(*world(points, dim, PAIRS[dim], seed)) for seed in range(REPETITIONS)]
    means = torch.tensor(paths).mean(0).tolist()
    return average(
        range(REPETITIONS),
        lambda seed: round(max(after - before for before, after in pairwise(paths[seed])), DIGITS),
        details={RISK.format(step): mean for step, mean in enumerate(means)},
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(points: Points, judge: Judge) -> None:
    judge(
        lambda world=sphere: {
            f"{dim} dimensions": largest_change(points, dim, world) for dim in PAIRS
        }
    )
