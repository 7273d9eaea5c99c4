"""Eigenvalues of tridiagonal matrices: those of the dense ones, on any number of threads."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polyrot.linalg.tridiagonal import THREADED, eigenvalues


def entries(count: int, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a stack of matrices: diagonals, and what stands next to them."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, n)), rng.standard_normal((count, n - 1))


@given(st.integers(0, 4), st.integers(1, 40), st.booleans(), st.integers(0, 1000))
def test_they_are_those_of_the_dense_matrices(
    count: int, n: int, transposed: bool, seed: int
) -> None:
    diagonal, beside = entries(count, n, seed)
    if transposed:  # in memory: rows are not contiguous
        diagonal, beside = np.asfortranarray(diagonal), np.asfortranarray(beside)
    given_in = diagonal.copy(), beside.copy()
    found = eigenvalues(diagonal, beside)
    assert found.shape == (count, n)
    for values, middle, side in zip(found, diagonal, beside, strict=True):
        dense = np.diag(middle) + np.diag(side, 1) + np.diag(side, -1)
        np.testing.assert_allclose(values, np.linalg.eigvalsh(dense), atol=1e-12)
    assert np.array_equal(diagonal, given_in[0])
    assert np.array_equal(beside, given_in[1])


def test_threads_change_no_bit() -> None:
    diagonal, beside = entries(5, THREADED, seed=0)
    threads = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2, 7):
            torch.set_num_threads(count)
            found.append(eigenvalues(diagonal, beside))
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_entries_that_are_not_finite_are_refused() -> None:
    diagonal, beside = entries(3, 5, seed=0)
    diagonal[1, 2] = np.nan
    with pytest.raises(np.linalg.LinAlgError, match="matrix 1"):
        eigenvalues(diagonal, beside)
