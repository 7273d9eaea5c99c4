"""Polar factors: against extended precision, where matrices are nearly singular too."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from polar_reference import exact_polar_factor
from torch import Tensor

import polyrot as pr
from polyrot.linalg import polar


def conditioned(d: int, condition: float, seed: int = 0) -> Tensor:
    """A matrix with singular values in geometric progression, in random bases."""
    left, right = pr.haar.sample(d, 2, group="O", seed=seed)
    exponents = torch.linspace(0, 1, d, dtype=torch.float64)
    return 3e4 * left * condition**-exponents @ right.mT


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("condition", [10, 1e4, 1e7])
@pytest.mark.parametrize("d", [2, 33, 128])
def test_a_factor_is_within_a_billionth_of_the_exact_one(
    d: int, condition: float, fast: bool
) -> None:
    a = conditioned(d, condition)
    error = pr.polar_factor(a, fast=fast) - exact_polar_factor(a)
    assert float(torch.linalg.matrix_norm(error)) < 1e-9


def test_the_reference_is_right_where_the_factor_is_known() -> None:
    # Powers of two are exact in float64, and so are the products with a signed permutation.
    values = 2.0 ** -torch.arange(12, dtype=torch.float64)
    turn = pr.nearest_signed_permutation(pr.haar.sample(12, seed=1))
    known = turn @ torch.diag(values)
    torch.testing.assert_close(exact_polar_factor(known), turn, rtol=0, atol=1e-15)


@pytest.mark.parametrize("condition", [10.0, 1e4, 1e6])
def test_newton_itself_is_accurate_and_kept(
    condition: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = conditioned(48, condition)
    expected = exact_polar_factor(a)
    monkeypatch.setattr(polar, "_by_decomposition", lambda a: torch.full_like(a, torch.nan))
    error = pr.polar_factor(a, fast=True) - expected
    assert float(torch.linalg.matrix_norm(error)) < 1e-9


@pytest.mark.parametrize(
    "broken",
    [
        lambda x, a: x + 1e-8,  # not orthogonal
        lambda x, a: -x,  # orthogonal and symmetric with a, and not positive
        lambda x, a: x @ torch.linalg.matrix_exp(1e-6 * (a - a.mT) / a.abs().max()),
    ],
)
def test_a_wrong_factor_does_not_pass_the_check(broken) -> None:
    a = conditioned(20, 10)[None]
    x = pr.polar_factor(a)
    assert bool(polar._is_accurate(x, a).all())
    assert not bool(polar._is_accurate(broken(x, a), a).any())


def test_singular_matrices_in_a_stack_are_decomposed() -> None:
    zero, whole = torch.zeros(6, 6, dtype=torch.float64), conditioned(6, 100)
    singular = whole.clone()
    singular[0] = 0
    stack = torch.stack([whole, zero, singular, -whole])
    found = pr.polar_factor(stack, fast=True)
    torch.testing.assert_close(found[0], exact_polar_factor(whole), rtol=0, atol=1e-12)
    torch.testing.assert_close(found[3], -found[0], rtol=0, atol=1e-12)
    eye = torch.eye(6, dtype=torch.float64).expand(4, 6, 6)
    torch.testing.assert_close(found.mT @ found, eye, rtol=0, atol=1e-12)
    torch.testing.assert_close(found[2], pr.polar_factor(singular), rtol=0, atol=1e-12)


@given(st.integers(1, 8), st.integers(0, 99), st.booleans())
def test_it_maximises_the_overlap_with_its_matrix(d: int, seed: int, fast: bool) -> None:
    a = torch.randn(d, d, generator=torch.Generator().manual_seed(seed)) * 1e-3
    q = pr.polar_factor(a.numpy(), fast=fast)
    overlap = float((q * a).sum())
    assert overlap == pytest.approx(float(torch.linalg.svdvals(a.double()).sum()), rel=1e-9)


def test_an_empty_stack_has_no_factors() -> None:
    assert pr.polar_factor(torch.zeros(0, 3, 3)).shape == (0, 3, 3)


def test_errors_name_the_argument() -> None:
    with pytest.raises(ValueError, match=r"Expected a of shape \[..., d, d\] but got \(2, 3\)"):
        pr.polar_factor(torch.ones(2, 3))
    with pytest.raises(ValueError, match="Expected a to be finite"):
        pr.polar_factor(torch.full((2, 2), torch.nan))
