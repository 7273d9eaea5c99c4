"""The polar factor to more digits than float64 arithmetic gives it."""

import numpy as np
import torch
from torch import Tensor


def exact_polar_factor(a: Tensor) -> Tensor:
    """Correct the factor of a decomposition, with the residual in extended precision.

    R e^W with a skew W makes the product with A symmetric: W H + H W is twice the skew part
    of R'A to first order, and second order is far below float64.
    """
    u, _, vh = torch.linalg.svd(a)
    r = u @ vh
    h = r.numpy().astype(np.longdouble).T @ a.numpy().astype(np.longdouble)
    skew = torch.from_numpy(((h - h.T) / 2).astype(np.float64))
    values, vectors = torch.linalg.eigh(torch.from_numpy(((h + h.T) / 2).astype(np.float64)))
    w = 2 * (vectors.mT @ skew @ vectors) / (values[:, None] + values)
    return r @ torch.linalg.matrix_exp(vectors @ w @ vectors.mT)
