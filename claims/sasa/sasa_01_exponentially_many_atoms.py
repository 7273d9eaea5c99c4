"""SASA-01: single directions need exponentially many atoms.

"Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333), Definition 2 and the theorem after it: the
covering number of a subspace is the least number of atoms such that every unit vector of the
subspace lies within a given error of the span of at most k atoms.  From two dimensions on it grows
exponentially with the dimension.

As published: of a trained TopK dictionary the 192 active latents nearest to a feature cover 96
points of its unit sphere, by the released code's greedy choice and at most 32 of them; mean over
the first three features of each dimension.  The logarithm must rise with the dimension.  The code
prints the numbers; their slope is ours.  A logarithm rises even if there is one atom for each
dimension, which is not exponential; the details give that slope.  Hardened: atoms are chosen from
many more points, not from a dictionary, and dimensions go above k; the logarithm must rise at least
as fast as that of a proven lower bound, which is exponential: the share of the sphere near the span
of k atoms falls exponentially.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np
import pytest

from polyrot.claim import *
from polyrot.experiments.planted import controls, figures
from polyrot.experiments.planted.plan import DIMENSIONS, TOPK
from polyrot.experiments.planted.suite import Dictionaries, Dictionary, Points, Vectors
from polyrot.sae.covering import (
    atoms_of_dictionary,
    covering_number,
    groups_of_dictionary,
    least_covering_number,
    nearest_atoms,
)

CLAIM = Claim(
    "SASA-01",
    "Single directions need exponentially many atoms",
    "arXiv 2606.06333, covering numbers",
    true_in=("points-sphere",),
    false_in=("points-axes", "points-circle"),
)
EACH, COVERED, NEAREST, CAP = 3, 96, 192, 32
"""Features of a dimension, points of each, candidates for atoms, and most atoms, as published."""
REPETITIONS = 5
LINEAR = "slope of one atom for each dimension"
TRAINED = (1, 2, 3, 4, 6, 8)
"""Dimensions of the features of the dictionaries."""


@dataclass(frozen=True)
class Setting:
    """The error and the k of a covering number, and the dimensions to compare."""

    error: float
    k: int
    dims: tuple[int, ...] = TRAINED

    @property
    def part(self) -> str:
        return f"error {self.error:g}, {self.k} at a time"


AS_PUBLISHED = tuple(Setting(error, k) for error in (0.5, 0.3) for k in (1, 2, 4, 8))
MANY_POINTS = (
    Setting(0.5, 1, (2, 3, 4, 5, 6)),
    Setting(0.3, 1, (2, 3, 4, 5)),
    Setting(0.3, 2, (3, 4, 5, 6, 7, 8)),
)


def columns(dictionary: Dictionary, feature: int, points: Vectors, setting: Setting) -> int:
    """Cover the points of a feature with active latents of a dictionary."""
    near = nearest_atoms(dictionary.active_rows, dictionary.features.bases[feature], NEAREST)
    return atoms_of_dictionary(points, near.double(), setting.error, setting.k, cap=CAP)


def one_group_each(dictionary: Dictionary, feature: int, points: Vectors, setting: Setting) -> int:
    groups = controls.planted_groups(dictionary.features)
    return groups_of_dictionary(points, groups, setting.error)


def filled(dictionary: Dictionary, feature: int, points: Vectors, setting: Setting) -> int:
    """Cover them with atoms that fill the sphere of the feature."""
    atoms = controls.on_the_sphere(dictionary, feature, NEAREST, salt=98)
    return atoms_of_dictionary(points, atoms, setting.error, setting.k, cap=CAP)


def greedy(points: Vectors, setting: Setting, seed: int) -> int:
    return covering_number(points, setting.error, setting.k, seed)


def proven(points: Vectors, setting: Setting, seed: int) -> int:
    """A lower bound, which grows exponentially."""
    return least_covering_number(points.shape[1], setting.error, setting.k)


OF_DICTIONARIES = (
    negative("subspace decoders", one_group_each),
    positive("atoms that fill the sphere", filled),
)
OF_POINTS = (
    # A single group, of the rank of the subspace.
    negative("subspace decoders", lambda points, setting, seed: 1),
    # An orthonormal basis, all of whose atoms may be active.
    negative("one for each dimension", lambda points, setting, seed: points.shape[1]),
    positive("as many as proven", proven),
)
PUBLISHED = Measurement(
    CLAIM,
    Bar.above(0, "log-linear slope"),
    OF_DICTIONARIES,
    published=True,
    figures=(figures.covering(AS_PUBLISHED[0].part, TRAINED, OF_DICTIONARIES),),
)
HARDENED = Measurement(
    CLAIM,
    Bar.at_least(0, "slope less that of the bound"),
    OF_POINTS,
    figures=tuple(figures.covering(one.part, one.dims, OF_POINTS[:2]) for one in MANY_POINTS),
)


def slope(dims: Sequence[int], atoms: Sequence[float]) -> float:
    """The slope of the logarithm of the number of atoms over the dimension."""
    return float(np.polyfit(dims, np.log(atoms), 1)[0])


def told(dims: Sequence[int], atoms: Sequence[float]) -> dict[str, float]:
    return {f"atoms at {dim}": n for dim, n in zip(dims, atoms, strict=True)}


def of_dictionaries(
    saes: Sequence[Dictionary],
    setting: Setting,
    cover: Callable[[Dictionary, int, Vectors, Setting], int],
) -> Estimate:
    dims = sorted(set(saes[0].features.dims))

    def measure(sae: Dictionary) -> Measured:
        def atoms(dim: int) -> float:
            first = [i for i, other in enumerate(sae.features.dims) if other == dim][:EACH]
            clouds = {i: controls.on_the_sphere(sae, i, COVERED, salt=99) for i in first}
            return mean(cover(sae, i, cloud, setting) for i, cloud in clouds.items())

        found = [atoms(dim) for dim in dims]
        return Measured(slope(dims, found), means=told(dims, found))

    linear = {LINEAR: slope(dims, dims)}
    return average(saes, measure, details=linear)


def of_points(
    points: Points, setting: Setting, cover: Callable[[Vectors, Setting, int], int]
) -> Estimate:
    dims = setting.dims
    bound = slope(dims, [least_covering_number(dim, setting.error, setting.k) for dim in dims])

    def measure(repetition: int) -> Measured:
        found = [cover(points.points(dim, repetition), setting, repetition) for dim in dims]
        rises = slope(dims, found)
        return Measured(rises - bound, also={"slope": rises}, means=told(dims, found))

    return average(range(REPETITIONS), measure)


@pytest.mark.measurement(PUBLISHED)
def test_published(dictionaries: Dictionaries, judge: Judge) -> None:
    def measure(cover: Callable[..., int] = columns) -> dict[str, Estimate]:
        saes = dictionaries.dictionaries(DIMENSIONS, TOPK)
        return {one.part: of_dictionaries(saes, one, cover) for one in AS_PUBLISHED}

    judge(measure)


@pytest.mark.measurement(HARDENED)
def test_hardened(points: Points, judge: Judge) -> None:
    judge(lambda cover=greedy: {s.part: of_points(points, s, cover) for s in MANY_POINTS})
