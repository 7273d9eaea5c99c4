"""The reference of the polar factors, against longer arithmetic and known answers."""

import numpy as np
import pytest
from mpmath import mp, mpf
from mpmath import svd_r as exact_svd

from harness import data, extended


def test_the_product_is_that_of_long_doubles() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 40, 40))
    expected = a.astype(np.longdouble) @ b.astype(np.longdouble)
    found = extended.product(a, b)
    assert np.abs(found - expected).max() < 1e-17
    assert np.abs(a @ b - expected).max() > 1e-16


@pytest.mark.parametrize(("condition", "limit"), [(10.0, 1e-18), (1e7, 1e-14)])
def test_the_polar_factor_is_that_of_fifty_digits(condition: float, limit: float) -> None:
    a = data.cross_covariance(8, condition).numpy()
    with mp.workdps(50):
        u, _, vh = exact_svd(mp.matrix([[mpf(float(x)) for x in row] for row in a]))
        exact = u * vh
        found = extended.polar_factor(a)
        error = max(abs(_exactly(found[i, j]) - exact[i, j]) for i in range(8) for j in range(8))
    assert error < limit


def _exactly(value: np.longdouble) -> mpf:
    high = np.float64(value)
    return mpf(float(high)) + mpf(float(value - high))
