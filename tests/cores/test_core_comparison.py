"""Comparison: against scipy, exact laws of random subspaces, planted correlations."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import polyrot as pr
from polyrot.cores import (
    canonical_correlations,
    consensus,
    overlap,
    principal_angles,
    random_overlap,
    random_overlaps,
)

seeds = st.integers(0, 10_000)


def normal(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def frame(d: int, rank: int, *, seed: int) -> torch.Tensor:
    return torch.linalg.qr(normal(d, rank, seed=seed)).Q


def white(tokens: int, columns: int, *, seed: int) -> torch.Tensor:
    """Orthonormal centred columns."""
    x = normal(tokens, columns, seed=seed)
    return torch.linalg.qr(x - x.mean(0)).Q


def disguised(x: torch.Tensor, *, seed: int) -> torch.Tensor:
    """In other coordinates: an invertible map and an offset."""
    d = x.shape[1]
    change = pr.haar.sample(d, seed=seed) if d > 1 else torch.ones(1, 1, dtype=torch.float64)
    return x @ (change * torch.linspace(0.2, 3, d)) + normal(d, seed=seed)


# Subspaces.


@given(st.integers(1, 5), st.integers(1, 5), seeds)
def test_angles_agree_with_scipy(first: int, second: int, seed: int) -> None:
    a, b = frame(7, first, seed=seed), frame(7, second, seed=seed + 1)
    found = principal_angles(a, b)
    expected = np.rad2deg(scipy.linalg.subspace_angles(a.numpy(), b.numpy()))[::-1]
    # Where the subspaces meet, scipy's angle is the square root of a rounding error.
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(principal_angles(b, a).numpy(), found.numpy(), rtol=0, atol=1e-10)
    assert found.tolist() == sorted(found.tolist())


def at_angles(radians: list[float], *, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two subspaces at given angles, each in a basis of its own."""
    r = len(radians)
    q = pr.haar.sample(2 * r + 1, seed=seed)
    angles = torch.tensor(radians, dtype=torch.float64)
    a, b = q[:, :r], q[:, :r] * angles.cos() + q[:, r : 2 * r] * angles.sin()
    return a @ pr.haar.sample(r, seed=seed + 1), b @ pr.haar.sample(r, seed=seed + 2)


@pytest.mark.parametrize("seed", range(5))
def test_tiny_angles_are_not_lost(seed: int) -> None:
    planted = [1e-12, 1e-9, 1e-4, 0.5, math.pi / 2 - 1e-9]
    found = principal_angles(*at_angles(planted, seed=seed))
    np.testing.assert_allclose(np.deg2rad(found.numpy()), planted, rtol=0, atol=1e-14)


def test_a_subspace_and_one_that_holds_it_are_at_no_angle() -> None:
    q = pr.haar.sample(6, seed=0)
    assert principal_angles(q[:, :2] @ pr.haar.sample(2, seed=1), q[:, :4]).max() < 1e-12
    assert principal_angles(q[:, :2], q[:, 4:]).tolist() == pytest.approx([90, 90])


@given(st.integers(1, 5), st.integers(1, 5), seeds)
def test_overlap_is_of_projectors(first: int, second: int, seed: int) -> None:
    a, b = frame(7, first, seed=seed), frame(7, second, seed=seed + 1)
    norms = float(torch.linalg.norm(a @ a.mT) * torch.linalg.norm(b @ b.mT))
    assert overlap(a, b) == pytest.approx(float((a @ a.mT * (b @ b.mT)).sum()) / norms, abs=1e-12)
    cosines = torch.deg2rad(principal_angles(a, b)).cos()
    assert overlap(a, b) == pytest.approx(float((cosines**2).sum()) / norms, abs=1e-12)
    assert 0 <= overlap(a, b) <= min(first, second) / norms + 1e-12
    assert overlap(a, a @ pr.haar.sample(first, seed=seed) if first > 1 else -a) == pytest.approx(1)


def test_random_overlaps_of_the_paper_are_three_in_sixty_four() -> None:
    draws = random_overlaps(64, (3, 3), 4_000, seed=0)
    # Four standard errors.
    assert float(draws.mean()) == pytest.approx(3 / 64, abs=4 * float(draws.std()) / 4_000**0.5)
    assert 0.015 < float(draws.std()) < 0.025


@pytest.mark.parametrize("ranks", [(3, 3), (2, 5), (5, 2)])
def test_random_overlaps_have_the_law_of_two_independent_draws(ranks: tuple[int, int]) -> None:
    slow = [
        overlap(frame(12, ranks[0], seed=2 * i), frame(12, ranks[1], seed=2 * i + 1))
        for i in range(1_000)
    ]
    drawn = random_overlaps(12, ranks, 4_000, seed=0)
    assert stats.ks_2samp(drawn.numpy(), slow).pvalue > 0.01
    assert float(drawn.mean()) == pytest.approx(math.sqrt(ranks[0] * ranks[1]) / 12, rel=0.03)


@pytest.mark.parametrize("rank", [1, 4])
def test_random_overlaps_of_a_line_are_beta(rank: int) -> None:
    drawn = random_overlaps(10, (1, rank), 4_000, seed=0).numpy() * math.sqrt(rank)
    assert stats.kstest(drawn, stats.beta(rank / 2, (10 - rank) / 2).cdf).pvalue > 0.01


