"""SASA-02: the l1 objective prefers splitting.

"Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333): a path leads from the true basis of a
subspace to atoms that tile it, along which the risk of an l1 autoencoder falls.  The tiling is
atoms that are spread evenly; copies of the basis move straight to them, in ten steps.  The risk is
that of the best codes that are not negative, on points that are the same along the path.  What is
judged is the step that does worst.
"""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.capabilities import figures
from polyrot.experiments.planted import figures as dictionary_figures
from polyrot.sae.l1_risk import even_tiling, l1_risk, nearest_axes, path_to_tiling
from polyrot.stats.estimate import Estimate, over_seeds
from polyrot.suites.draws import draw_seed
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, negative, positive
from polyrot.verdict.figure import Figure, Role
from polyrot.verdict.run import MODELS, Judge

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
"""To which a change is known: the optimiser is not exact."""

Points = Float[Tensor, "point dim"]
World = Callable[[Suite, int, int], tuple[Points, Points]]
"""Points and a tiling of them, by dimension and repetition."""


def the_sphere(suite: Suite, dim: int, repetition: int) -> tuple[Points, Points]:
    return suite.points(dim, repetition)[:POINTS], even_tiling(dim, PAIRS[dim], repetition)


def one_dimension(suite: Suite, dim: int, repetition: int) -> tuple[Points, Points]:
    return suite.points(1, repetition)[:POINTS], even_tiling(1, PAIRS[dim], repetition)


def along_the_axes(suite: Suite, dim: int, repetition: int) -> tuple[Points, Points]:
    """The same tiling, of features that are single directions: the basis is what they are."""
    points, tiling = the_sphere(suite, dim, repetition)
    return nearest_axes(points), tiling


def along_the_tiling(suite: Suite, dim: int, repetition: int) -> tuple[Points, Points]:
    """Features that are the atoms of the tiling."""
    points, tiling = the_sphere(suite, dim, repetition)
    generator = torch.Generator().manual_seed(draw_seed(repetition, 91))
    return tiling[torch.randint(len(tiling), (len(points),), generator=generator)], tiling


HARDENED = Measurement(
    CLAIM,
    Bar.below(0, "largest change of risk in a step, share of the first"),
    (
        negative("one dimension", one_dimension),
        negative("features along the axes", along_the_axes),
        positive("features along the tiling", along_the_tiling),
    ),
)


def risks(points: Points, tiling: Points) -> list[float]:
    """The risk at every dictionary of the path, as a share of the first."""
    found = [l1_risk(points, atoms, L1) for atoms in path_to_tiling(tiling, STEPS)]
    return [risk / found[0] for risk in found]


def along_the_path(estimates: figures.Worlds) -> list[Figure]:
    curves = (
        ("a sphere", Role.MODELS, MODELS),
        *((c.name, Role.NEGATIVE, c.name) for c in HARDENED.controls[:2]),
    )
    return [
        dictionary_figures.along_a_path(estimates, f"{dim} dimensions", curves, STEPS)
        for dim in PAIRS
    ]


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    def measure(world: World = the_sphere) -> dict[str, Estimate]:
        found = {}
        for dim in PAIRS:
            paths = [risks(*world(suite, dim, repetition)) for repetition in range(REPETITIONS)]
            changes = [[after - before for before, after in pairwise(path)] for path in paths]
            worst = {i: round(max(own), DIGITS) for i, own in enumerate(changes)}
            means = torch.tensor(paths).mean(0).tolist()
            details = {f"risk after {step}": value for step, value in enumerate(means)}
            found[f"{dim} dimensions"] = over_seeds(worst, details=details)
        return found

    judge(measure, figures=along_the_path)
