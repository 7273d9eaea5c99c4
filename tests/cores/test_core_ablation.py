"""Keeping, removing and flipping a subspace, with and without a mean."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import polyrot as pr
from polyrot.cores import flip, keep, remove

D = 6
ranks = st.integers(0, D)
seeds = st.integers(0, 10_000)
means = st.booleans()


def case(rank: int, seed: int, with_mean: bool) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(3, 4, D, generator=generator, dtype=torch.float64)
    mean = torch.randn(D, generator=generator, dtype=torch.float64) if with_mean else None
    return x, pr.haar.sample(D, seed=seed)[:, :rank], mean


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@given(ranks, seeds, means)
def test_what_is_kept_and_what_is_removed_are_all(rank: int, seed: int, with_mean: bool) -> None:
    x, basis, mean = case(rank, seed, with_mean)
    twice = 0 if mean is None else mean  # both hold the mean
    close(keep(x, basis, mean) + remove(x, basis, mean) - twice, x)


@given(ranks, seeds, means)
def test_once_is_enough(rank: int, seed: int, with_mean: bool) -> None:
    x, basis, mean = case(rank, seed, with_mean)
    for ablate in (keep, remove):
        once = ablate(x, basis, mean)
        close(ablate(once, basis, mean), once)
    close(flip(flip(x, basis, mean), basis, mean), x)


@given(st.integers(1, D - 1), seeds, means)
def test_each_leaves_the_other_subspace_at_the_mean(rank: int, seed: int, with_mean: bool) -> None:
    x, basis, mean = case(rank, seed, with_mean)
    other = pr.haar.sample(D, seed=seed)[:, rank:]
    centre = torch.zeros(D, dtype=torch.float64) if mean is None else mean
    inside, outside = (x - centre) @ basis, (x - centre) @ other
    expected = {
        keep: (inside, 0 * outside),
        remove: (0 * inside, outside),
        flip: (-inside, outside),
    }
    for ablate, (own, rest) in expected.items():
        moved = ablate(x, basis, mean) - centre
        close(moved @ basis, own)
        close(moved @ other, rest)
    kept, removed = (ablate(x, basis, mean) - centre for ablate in (keep, remove))
    close((kept * removed).sum(-1), torch.zeros(3, 4, dtype=torch.float64))


@given(seeds, means)
def test_nothing_and_everything(seed: int, with_mean: bool) -> None:
    x, nothing, mean = case(0, seed, with_mean)
    everything = pr.haar.sample(D, seed=seed)
    centre = torch.zeros_like(x) if mean is None else mean.expand_as(x)
    close(keep(x, nothing, mean), centre)
    close(remove(x, nothing, mean), x)
    close(flip(x, nothing, mean), x)
    close(keep(x, everything, mean), x)
    close(remove(x, everything, mean), centre)
    close(flip(x, everything, mean), 2 * centre - x)


def test_the_mean_stays_where_it_is() -> None:
    _, basis, mean = case(2, 0, True)
    for ablate in (keep, remove, flip):
        close(ablate(mean[None], basis, mean)[0], mean)
        assert not torch.allclose(ablate(mean[None], basis)[0], mean)


@pytest.mark.parametrize("ablate", [keep, remove, flip])
def test_states_keep_their_dtype_and_are_not_written_to(ablate) -> None:
    x, basis, mean = case(2, 0, True)
    single = x.float()
    before = single.clone()
    moved = ablate(single, basis, mean)
    assert moved.dtype == torch.float32
    assert torch.equal(single, before)
    torch.testing.assert_close(moved.double(), ablate(x, basis, mean), rtol=1e-5, atol=1e-5)
