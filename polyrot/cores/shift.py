"""The cyclic operator of a core: the linear map from each answer's mean to the next answer's.

arXiv 2602.22600, released code: class means by answer, least squares on the shift by one, in
the span of the means, cut at 1e-3 of the largest singular value.

The paper does not warn that a linear map can send p centred points in p - 1 or more dimensions
anywhere, and that the shift of p points has all p-th roots of unity as eigenvalues: then every
operator is perfectly cyclic, whatever the points are.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

CUT = 1e-3
HELD_OUT_SHARE = 0.075
LEAST_ANSWERS = 8

Means = Float[Tensor, "answer rank"]
"""Mean core coordinates of every answer."""


@dataclass(frozen=True)
class Shift:
    """The least-squares map that sends every answer's mean to the next answer's."""

    operator: Float[Tensor, "kept kept"]
    """In the kept span."""
    r2: float
    """Explained share of the next means' variance, on the edges that were fitted."""
    r2_held_out: float
    """On the edges within blocks of answers left out of the fit, relative to their distance from
    the fitted answers' mean; negative where the mean predicts better."""
    answers: int

    @property
    def automatic(self) -> bool:
        """Are there so many dimensions that any points fit?"""
        return len(self.operator) >= self.answers - 1

    @property
    def eigenvalues(self) -> Complex[Tensor, " kept"]:
        values: Tensor = torch.linalg.eigvals(self.operator)
        return values

    @property
    def near_ring(self) -> Complex[Tensor, " near"]:
        """Eigenvalues within sin(pi / p) of the unit circle."""
        values = self.eigenvalues
        return values[(values.abs() - 1).abs() <= math.sin(math.pi / self.answers)]

    @property
    def ring_share(self) -> float:
        """Share of eigenvalues near the unit circle."""
        return len(self.near_ring) / len(self.operator)

    @property
    def modes(self) -> tuple[int, ...]:
        """Frequencies of the near-ring eigenvalues, folded to 0 ... floor(p / 2)."""
        turns = (self.near_ring.angle() * self.answers / (2 * math.pi)).round().long().abs()
        return tuple(sorted({int(min(k, self.answers - k)) for k in turns.tolist()}))


def fit_shift(means: Means) -> Shift:
    """Fit the shift by one on all answers, and again without each block to predict the block.

    A block is contiguous and holds 7.5% of the answers, at least three; edges across its border
    are neither fitted nor held out.  The released code draws one block; here every block is held
    out in turn, and the errors are pooled.

    Args:
        means: mean core coordinates by answer, in the answers' cyclic order.

    Raises:
        ValueError: where there are fewer than eight answers, or the means do not vary.
    """
    p = len(means)
    if means.ndim != 2 or p < LEAST_ANSWERS:
        raise ValueError(
            f"Expected means of shape [answer, rank], {LEAST_ANSWERS} answers or more, but got "
            f"{list(means.shape)}"
        )
    points = means.double()
    whole = _Map.of(points, torch.arange(p))
    missed = spread = 0.0
    for start in range(p):
        block = (start + torch.arange(max(3, round(HELD_OUT_SHARE * p)))) % p
        outside = torch.tensor([i for i in range(p) if i not in set(block.tolist())])
        fitted = _Map.of(points, outside)
        wrong, whole_spread = fitted.errors(points, block)
        missed, spread = missed + wrong, spread + whole_spread
    wrong, whole_spread = whole.errors(points, torch.arange(p))
    return Shift(whole.operator, 1 - wrong / whole_spread, 1 - missed / spread, p)


def random_shift(answers: int, rank: int, *, seed: int) -> Shift:
    """Fit the shift on Gaussian points: the baseline without any algorithm."""
    generator = torch.Generator().manual_seed(seed)
    return fit_shift(torch.randn(answers, rank, generator=generator, dtype=torch.float64))


@dataclass(frozen=True)
class _Map:
    """A fitted shift: `(x - mean) @ axes @ operator @ axes' + mean` is nearest to the next."""

    mean: Float[Tensor, " rank"]
    axes: Float[Tensor, "rank kept"]
    operator: Float[Tensor, "kept kept"]

    @classmethod
    def of(cls, points: Means, answers: Tensor) -> "_Map":
        """Fit on the edges between some answers, centred about their mean."""
        first = points[answers[0]]
        mean = first + (points[answers] - first).mean(0)  # exact where all means are equal
        centred = points - mean
        _, singular, right = torch.linalg.svd(centred[answers], full_matrices=False)
        if not float(singular[0]) > 0:
            raise ValueError("Expected means that differ between answers but they are all equal")
        axes = right[singular > CUT * singular[0]].mT
        now, then = (centred[edge] @ axes for edge in _edges(answers, len(points)))
        # By SVD: where dimensions outnumber edges, this is the solution of least norm.
        operator = torch.linalg.lstsq(now, then, driver="gelsd").solution
        return cls(mean, axes, operator)

    def errors(self, points: Means, answers: Tensor) -> tuple[float, float]:
        """Squared errors on the edges between some answers, and squared distances to the mean."""
        now, then = (points[edge] - self.mean for edge in _edges(answers, len(points)))
        missed = then - now @ self.axes @ self.operator @ self.axes.mT
        return float(missed.square().sum()), float(then.square().sum())


def _edges(answers: Tensor, p: int) -> tuple[Tensor, Tensor]:
    """Return the answers whose next one is among them, and these next ones."""
    following = (answers + 1) % p
    inside = torch.isin(following, answers)
    return answers[inside], following[inside]
