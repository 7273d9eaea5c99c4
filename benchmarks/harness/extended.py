"""A polar factor to compare others with, from products beyond float64."""

import math

import numpy as np
from scipy.linalg import eigh, svd

SLICES = 3


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Multiply float64 matrices to about 2^-63 of their largest entries, as `longdouble`.

    Both are cut into slices of so few bits that float64 multiplies and adds them exactly
    (Ozaki, Ogita, Oishi & Rump 2012, doi:10.1007/s11075-011-9478-1): many times faster than
    numpy's product of long doubles, which no BLAS has.
    """
    bits = (53 - math.ceil(math.log2(a.shape[1]))) // 2
    total = np.zeros((a.shape[0], b.shape[1]), dtype=np.longdouble)
    for left in _slices(a, bits):
        for right in _slices(b, bits):
            total += left @ right
    return total


def polar_factor(a: np.ndarray) -> np.ndarray:
    """Compute the orthogonal factor of a matrix: the SVD's, improved by one step of Newton.

    R is the factor where R'A is symmetric.  From R0, with H the symmetric and K the skew part of
    R0'A, the step R0 (I + W) solves W H + H W = 2 K.  First R0 gets what it lacks in orthogonality.
    """
    u, _, vh = svd(a)
    start = u @ vh
    lacks = np.asarray(np.eye(len(a)) - product(start.T, start), dtype=np.float64) / 2
    inner = product(start.T, a)
    inner += lacks @ np.asarray(inner, dtype=np.float64)
    skew = np.asarray((inner - inner.T) / 2, dtype=np.float64)
    values, vectors = eigh(np.asarray((inner + inner.T) / 2, dtype=np.float64))
    turned = vectors.T @ (2 * skew) @ vectors
    step = vectors @ (turned / (values[:, None] + values)) @ vectors.T
    return start.astype(np.longdouble) + start @ (step + lacks)


def _slices(x: np.ndarray, bits: int) -> list[np.ndarray]:
    rest, parts = x, []
    unit = 2.0 ** math.ceil(math.log2(float(np.abs(x).max())))
    for _ in range(SLICES):
        unit *= 2.0**-bits
        parts.append(np.round(rest / unit) * unit)
        rest = rest - parts[-1]
    return parts
