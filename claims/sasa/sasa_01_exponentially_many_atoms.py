"""SASA-01: single directions need exponentially many atoms.

"Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333), Definition 2 and the theorem after it: the
covering number of a subspace is the least number of atoms such that every unit vector of the
subspace lies within a given error of the span of at most k atoms.  From two dimensions on it grows
exponentially with the dimension.

As published: a greedy cover of 96 points by at most 32 atoms; its logarithm must rise with the
dimension.  It also rises where one atom for each dimension is enough.  Hardened: so many points
that the cover does not run out of them, and dimensions above k; the logarithm must rise at least as
fast as that of a proven lower bound, which is exponential because the share of the sphere that the
span of k atoms can cover falls exponentially.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from polyrot.claim import *
from polyrot.experiments.planted.figures import ByNumber
from polyrot.experiments.planted.suite import Points, Vectors
from polyrot.sae.covering import covering_number, least_covering_number

CLAIM = Claim(
    "SASA-01",
    "Single directions need exponentially many atoms",
    "arXiv 2606.06333, covering numbers",
    true_in=("points-sphere",),
    false_in=("points-axes", "points-circle"),
)
REPETITIONS = 5
ATOMS = "atoms at {}"


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


HARDENED_SETTINGS = (
    Setting(0.5, 1, (2, 3, 4, 5, 6)),
    Setting(0.3, 1, (2, 3, 4, 5)),
    Setting(0.3, 2, (3, 4, 5, 6, 7, 8)),
)
PUBLISHED_SETTINGS = tuple(
    Setting(error, k, (1, 2, 3, 4, 6, 8, 12, 16), points=96, cap=32)
    for error in (0.5, 0.3)
    for k in (1, 2, 4, 8)
)

Cover = Callable[[Vectors, Setting, int], int]
"""The number of atoms that cover points; the last argument seeds what is random about it."""


def single_directions(points: Vectors, setting: Setting, seed: int) -> int:
    return covering_number(points, setting.error, setting.k, seed, cap=setting.cap)


def subspace_decoders(points: Vectors, setting: Setting, seed: int) -> int:
    """One group whose rank is the dimension covers everything."""
    return 1


def one_for_each_dimension(points: Vectors, setting: Setting, seed: int) -> int:
    """An orthonormal basis, all of whose atoms may be active: the number grows linearly."""
    return points.shape[1]


def lower_bound(points: Vectors, setting: Setting, seed: int) -> int:
    """The proven lower bound, which grows exponentially."""
    return least_covering_number(points.shape[1], setting.error, setting.k)


CONTROLS = (
    negative("subspace decoders", subspace_decoders),
    negative("one for each dimension", one_for_each_dimension),
    positive("as many as proven", lower_bound),
)
PUBLISHED = Measurement(CLAIM, Bar.above(0, "log-linear slope"), CONTROLS[:2], published=True)
HARDENED = Measurement(CLAIM, Bar.at_least(0, "slope less that of the bound"), CONTROLS)


def covering_figure(setting: Setting) -> ByNumber:
    return ByNumber(
        setting.part,
        title=f"Covering numbers, {setting.part}",
        caption=f"Atoms that cover the sphere ({setting.part}) against its dimension, mean over "
        "draws. A straight line is exponential growth. No number below the proven bound is "
        "possible.",
        x="dimension",
        y="atoms",
        numbers=setting.dims,
        curves=(
            Curve("single directions", Role.MODELS, detail=ATOMS),
            *(Curve(c.name, Role.NEGATIVE, c.name, ATOMS) for c in CONTROLS[:2]),
            Curve("as many as proven", Role.BESIDE, "as many as proven", ATOMS),
        ),
        log_y=True,
    )


def log_linear_slope(dims: Sequence[int], atoms: Sequence[int]) -> float:
    return float(np.polyfit(dims, np.log(atoms), 1)[0])


def slope_of_the_bound(setting: Setting) -> float:
    bounds = [least_covering_number(dim, setting.error, setting.k) for dim in setting.dims]
    return log_linear_slope(setting.dims, bounds)


def growth(
    points: Points,
    settings: Sequence[Setting],
    cover: Cover,
    bound: Callable[[Setting], float] = lambda setting: 0.0,
) -> dict[str, Estimate]:
    """Average the slope of the logarithm of the number of atoms, less that of the bound."""

    def slope(setting: Setting, repetition: int) -> Measured:
        atoms = {
            dim: cover(points.points(dim, repetition)[: setting.points], setting, repetition)
            for dim in setting.dims
        }
        slope = log_linear_slope(setting.dims, list(atoms.values()))
        told = {ATOMS.format(dim): number for dim, number in atoms.items()}
        return Measured(slope - bound(setting), means={"slope": slope, **told})

    return average_by_part(
        range(REPETITIONS), lambda repetition: {s.part: slope(s, repetition) for s in settings}
    )


@pytest.mark.measurement(PUBLISHED)
def test_published(points: Points, judge: Judge) -> None:
    judge(
        lambda cover=single_directions: growth(points, PUBLISHED_SETTINGS, cover),
        figures=[covering_figure(PUBLISHED_SETTINGS[0])],
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(points: Points, judge: Judge) -> None:
    judge(
        lambda cover=single_directions: growth(
            points, HARDENED_SETTINGS, cover, slope_of_the_bound
        ),
        figures=[covering_figure(setting) for setting in HARDENED_SETTINGS],
    )
