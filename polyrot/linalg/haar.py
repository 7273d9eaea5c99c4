"""Haar-distributed orthogonal matrices, and the eigenangles of a given one."""

from typing import TYPE_CHECKING, Literal, overload

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.linalg import tridiagonal
from polyrot.linalg.checks import Array, as_orthogonal

if TYPE_CHECKING:
    from polyrot.linalg.battery import HaarTest

Group = Literal["O", "SO"]
Component = Literal["O", "SO", "O-"]
"""`O-` is the component of O(d) with determinant -1: Haar on O(d), given that determinant."""


@overload
def sample(
    d: int, size: None = None, *, group: Group = "SO", seed: int = 0
) -> Float[Tensor, "d d"]: ...
@overload
def sample(
    d: int, size: int, *, group: Group = "SO", seed: int = 0
) -> Float[Tensor, "size d d"]: ...
def sample(d: int, size: int | None = None, *, group: Group = "SO", seed: int = 0) -> Tensor:
    """Draw matrices from the Haar measure on O(d) or SO(d).

    The law is that of Q in the QR factorisation of a Gaussian matrix, its columns multiplied
    by the signs of R's diagonal (without these signs Q is not Haar, Mezzadri 2007).  No
    matrix is factorised: each column of R depends on the Gaussian matrix through one
    independent Gaussian vector, so the d Householder reflectors of Q are drawn directly, from
    half as many numbers, and multiplied out (Stewart 1980).  For SO(d) the first column of a
    matrix of determinant -1 is negated, which maps Haar on O(d) to Haar on SO(d).

    Args:
        d: dimension, at least 2.
        size: number of matrices; `None` for a single `[d, d]` one.
        group: `"O"` or `"SO"`.
        seed: the draw is a function of `(d, size, group, seed)`.

    Returns:
        float64 of shape `[size, d, d]`, or `[d, d]`.

    Raises:
        ValueError: where d is below 2 or the group is unknown.

    References:
        Mezzadri 2007, Notices of the AMS 54, 592, arXiv math-ph/0609050.
        Stewart 1980, SIAM Journal on Numerical Analysis 17, 403, doi:10.1137/0717034.

    >>> r = sample(4, seed=1)
    >>> bool(torch.allclose(r @ r.T, torch.eye(4, dtype=torch.float64)))
    True
    """
    _check(d, group, ("O", "SO"))
    count = 1 if size is None else size
    # A third of the time goes to normal numbers, which SFC64 draws a tenth faster than PCG64.
    rng = np.random.Generator(np.random.SFC64(seed))
    matrices, proper = _frames(d, d, count, rng)
    if group == "SO":
        matrices[:, :, 0] *= proper[:, None]
    drawn: Tensor = matrices[0] if size is None else matrices
    return drawn


def frames(
    d: int, columns: int, size: int, rng: np.random.Generator
) -> Float[Tensor, "size d columns"]:
    """Draw the first columns of Haar matrices of O(d), in O(d columns^2) per draw."""
    return _frames(d, columns, size, rng)[0]


def _frames(
    d: int, columns: int, size: int, rng: np.random.Generator
) -> tuple[Float[Tensor, "size d columns"], Float[Tensor, " size"]]:
    """Draw frames, and the determinants of the square ones."""
    # Row k is the Gaussian vector of column k; above the diagonal there is nothing to draw.
    below = np.triu(np.ones((columns, d), dtype=bool))
    vectors = np.zeros((size, columns, d))
    vectors[np.broadcast_to(below, vectors.shape)] = rng.standard_normal(size * below.sum())
    reflectors = torch.from_numpy(vectors)
    first = torch.diagonal(reflectors, dim1=-2, dim2=-1).clone()
    # Householder's vector and factor in LAPACK's convention (dlarfg): no cancellation.
    diagonal = -torch.copysign(torch.linalg.vector_norm(reflectors, dim=-1), first)
    reflectors /= (first - diagonal)[..., None]
    q = torch.linalg.householder_product(reflectors.mT, 1 - first / diagonal)
    q *= torch.sign(diagonal)[:, None, :]
    # Each reflection has determinant -1, and so has each negated column.
    return q, torch.sign(first).prod(-1)


