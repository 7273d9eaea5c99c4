"""The orthogonal matrix nearest to a matrix: the factor Q of A = Q H, H symmetric and >= 0."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from polyrot.linalg.checks import Array
from polyrot.linalg.lu import inverses

ITERATIONS = 20
"""Scaled Newton needs at most nine for any matrix that is nonsingular in float64."""

ERROR = 1e-9
"""Frobenius distance from the exact factor within which a fast factor must be shown to lie."""

Stack = Float[Tensor, "matrix d d"]


def polar_factor(a: Array, *, fast: bool = False) -> Float[Tensor, "*batch d d"]:
    """Compute the orthogonal polar factor of square matrices, which maximises `tr(Q' A)`.

    It is U V' of the singular value decomposition A = U S V', and the solution of the
    orthogonal Procrustes problem whose cross-covariance is A.  Float64.

    Args:
        a: `[d, d]` or `[..., d, d]`.
        fast: iterate with Newton's method, scaled (Higham 1986, doi:10.1137/0907079), which
            needs only matrix inverses, instead of decomposing; a factor that is not shown to
            be accurate is replaced by that of the decomposition.  Meant for devices on which
            decompositions are far slower than products; on CPUs it takes longer.

    Raises:
        ValueError: where a matrix is not square or not finite.

    Notes:
        Where A is singular, Q is not unique, and an arbitrary one is returned.  Near
        singularity Q is ill-conditioned: an error e in A moves it by up to
        `2 e / (s_d + s_(d-1))`, with the two smallest singular values.  Iterations in lower
        precision, or polynomial ones with a fixed number of steps, do not converge there and
        are not used.

    >>> polar_factor(torch.tensor([[0.0, -2.0], [3.0, 0.0]]))
    tensor([[ 0., -1.],
            [ 1.,  0.]], dtype=torch.float64)
    """
    x = torch.as_tensor(a).detach().double()
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ValueError(f"Expected a of shape [..., d, d] but got {tuple(x.shape)}")
    if not bool(torch.isfinite(x).all()):
        raise ValueError("Expected a to be finite but it holds nan or inf")
    if not x.numel():
        return x
    stack = x.reshape(-1, *x.shape[-2:])
    found = _by_newton(stack) if fast else _by_decomposition(stack)
    return found.view(x.shape)


def _by_decomposition(a: Stack) -> Stack:
    u, _, vh = torch.linalg.svd(a)
    product: Tensor = u @ vh
    return product


def _by_newton(a: Stack) -> Stack:
    largest = a.abs().amax((-2, -1), keepdim=True)
    scaled = a / torch.where(largest > 0, largest, 1.0)
    x, following = scaled, inverses(scaled).mT
    for _ in range(ITERATIONS):
        factor = _scale(x, following)
        before, x = x, (factor * x + following / factor) / 2
        moved = torch.linalg.matrix_norm(x - before) / x.shape[-1] ** 0.5
        if bool((~(moved > 1e-9)).all()):  # the step below squares the remaining error
            break
        following = inverses(x).mT
    x = 1.5 * x - 0.5 * x @ (x.mT @ x)  # orthogonal to the last bit, without an inverse
    bad = ~_is_accurate(x, scaled)
    if bool(bad.any()):
        x[bad] = _by_decomposition(a[bad])
    return x


def _scale(x: Stack, inverse: Stack) -> Float[Tensor, "matrix 1 1"]:
    """Compute Higham's factor, which balances the largest and smallest singular values."""
    factor: Tensor = torch.ones(())
    for p in (1, torch.inf):
        norms = [torch.linalg.matrix_norm(m, ord=p) for m in (inverse, x)]
        factor = factor * (norms[0] / norms[1]) ** 0.25
    return factor[:, None, None]


def _is_accurate(x: Stack, a: Stack) -> Bool[Tensor, " matrix"]:
    """Return whether x is shown to be the polar factor of a, up to `ERROR`.

    It is if x is orthogonal and h = x' a symmetric and positive.  The exact factor is x e^w
    with a skew w, and w h + h w = 2 k to first order, where k is the skew part of h.  In the
    eigenbasis of h = l l' entry i, j of w is that of 2 k over the sum of two eigenvalues, hence at
    most that of k over their geometric mean: ||w|| <= ||h^(-1/2) k h^(-1/2)||, and that norm
    is ||l^(-1) k l'^(-1)||.
    """
    eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    defect = (x.mT @ x - eye).abs().amax((-2, -1))
    h = x.mT @ a
    root, not_positive = torch.linalg.cholesky_ex((h + h.mT) / 2)
    half = torch.linalg.solve_triangular(root, (h - h.mT) / 2, upper=False)
    error = torch.linalg.matrix_norm(torch.linalg.solve_triangular(root, half.mT, upper=False))
    accurate: Tensor = (not_positive == 0) & (defect < 1e-13 * x.shape[-1] ** 0.5)
    accurate &= error < ERROR
    return accurate
