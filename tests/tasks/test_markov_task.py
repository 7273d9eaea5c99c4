"""The chains: what is sampled, and what is said of them, against other routes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from polyrot.tasks import markov
from polyrot.tasks.markov import Chain

seeds = st.integers(0, 10_000)
UNEVEN = Chain(((0.5, 0.5, 0.0), (0.1, 0.2, 0.7), (0.6, 0.0, 0.4)))
CHAINS = {"ring": markov.ring(4), "two rows": markov.two_rows(), "uneven": UNEVEN}


def random_chain(states: int, seed: int) -> Chain:
    rows = np.random.default_rng(seed).dirichlet(np.ones(states), size=states)
    return Chain(tuple(tuple(map(float, row)) for row in rows))


def joint(chain: Chain) -> np.ndarray:
    """Probability of this state and the next one, after a long time."""
    T = chain.transition.numpy()
    long_run = np.linalg.matrix_power(T, 100_000)[0]
    return long_run[:, None] * T


@pytest.mark.parametrize("name", CHAINS)
def test_steps_are_as_frequent_as_their_probabilities(name: str) -> None:
    chain = CHAINS[name]
    sampled = chain.sample(4_000, seed=3).numpy()
    counts = np.zeros((chain.states, chain.states))
    np.add.at(counts, (sampled[:, :-1], sampled[:, 1:]), 1)
    assert counts.sum() == 4_000 * 31
    for row, chances in zip(counts, chain.rows, strict=True):
        possible = np.array(chances) > 0
        assert row[~possible].sum() == 0
        expected = np.array(chances)[possible] * row.sum()
        assert stats.chisquare(row[possible], expected).pvalue > 1e-3


def test_a_step_hangs_on_the_last_state_alone() -> None:
    sampled = UNEVEN.sample(8_000, seed=4).numpy()
    before, now, then = (sampled[:, k : 30 + k].ravel() for k in (0, 1, 2))
    for state in range(3):
        here = now == state
        table = np.zeros((3, 3))
        np.add.at(table, (before[here], then[here]), 1)
        table = table[table.sum(1) > 0][:, table.sum(0) > 0]
        assert stats.chi2_contingency(table).pvalue > 1e-3


def test_sequences_start_anywhere_and_are_functions_of_their_seed() -> None:
    first = UNEVEN.sample(6_000, seed=0)
    assert first.shape == (6_000, 32)
    assert first.dtype == torch.int64
    assert stats.chisquare(np.bincount(first[:, 0].numpy())).pvalue > 1e-3
    assert torch.equal(first, UNEVEN.sample(6_000, seed=0))
    assert not torch.equal(first, UNEVEN.sample(6_000, seed=1))


@given(st.integers(2, 6), seeds)
def test_the_stationary_distribution_is_that_of_the_long_run(states: int, seed: int) -> None:
    chain = random_chain(states, seed)
    pi = chain.stationary
    np.testing.assert_allclose(pi, joint(chain).sum(1), rtol=0, atol=1e-9)
    np.testing.assert_allclose(pi @ chain.transition, pi, rtol=0, atol=1e-12)


@given(st.integers(2, 6), seeds)
def test_the_spectrum_is_without_the_perron_eigenvalue(states: int, seed: int) -> None:
    chain = random_chain(states, seed)
    spectrum = chain.spectrum.numpy()
    assert len(spectrum) == states - 1
    assert (np.diff(spectrum.real) <= 1e-9).all()
    # The coefficients of the characteristic polynomial, so that no order matters.
    found = np.poly(np.append(spectrum, 1.0))
    np.testing.assert_allclose(found, np.poly(chain.transition.numpy()), rtol=0, atol=1e-9)


@pytest.mark.parametrize("states", [3, 4, 5, 6])
def test_a_ring_is_a_circulant(states: int) -> None:
    chain = markov.ring(states)
    roots = np.exp(2j * np.pi * np.arange(1, states) / states)
    found = np.poly(chain.spectrum.numpy())
    np.testing.assert_allclose(found, np.poly(0.75 + 0.25 * roots), rtol=0, atol=1e-12)
    np.testing.assert_allclose(chain.stationary, np.full(states, 1 / states), rtol=0, atol=1e-12)


def test_the_chain_of_the_paper() -> None:
    expected = [[0.75, 0.25, 0, 0], [0, 0.75, 0.25, 0], [0, 0, 0.75, 0.25], [0.25, 0, 0, 0.75]]
    assert markov.ring(4).transition.tolist() == expected
    assert markov.ring(4).states == 4


def test_two_rows_are_two_and_differ() -> None:
    chain = markov.two_rows()
    first, second = chain.rows[0], chain.rows[2]
    assert chain.rows == (first, first, second, second)
    assert first == pytest.approx((1 / 12, 1 / 12, 3 / 4, 1 / 12))
    assert second == pytest.approx((3 / 4, 1 / 12, 1 / 12, 1 / 12))
    # Which of the rows is next depends on one bit: it stays with probability 1/6.
    assert chain.spectrum.tolist() == pytest.approx([0, 0, -2 / 3], abs=1e-9)


@given(st.integers(2, 5), seeds)
def test_the_oracle_is_the_average_regression_of_one_hot_states(states: int, seed: int) -> None:
    chain = random_chain(states, seed)
    # By weighted least squares on every step there is.
    p = joint(chain)
    now, then = (x.ravel() for x in np.indices(p.shape))
    weights = np.sqrt(p.ravel())[:, None]
    x, y = (np.eye(states)[index] for index in (now, then))
    missed = weights * (y - x @ np.linalg.lstsq(weights * x, weights * y, rcond=None)[0])
    spread = weights * (y - p.sum(0))
    expected = np.mean(1 - (missed**2).sum(0) / (spread**2).sum(0))
    assert chain.oracle_r2 == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    "row",
    [(0.5, 0.4), (0.5, 0.6), (1.5, -0.5), (1.0,), (0.5, 0.25, 0.25), (float("nan"), 1.0)],
)
def test_rows_that_are_no_probabilities_are_named(row: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="2 probabilities that sum to 1 in row 1 but got"):
        Chain(((0.5, 0.5), row))
