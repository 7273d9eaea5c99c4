"""SASA-01: single directions need exponentially many atoms.

"Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333), Definition 2 and the theorem after it: how
many atoms it takes for every unit vector of a subspace to be within an error of the span of at
most k of them grows exponentially with the subspace's dimension, from two dimensions on.  As
published: a greedy choice for 96 points, at most 32 atoms, and whether the logarithm of the number
rises with the dimension.  So it does where as many atoms as dimensions are enough.  Hardened: as
many points as it takes not to run out of them, and dimensions above k; the logarithm must rise
as fast as that of a bound from below, which is proven: the share of the sphere that the span of
k atoms can cover falls exponentially.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np
import pytest
from jaxtyping import Float
from torch import Tensor

from polyrot.capabilities import figures
from polyrot.experiments.planted import figures as dictionary_figures
from polyrot.sae.covering import covering_number, least_covering_number
from polyrot.stats.estimate import Estimate, over_seeds
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, negative, positive
from polyrot.verdict.figure import Figure, Role
from polyrot.verdict.run import MODELS, Judge

CLAIM = Claim(
    "SASA-01",
    "Single directions need exponentially many atoms",
    "arXiv 2606.06333, covering numbers",
    true_in=("points-sphere",),
    false_in=("points-axes", "points-circle"),
)
REPETITIONS = 5


@dataclass(frozen=True)
class Setting:
    """Of a covering: its error, atoms in a span, and the dimensions that are compared."""

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

World = Callable[[Float[Tensor, "point dim"], Setting, int], int]
"""How many atoms points take; the last argument is the seed of what is random about it."""


def single_directions(points: Float[Tensor, "point dim"], setting: Setting, seed: int) -> int:
    return covering_number(points, setting.error, setting.k, seed, cap=setting.cap)


def subspace_decoders(points: Float[Tensor, "point dim"], setting: Setting, seed: int) -> int:
    """One group whose rank is the dimension covers all of it."""
    return 1


def one_for_each_dimension(points: Float[Tensor, "point dim"], setting: Setting, seed: int) -> int:
    """An orthonormal basis, all of whose atoms may be on: the number grows linearly."""
    return points.shape[1]


def as_many_as_proven(points: Float[Tensor, "point dim"], setting: Setting, seed: int) -> int:
    """The bound from below, which grows exponentially."""
    return least_covering_number(points.shape[1], setting.error, setting.k)


CONTROLS = (
    negative("subspace decoders", subspace_decoders),
    negative("one for each dimension", one_for_each_dimension),
    positive("as many as proven", as_many_as_proven),
)
PUBLISHED = Measurement(CLAIM, Bar.above(0, "log-linear slope"), CONTROLS[:2], published=True)
HARDENED = Measurement(CLAIM, Bar.at_least(0, "slope less that of the bound"), CONTROLS)


def proven_slope(setting: Setting) -> float:
    """Log-linear slope of the bound from below."""
    bounds = [least_covering_number(dim, setting.error, setting.k) for dim in setting.dims]
    return log_linear(setting.dims, bounds)


def log_linear(dims: Sequence[int], numbers: Sequence[int]) -> float:
    return float(np.polyfit(dims, np.log(numbers), 1)[0])


def slopes(
    suite: Suite, settings: tuple[Setting, ...], world: World, least: Callable[[Setting], float]
) -> dict[str, Estimate]:
    """Fit the logarithm of the number against the dimension, in every repetition by itself."""
    found = {}
    for setting in settings:
        numbers: dict[int, list[int]] = {dim: [] for dim in setting.dims}
        values = {}
        for repetition in range(REPETITIONS):
            for dim, counted in numbers.items():
                points = suite.points(dim, repetition)[: setting.points]
                counted.append(world(points, setting, repetition))
            slope = log_linear(setting.dims, [counted[-1] for counted in numbers.values()])
            values[repetition] = slope - least(setting)
        details = {"slope": mean(values.values()) + least(setting)}
        details |= {f"atoms at {dim}": mean(counted) for dim, counted in numbers.items()}
        found[setting.part] = over_seeds(values, details=details)
    return found


def covering_numbers(settings: tuple[Setting, ...]) -> Callable[[figures.Worlds], list[Figure]]:
    curves = (
        ("single directions", Role.MODELS, MODELS),
        *((c.name, Role.NEGATIVE, c.name) for c in CONTROLS[:2]),
        ("as many as proven", Role.BESIDE, "as many as proven"),
    )
    return lambda estimates: [
        dictionary_figures.against_dimension(
            estimates, part, curves, dims, detail="atoms at {dim}", y="atoms"
        )
        for part, dims in ((setting.part, setting.dims) for setting in settings)
    ]


@pytest.mark.measurement(PUBLISHED)
def test_published(suite: Suite, judge: Judge) -> None:
    judge(
        lambda world=single_directions: slopes(suite, PUBLISHED_SETTINGS, world, lambda _: 0.0),
        figures=covering_numbers(PUBLISHED_SETTINGS[:1]),
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    judge(
        lambda world=single_directions: slopes(suite, HARDENED_SETTINGS, world, proven_slope),
        figures=covering_numbers(HARDENED_SETTINGS),
    )
