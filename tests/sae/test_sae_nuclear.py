"""The nuclear norm of groups, its value and its gradients."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polyrot.sae.nuclear import RIDGE, of_composition, of_decoder


def blocks(seed: int, rank: int = 3, d_model: int = 7) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, rank, d_model, generator=generator, dtype=torch.float64)


def smoothed(matrix: torch.Tensor) -> torch.Tensor:
    """Sum the ridged singular values of each matrix, by another route: torch's own SVD."""
    return (torch.linalg.svdvals(matrix).square() + RIDGE).sqrt().sum(-1)


@given(seed=st.integers(0, 10_000))
def test_the_norm_of_a_block_is_the_sum_of_its_singular_values(seed: int) -> None:
    decoder = blocks(seed)
    norm, _ = of_decoder(decoder)
    torch.testing.assert_close(norm, torch.linalg.svdvals(decoder).sum(-1), rtol=1e-4, atol=1e-5)


@given(seed=st.integers(0, 10_000))
def test_the_gradient_of_a_block_is_that_of_autograd(seed: int) -> None:
    decoder = blocks(seed).requires_grad_()
    (expected,) = torch.autograd.grad(smoothed(decoder).sum(), decoder)
    _, gradient = of_decoder(decoder.detach())
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-9)


@given(seed=st.integers(0, 10_000))
def test_the_gradients_of_a_composition_are_those_of_autograd(seed: int) -> None:
    encoder, decoder = blocks(seed).mT.contiguous().requires_grad_(), blocks(seed + 1)
    decoder = decoder.requires_grad_()
    # The map has further singular values, of zero.
    values = torch.linalg.svdvals(encoder @ decoder)[..., : decoder.shape[1]]
    total = (values.square() + RIDGE).sqrt().sum()
    expected = torch.autograd.grad(total, (encoder, decoder))
    norm, *gradients = of_composition(encoder.detach(), decoder.detach())
    assert norm.sum().item() == pytest.approx(total.item(), rel=1e-9)
    for gradient, wanted in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_the_gradient_is_finite_and_bounded_where_dimensions_are_lost(kept: int) -> None:
    decoder = blocks(0)
    decoder[:, kept:] = 0
    norm, gradient = of_decoder(decoder)
    assert bool(gradient.isfinite().all())
    assert float(torch.linalg.matrix_norm(gradient, 2).max()) <= 1 + 1e-9
    assert torch.equal(gradient[:, kept:], torch.zeros_like(gradient[:, kept:]))
    assert float(norm.max()) < 10


def test_orthonormal_rows_are_their_own_gradient() -> None:
    rows = torch.linalg.qr(blocks(3).mT).Q.mT
    norm, gradient = of_decoder(rows)
    torch.testing.assert_close(gradient, rows, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(norm, torch.full((4,), 3.0, dtype=torch.float64), rtol=1e-5, atol=0)


def test_a_step_against_the_gradient_lowers_the_smallest_singular_value() -> None:
    decoder = blocks(5)
    before = torch.linalg.svdvals(decoder)
    after = torch.linalg.svdvals(decoder - 0.01 * of_decoder(decoder)[1])
    torch.testing.assert_close(after, before - 0.01, rtol=0, atol=1e-4)
