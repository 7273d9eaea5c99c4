"""Haar-distributed orthogonal matrices, and the eigenangles of a given one."""

from typing import Literal, overload

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.linalg.checks import Array, as_orthogonal

Group = Literal["O", "SO"]


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

    Gaussian matrices are QR-factorised and the columns of Q multiplied by the signs
    of R's diagonal; without these signs Q is not Haar.  For SO(d) the first column of
    a matrix of determinant -1 is negated, which maps Haar on O(d) to Haar on SO(d).

    Args:
        d: dimension, at least 2.
        size: number of matrices; `None` for a single `[d, d]` one.
        group: `"O"` or `"SO"`.
        seed: the draw is a function of `(d, size, group, seed)`.

    Returns:
        float64 of shape `[size, d, d]`, or `[d, d]`.

    References:
        F. Mezzadri, Notices of the AMS 54 (2007) 592, arXiv math-ph/0609050.

    >>> r = sample(4, seed=1)
    >>> bool(torch.allclose(r @ r.T, torch.eye(4, dtype=torch.float64)))
    True
    """
    if d < 2:
        raise ValueError(f"Expected d of at least 2 but got d={d!r}")
    if group not in ("O", "SO"):
        raise ValueError(f"Expected group 'O' or 'SO' but got group={group!r}")
    count = 1 if size is None else size
    generator = torch.Generator().manual_seed(seed)
    gaussian = torch.randn(count, d, d, generator=generator, dtype=torch.float64)
    q, r = torch.linalg.qr(gaussian)
    signs = torch.sign(torch.diagonal(r, dim1=-2, dim2=-1))
    matrices = q * signs[:, None, :]
    if group == "SO":
        matrices[:, :, 0] *= torch.sign(torch.linalg.det(matrices))[:, None]
    drawn: Tensor = matrices[0] if size is None else matrices
    return drawn


def eigenangles(rotation: Array) -> Float[Tensor, "*batch d"]:
    """Compute |arg| of the eigenvalues of orthogonal matrices, ascending, in radians.

    The eigenvalues of the symmetric part (R + R')/2 are the cosines, each complex pair
    twice: a symmetric eigenproblem instead of a general one.  Accurate to about 1e-12
    inside (0, pi) and to 1e-8 at its two ends, where the cosine is flat.

    Args:
        rotation: `[d, d]` or `[..., d, d]`, orthogonal.

    Returns:
        float64 `[..., d]` in [0, pi].

    >>> quarter_turn = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    >>> eigenangles(quarter_turn)
    tensor([1.5708, 1.5708], dtype=torch.float64)
    """
    r = as_orthogonal("rotation", rotation)
    cosines = torch.linalg.eigvalsh((r + r.mT) / 2).clamp(-1.0, 1.0)
    angles: Tensor = torch.arccos(cosines).flip(-1)
    return angles