@pytest.mark.parametrize("ranks", [(3, 3), (3, 4), (1, 5)])
def test_random_subspaces_overlap_on_average_by_their_ranks(ranks: tuple[int, int]) -> None:
    drawn = random_overlaps(12, ranks, 20_000, seed=0)
    assert float(drawn.mean()) == pytest.approx(random_overlap(12, *ranks), rel=0.02)


def test_random_overlaps_are_functions_of_their_seed() -> None:
    first = random_overlaps(8, (2, 2), 5, seed=1)
    assert torch.equal(first, random_overlaps(8, (2, 2), 5, seed=1))
    assert not torch.equal(first, random_overlaps(8, (2, 2), 5, seed=2))


# Coordinates.


def planted(correlations: list[float], *, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two sets whose canonical correlations in this very sample are the given ones."""
    r = len(correlations)
    columns = white(200, 2 * r, seed=seed)
    rho = torch.tensor(correlations, dtype=torch.float64)
    return columns[:, :r], columns[:, :r] * rho + columns[:, r:] * (1 - rho**2).sqrt()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=4), seeds)
def test_planted_correlations_are_found_in_any_coordinates(rho: list[float], seed: int) -> None:
    first, second = planted(rho, seed=seed)
    found = canonical_correlations(disguised(first, seed=seed), disguised(second, seed=seed + 1))
    assert found.tolist() == pytest.approx(sorted(rho, reverse=True), abs=1e-9)
    assert float(found.max()) <= 1


def test_sets_of_different_widths_and_directions_that_do_not_vary() -> None:
    first, second = planted([0.9, 0.5], seed=0)
    wider = torch.cat([second, white(200, 5, seed=0)[:, 4:]], dim=1)
    assert canonical_correlations(first, wider).shape == (2,)
    repeated = torch.cat([first, first.sum(1, keepdim=True), torch.ones(200, 1)], dim=1)
    assert canonical_correlations(repeated, second).tolist() == pytest.approx([0.9, 0.5])


def test_independent_sets_correlate_as_little_as_chance_has_it() -> None:
    found = canonical_correlations(normal(5_000, 3, seed=0), normal(5_000, 3, seed=1))
    assert float(found.max()) < 0.07


def test_correlations_that_mean_nothing_are_refused() -> None:
    x = normal(6, 3, seed=0)
    with pytest.raises(
        ValueError, match="more than 6 tokens, because with fewer some correlation is always 1"
    ):
        canonical_correlations(x, normal(6, 3, seed=1))
    assert canonical_correlations(normal(7, 3, seed=0), normal(7, 3, seed=1)).shape == (3,)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3])
def test_coordinates_that_do_not_vary_are_named(value: float) -> None:
    constant = torch.full((300, 2), value, dtype=torch.float64)
    for call in (
        lambda: canonical_correlations(normal(300, 2, seed=0), constant),
        lambda: consensus([constant, constant], rank=1),
    ):
        with pytest.raises(ValueError, match="coordinates that vary over tokens but they do not"):
            call()


@pytest.mark.usefixtures("unchecked")
def test_sets_of_other_tokens_are_named() -> None:
    x = normal(50, 2, seed=0)
    with pytest.raises(ValueError, match="the same tokens but got 50 and 40"):
        canonical_correlations(x, x[:40])
    with pytest.raises(ValueError, match=r"the same tokens but got \[50, 40\]"):
        consensus([x, x[:40]], rank=1)


@given(st.integers(1, 3), st.integers(2, 5), seeds)
def test_a_consensus_finds_what_all_sets_share(rank: int, sets: int, seed: int) -> None:
    columns = white(300, rank + 2 * sets, seed=seed)
    signal, noise = columns[:, :rank], columns[:, rank:].split(2, dim=1)
    seen = [
        disguised(torch.cat([signal, own], dim=1), seed=seed + i) for i, own in enumerate(noise)
    ]
    shared, explained = consensus(seen, rank=rank)
    assert explained == pytest.approx([1] * sets, abs=1e-9)
    assert float(principal_angles(shared, signal).max()) < 1e-6
    eye = torch.eye(rank, dtype=torch.float64)
    torch.testing.assert_close(shared.mT @ shared, eye, rtol=0, atol=1e-10)
    assert shared.sum(0).tolist() == pytest.approx([0] * rank, abs=1e-9)


@given(st.lists(st.floats(0.05, 0.95), min_size=1, max_size=4), seeds)
def test_of_two_sets_it_lies_half_way(rho: list[float], seed: int) -> None:
    first, second = planted(rho, seed=seed)
    _, explained = consensus([first * 5, second], rank=len(rho))
    # The eigenvalues of the sum of two projectors are one more than the cosines.
    assert sum(explained) / 2 == pytest.approx((1 + sum(rho) / len(rho)) / 2, abs=1e-9)


def test_a_set_without_the_signal_explains_none_of_it() -> None:
    columns = white(300, 6, seed=0)
    with_signal = [columns[:, [0, 1, k]] for k in (2, 3)]
    shared, explained = consensus([*with_signal, columns[:, 4:]], rank=2)
    assert explained == pytest.approx([1, 1, 0], abs=1e-9)
    assert float(principal_angles(shared, columns[:, :2]).max()) < 1e-6


@pytest.mark.parametrize("rank", [0, 5])
def test_a_consensus_of_more_directions_than_there_are_is_refused(rank: int) -> None:
    sets = [normal(50, 2, seed=seed) for seed in (0, 1)]
    with pytest.raises(ValueError, match=f"rank between 1 and 4 but got rank={rank}"):
        consensus(sets, rank=rank)
