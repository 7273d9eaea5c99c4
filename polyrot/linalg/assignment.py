"""The permutation matrix, signed or unsigned, nearest to a matrix."""

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from polyrot.linalg.checks import Array


def nearest_signed_permutation(rotation: Array) -> Float[Tensor, "d d"]:
    """Find the signed permutation matrix nearest to a square matrix in Frobenius norm.

    It maximises `tr(P' rotation)` over matrices with a single entry, 1 or -1, in every row and
    column.  The maximum is exact: columns are assigned to rows by the entries' absolute values
    (shortest augmenting paths, Crouse 2016, doi:10.1109/TAES.2016.140952), and the signs are
    those of the entries.

    Args:
        rotation: `[d, d]`; orthogonal or not.

    Returns:
        float64 `[d, d]`.

    Raises:
        ValueError: where an entry is not a number.

    >>> nearest_signed_permutation(torch.tensor([[0.1, -0.9], [0.9, 0.2]]))
    tensor([[ 0., -1.],
            [ 1.,  0.]], dtype=torch.float64)
    """
    r = torch.as_tensor(rotation).double()
    # Minimised because scipy makes another copy to maximise.
    rows, columns = linear_sum_assignment(r.abs().neg_().cpu().numpy())
    permutation = torch.zeros_like(r)
    # Signs of the d chosen entries, not of all d^2.
    permutation[rows, columns] = torch.where(r[rows, columns] < 0, -1.0, 1.0).to(r.dtype)
    return permutation


def nearest_permutation(scores: Float[Tensor, "d d"]) -> Float[Tensor, "d d"]:
    """Find the permutation matrix with the largest total score."""
    rows, columns = linear_sum_assignment(np.asarray(scores.cpu()), maximize=True)
    permutation = torch.zeros_like(scores)
    permutation[rows, columns] = 1.0
    return permutation
