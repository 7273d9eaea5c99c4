"""SASA-01: single directions need exponentially many atoms.

"Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333), Definition 2 and the theorem after it: the
covering number of a subspace is the least number of atoms such that every unit vector of the
subspace lies within a given error of the span of at most k atoms.  From two dimensions on it grows
exponentially with the dimension.

As published: a greedy cover of 96 points by at most 32 atoms; its logarithm must rise with the
dimension.  It also rises where one atom for each dimension is enough.  Hardened: many more points
than atoms, and dimensions above k; the logarithm must rise at least as fast as that of a proven
lower bound, which is exponential: the share of the sphere near the span of k atoms falls
exponentially.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from polyrot.claim import *
from polyrot.experiments.planted import figures
from polyrot.experiments.planted.suite import Points, Vectors
from polyrot.sae.covering import covering_number, least_covering_number

CLAIM = Claim(
    "SASA-01",
    "Single directions need exponentially many atoms",
    "arXiv 2606.06333, covering numbers",
    true_in=("points-sphere",),
    false_in=("points-axes", "points-circle"),
)


@dataclass(frozen=True)
class Setting:
    """The error and the k of a covering number, and the dimensions to compare."""

    error: float
    k: int
    dims: tuple[int, ...]
    points: int | None = None
    cap: int | None = None

    @property
    def part(self) -> str:
        return f"error {self.error:g}, {self.k} at a time"


AS_PUBLISHED = tuple(
    Setting(error, k, (1, 2, 3, 4, 6, 8, 12, 16), points=96, cap=32)
    for error in (0.5, 0.3)
    for k in (1, 2, 4, 8)
)
MANY_POINTS = (
    Setting(0.5, 1, (2, 3, 4, 5, 6)),
    Setting(0.3, 1, (2, 3, 4, 5)),
    Setting(0.3, 2, (3, 4, 5, 6, 7, 8)),
)


def greedy(points: Vectors, setting: Setting, seed: int) -> int:
    return covering_number(points, setting.error, setting.k, seed, cap=setting.cap)


def proven(points: Vectors, setting: Setting, seed: int) -> int:
    """A lower bound, which grows exponentially."""
    return least_covering_number(points.shape[1], setting.error, setting.k)


CONTROLS = (
    # A single group, of the rank of the subspace.
    negative("subspace decoders", lambda points, setting, seed: 1),
    # An orthonormal basis, all of whose atoms may be active.
    negative("one for each dimension", lambda points, setting, seed: points.shape[1]),
    positive("as many as proven", proven),
)
PUBLISHED = Measurement(
    CLAIM,
    Bar.above(0, "log-linear slope"),
    CONTROLS[:2],
    published=True,
    figures=(figures.covering(AS_PUBLISHED[0].part, AS_PUBLISHED[0].dims, CONTROLS[:2]),),
)
HARDENED = Measurement(
    CLAIM,
    Bar.at_least(0, "slope less that of the bound"),
    CONTROLS,
    figures=tuple(figures.covering(one.part, one.dims, CONTROLS[:2]) for one in MANY_POINTS),
)


def slope(setting: Setting, atoms: Sequence[int]) -> float:
    """The slope of the logarithm of the number of atoms over the dimension."""
    return float(np.polyfit(setting.dims, np.log(atoms), 1)[0])


def above_bound(setting: Setting, atoms: Sequence[int]) -> float:
    """That slope less the bound's."""
    bounds = [least_covering_number(dim, setting.error, setting.k) for dim in setting.dims]
    return slope(setting, atoms) - slope(setting, bounds)


def growth(
    points: Points,
    setting: Setting,
    cover: Callable[[Vectors, Setting, int], int],
    judged: Callable[[Setting, Sequence[int]], float],
) -> Estimate:
    def measure(repetition: int) -> Measured:
        clouds = [points.points(dim, repetition)[: setting.points] for dim in setting.dims]
        atoms = [cover(cloud, setting, repetition) for cloud in clouds]
        told = {f"atoms at {dim}": n for dim, n in zip(setting.dims, atoms, strict=True)}
        return Measured(judged(setting, atoms), means={"slope": slope(setting, atoms), **told})

    return average(range(5), measure)


@pytest.mark.measurement(PUBLISHED)
def test_published(points: Points, judge: Judge) -> None:
    judge(lambda cover=greedy: {s.part: growth(points, s, cover, slope) for s in AS_PUBLISHED})


@pytest.mark.measurement(HARDENED)
def test_hardened(points: Points, judge: Judge) -> None:
    judge(lambda cover=greedy: {s.part: growth(points, s, cover, above_bound) for s in MANY_POINTS})
