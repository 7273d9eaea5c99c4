"""SASA-02: the l1 objective prefers splitting.

"Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333): a path leads from the true basis of a
subspace to a tiling of it by many atoms, and the risk of an l1 autoencoder falls along the path.
The tiling is evenly spread atoms; copies of the basis vectors move straight to them in ten steps.
The risk is that of the best non-negative codes, on the same points at every step.  The step with
the largest change in risk is judged.
"""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch

from polyrot.claim import *
from polyrot.experiments.planted.figures import ByNumber
from polyrot.experiments.planted.suite import Points, Vectors
from polyrot.sae.l1_risk import even_tiling, l1_risk, nearest_axes, path_to_tiling
from polyrot.suites.draws import draw_seed

CLAIM = Claim(
    "SASA-02",
    "The l1 objective prefers splitting",
    "arXiv 2606.06333, descent path",
    true_in=("points-sphere",),
    false_in=("points-axes",),
)
PAIRS = {2: 8, 3: 16, 4: 40}
"""Atoms of a tiling, each with its negative, by dimension."""
REPETITIONS, STEPS = 5, 10
POINTS, L1 = 256, 0.1
DIGITS = 6
"""To which a change is known: the optimiser of the codes is not exact."""
RISK = "risk after {}"

World = Callable[[Points, int, int], tuple[Vectors, Vectors]]
"""Points and a tiling, by dimension and repetition."""


def the_sphere(points: Points, dim: int, repetition: int) -> tuple[Vectors, Vectors]:
    return points.points(dim, repetition)[:POINTS], even_tiling(dim, PAIRS[dim], repetition)


def one_dimension(points: Points, dim: int, repetition: int) -> tuple[Vectors, Vectors]:
    return points.points(1, repetition)[:POINTS], even_tiling(1, PAIRS[dim], repetition)


def along_the_axes(points: Points, dim: int, repetition: int) -> tuple[Vectors, Vectors]:
    """Features that are single directions, those of the basis; the same tiling."""
    vectors, tiling = the_sphere(points, dim, repetition)
    return nearest_axes(vectors), tiling


def along_the_tiling(points: Points, dim: int, repetition: int) -> tuple[Vectors, Vectors]:
    """Features that are the atoms of the tiling."""
    vectors, tiling = the_sphere(points, dim, repetition)
    generator = torch.Generator().manual_seed(draw_seed(repetition, 91))
    return tiling[torch.randint(len(tiling), (len(vectors),), generator=generator)], tiling


HARDENED = Measurement(
    CLAIM,
    Bar.below(0, "largest change of risk in a step, share of the first"),
    (
        negative("one dimension", one_dimension),
        negative("features along the axes", along_the_axes),
        positive("features along the tiling", along_the_tiling),
    ),
)
FIGURES = [
    ByNumber(
        f"{dim} dimensions",
        title=f"Risk along the path, {dim} dimensions",
        caption="Risk of the best codes under an l1 penalty, relative to that at the basis, while "
        "copies of the basis move to a tiling; mean over draws.",
        x="step",
        y="risk, share of the first",
        numbers=range(STEPS + 1),
        curves=(
            Curve("a sphere", Role.MODELS, detail=RISK),
            *(Curve(c.name, Role.NEGATIVE, c.name, RISK) for c in HARDENED.controls[:2]),
        ),
    )
    for dim in PAIRS
]


def risks(vectors: Vectors, tiling: Vectors) -> list[float]:
    """The risk of every dictionary on the path, relative to the first."""
    found = [l1_risk(vectors, atoms, L1) for atoms in path_to_tiling(tiling, STEPS)]
    return [risk / found[0] for risk in found]


def largest_change(path: list[float]) -> float:
    return round(max(after - before for before, after in pairwise(path)), DIGITS)


@pytest.mark.measurement(HARDENED)
def test_hardened(points: Points, judge: Judge) -> None:
    def measure(world: World = the_sphere) -> dict[str, Estimate]:
        estimates = {}
        for dim in PAIRS:
            paths = [risks(*world(points, dim, repetition)) for repetition in range(REPETITIONS)]
            means = torch.tensor(paths).mean(0).tolist()
            estimates[f"{dim} dimensions"] = average(
                range(REPETITIONS),
                lambda repetition, paths=paths: largest_change(paths[repetition]),
                details={RISK.format(step): mean for step, mean in enumerate(means)},
            )
        return estimates

    judge(measure, figures=FIGURES)