def eigenangles(rotation: Array) -> Float[Tensor, "*batch d"]:
    """Compute the eigenangles of orthogonal matrices: absolute arguments of the eigenvalues.

    The eigenvalues of the symmetric part (R + R')/2 are the cosines, each complex pair
    twice: a symmetric eigenproblem instead of a general one.  Accurate to about 1e-12
    inside (0, pi) and to 1e-8 at its two ends, where the cosine is flat.

    Args:
        rotation: `[d, d]` or `[..., d, d]`, orthogonal.

    Returns:
        float64 `[..., d]`, ascending, in radians in [0, pi].

    Raises:
        TypeError: where the matrices are not of a floating type.
        ValueError: where one is not square or not orthogonal.

    >>> quarter_turn = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    >>> eigenangles(quarter_turn)
    tensor([1.5708, 1.5708], dtype=torch.float64)
    """
    r = as_orthogonal("rotation", rotation)
    # Not by numpy: the threads of two libraries, each spinning on all cores, took 8 ms instead of
    # 0.1 ms at d = 64.
    cosines = torch.linalg.eigvalsh(r + r.mT) / 2
    angles: Tensor = torch.arccos(cosines.clamp(-1.0, 1.0)).flip(-1)
    return angles


def sample_eigenangles(
    d: int, size: int | None = None, *, group: Component = "SO", seed: int = 0
) -> Tensor:
    """Draw the eigenangles of Haar matrices without the matrices, in O(d^2) per draw.

    The cosines of the distinct angles are half the eigenvalues of a random tridiagonal
    matrix whose entries are simple functions of independent Beta variables.  The draw has
    the law of `eigenangles(sample(d, size, group))[..., 1::2]`: one angle of every complex
    pair; if the determinant is -1 and d even, the last is the forced eigenvalue -1.

    Args:
        d: dimension, at least 2.
        size: number of draws; `None` for a single one.
        group: `"SO"`, `"O"`, or `"O-"` for the matrices of O(d) with determinant -1.
        seed: the draw is a function of `(d, size, group, seed)`.

    Returns:
        float64 `[size, d // 2]`, or `[d // 2]`, ascending, in radians in [0, pi].

    Raises:
        ValueError: where d is below 2 or the group is unknown.

    References:
        Killip & Nenciu 2004, "Matrix models for circular ensembles", IMRN 2004 (50), 2665,
        Theorem 2 and Proposition 5.3 at beta = 2, doi:10.1155/S1073792804141597.

    >>> sample_eigenangles(9, 2, seed=1).shape
    torch.Size([2, 4])
    """
    _check(d, group, ("O", "SO", "O-"))
    rng = np.random.default_rng(seed)
    count = 1 if size is None else size
    proper = rng.random(count) < {"SO": 1.0, "O": 0.5, "O-": 0.0}[group]
    angles = torch.empty(count, d // 2, dtype=torch.float64)
    for kind in (True, False):
        rows = torch.from_numpy(proper == kind)
        angles[rows] = _component_angles(d, int(rows.sum()), kind, rng)
    drawn: Tensor = angles[0] if size is None else angles
    return drawn


def test(rotation: Array, *, seed: int = 0) -> "HaarTest":  # noqa: PT028 - a test of matrices
    """Test whether matrices are draws of the Haar measure on O(d).

    Five statistics, each against Monte-Carlo draws of the same dimension, determinant and
    number of matrices: Kolmogorov-Smirnov distance of the folded eigenangles, ratio of
    neighbouring spacings, traces of R^k for k = 1..8, fourth power of the entries, and
    distance to the nearest signed permutation.

    Args:
        rotation: `[d, d]`, or `[matrix, d, d]` to test several together; orthogonal.
        seed: seed of the null draws.

    Returns:
        `pvalue` (combined by Benjamini-Hochberg), `pvalues` by statistic, and more: see
        `polyrot.linalg.battery.HaarTest`.

    Raises:
        TypeError: where the matrices are not of a floating type.
        ValueError: where one is not square or not orthogonal.

    Notes:
        The nulls of a dimension are drawn once and kept in the user's cache folder.  A rotation
        between two clouds of unrelated noise is also Haar: passing the test does not show that a
        matrix relates two models.

    References:
        Eigenvalues of one matrix repel each other, so a test that treats them as independent is
        not calibrated: Mehta 2004, Random Matrices, chapter 10.

    >>> test(torch.eye(16)).pvalue < 0.01
    True
    """
    from polyrot.linalg.battery import haar_test  # it draws its nulls from this module

    return haar_test(rotation, seed=seed)


def component_eigenangles(
    d: int, size: int, *, proper: bool, seed: int, rows: slice
) -> Float[Tensor, "row half"]:
    """Draw some of the rows of `sample_eigenangles(d, size, group="SO" or "O-", seed=seed)`.

    Draws the random numbers of all rows, and solves the eigenproblems of these.
    """
    rng = np.random.default_rng(seed)
    rng.random(size)  # with these `sample_eigenangles` chooses the components
    return _component_angles(d, size, proper, rng, rows)


def all_eigenangles(half: Float[Tensor, "*batch half"], d: int, *, proper: bool) -> Tensor:
    """Complete `[..., d // 2]` drawn angles to the d angles that `eigenangles` returns."""
    zero, pi = torch.zeros_like(half[..., :1]), torch.full_like(half[..., :1], torch.pi)
    pairs = half if proper or d % 2 else half[..., :-1]
    angles = pairs.repeat_interleave(2, dim=-1)
    if proper:
        return torch.cat([zero, angles], -1) if d % 2 else angles
    return torch.cat([angles, pi], -1) if d % 2 else torch.cat([zero, angles, pi], -1)


def _component_angles(
    d: int, size: int, proper: bool, rng: np.random.Generator, rows: slice = slice(None)
) -> Float[Tensor, "row half"]:
    """Draw from one component of O(d): its pairs, and the forced pi if it is among the d // 2."""
    # Density of x = 2 cos(angle) over the pairs: prod |x_i - x_j|^2 (2 - x)^a (2 + x)^b,
    # where a forced eigenvalue 1 turns a from -1/2 into 1/2, and -1 does that to b.
    one, minus_one = (d % 2 == 1, False) if proper else (d % 2 == 0, True)
    pairs = (d - one - minus_one) // 2
    cosines = _jacobi_eigenvalues(pairs, one - 0.5, minus_one - 0.5, size, rng, rows) / 2
    angles = np.arccos(np.clip(cosines, -1.0, 1.0))[:, ::-1]
    if pairs < d // 2:
        angles = np.concatenate([angles, np.full((len(angles), 1), np.pi)], axis=1)
    return torch.from_numpy(angles.copy())


def _jacobi_eigenvalues(
    n: int, a: float, b: float, size: int, rng: np.random.Generator, rows: slice
) -> np.ndarray:
    """Draw n points in [-2, 2] of density prod |x_i - x_j|^2 (2 - x)^a (2 + x)^b, ascending.

    They are the eigenvalues of the Jacobi matrix with the Geronimus coefficients of
    independent Beta-distributed Verblunsky coefficients alpha_0 .. alpha_{2n-2}.  Makes `size`
    draws, and solves the eigenproblems of `rows`.
    """
    if n == 0 or size == 0:
        return np.empty((size, n))[rows]
    k = np.arange(2 * n - 1)
    left = np.where(k % 2 == 0, (2 * n - k) / 2 + a, (2 * n - k + 1) / 2 + a + b)
    right = np.where(k % 2 == 0, (2 * n - k) / 2 + b, (2 * n - k - 1) / 2)
    alpha = 1 - 2 * rng.beta(left, right, size=(size, 2 * n - 1))[rows]
    even = alpha[:, ::2]  # alpha_0, alpha_2, ..., alpha_{2n-2}
    ends = np.full((len(alpha), 1), -1.0)
    odd = np.concatenate([ends, alpha[:, 1::2]], axis=1)  # alpha_{-1} = -1, alpha_1, ...
    diagonal = (1 - odd) * even
    diagonal[:, 1:] -= (1 + odd[:, 1:]) * even[:, :-1]
    off_diagonal = np.sqrt((1 - odd[:, :-1]) * (1 - even[:, :-1] ** 2) * (1 + odd[:, 1:]))
    if n == 1:
        return diagonal

    return tridiagonal.eigenvalues(diagonal, off_diagonal)


def _check(d: int, group: str, known: tuple[str, ...]) -> None:
    if d < 2:
        raise ValueError(f"Expected d of at least 2 but got d={d!r}")
    if group not in known:
        raise ValueError(f"Expected group among {known} but got group={group!r}")
