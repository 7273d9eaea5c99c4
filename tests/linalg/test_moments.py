"""Moments: additive in any order and chunking, stable under large offsets."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import polyrot as pr
from polyrot.linalg import streaming as module


def normal(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


FIELDS = ("source_mean", "target_mean", "source", "target", "cross")


@given(st.lists(st.integers(2, 40), min_size=1, max_size=6), st.integers(2, 6), st.randoms())
def test_any_chunking_in_any_order_gives_the_same_fit(sizes, d, random) -> None:
    n = sum(sizes)
    x = normal(n, d, seed=n) + 100
    y = x @ normal(d, d, seed=d) + normal(n, d, seed=n + 1)
    chunks = list(zip(x.split(sizes), y.split(sizes), strict=True))
    random.shuffle(chunks)
    whole = pr.Moments.from_arrays(x, y)
    merged = pr.Moments.from_batches(chunks)
    assert merged.count == whole.count
    for name in FIELDS:
        scale = float(getattr(whole, name).abs().max())
        torch.testing.assert_close(
            getattr(merged, name), getattr(whole, name), rtol=0, atol=1e-12 * scale
        )
    if n > 2 * d:
        torch.testing.assert_close(
            pr.align(moments=merged).rotation, pr.align(moments=whole).rotation, rtol=0, atol=1e-12
        )


def test_moments_are_what_they_are_called() -> None:
    x, y = normal(50, 3, seed=0) + 2, normal(50, 4, seed=1)
    moments = pr.Moments.from_arrays(x, y)
    joint = torch.cov(torch.cat([x, y], dim=1).T, correction=0) * 50
    torch.testing.assert_close(moments.source, joint[:3, :3])
    torch.testing.assert_close(moments.target, joint[3:, 3:])
    torch.testing.assert_close(moments.cross, joint[:3, 3:])
    torch.testing.assert_close(moments.swap().cross, joint[3:, :3])
    assert moments.cross.dtype == torch.float64


def test_a_large_offset_costs_no_precision() -> None:
    x = normal(4000, 4, seed=0)
    shifted = pr.Moments.from_batches((c + 1e8, c + 1e8) for c in x.split(500))
    plain = pr.Moments.from_arrays(x, x)
    torch.testing.assert_close(shifted.cross, plain.cross, rtol=1e-6, atol=1e-4)


def test_float32_input_is_summed_in_float64() -> None:
    x = normal(20_000, 2, seed=0).float() + 1000
    exact = x.double() - x.double().mean(0)
    torch.testing.assert_close(
        pr.Moments.from_arrays(x, x).cross, exact.T @ exact, rtol=1e-9, atol=0
    )


def test_internal_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    x = normal(1000, 3, seed=0)
    whole = pr.Moments.from_arrays(x, x)
    monkeypatch.setattr(module, "CHUNK", 64)
    torch.testing.assert_close(pr.Moments.from_arrays(x, x).cross, whole.cross)


def test_a_chunk_of_one_token_at_the_end_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 10)
    x = normal(21, 3, seed=0)
    assert pr.Moments.from_arrays(x, x).count == 21


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="at least one"):
        pr.Moments.from_batches([])
    small = pr.Moments.from_arrays(normal(9, 2, seed=0), normal(9, 2, seed=1))
    large = pr.Moments.from_arrays(normal(9, 3, seed=0), normal(9, 3, seed=1))
    with pytest.raises(ValueError, match=r"got \(2, 2\) and \(3, 3\)"):
        small + large
