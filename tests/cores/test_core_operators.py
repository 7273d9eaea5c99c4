"""Operators of a core: planted dynamics, Markov chains, planted circles, points without any."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import one_hot

import polyrot as pr
from polyrot.cores import Shift, fit_dynamics, fit_shift, random_shift
from polyrot.tasks import markov
from polyrot.tasks.markov import Chain

seeds = st.integers(0, 10_000)


def normal(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def change_of_coordinates(d: int, *, seed: int) -> torch.Tensor:
    gains = torch.linspace(0.1, 4, d, dtype=torch.float64)
    return pr.haar.sample(d, seed=seed) * gains @ pr.haar.sample(d, seed=seed + 1)


def by_value(values: torch.Tensor) -> list[complex]:
    return sorted(values.tolist(), key=lambda value: (-round(value.real, 6), -value.imag))


# Dynamics.


def orbits(operator: torch.Tensor, *, seed: int, positions: int = 6) -> torch.Tensor:
    """Sequences that follow an operator exactly, each with its negative: centred as they are."""
    states = [normal(40, len(operator), seed=seed)]
    for _ in range(positions - 1):
        states.append(states[-1] @ operator)
    sequences = torch.stack(states, dim=1)
    return torch.cat([sequences, -sequences])


@given(st.integers(2, 5), seeds)
def test_a_planted_operator_is_recovered(d: int, seed: int) -> None:
    operator = normal(d, d, seed=seed)
    operator *= 0.9 / torch.linalg.eigvals(operator).abs().max()
    found = fit_dynamics(orbits(operator, seed=seed + 1))
    torch.testing.assert_close(found.operator, operator, rtol=0, atol=1e-7)
    assert found.r2 == pytest.approx(1, abs=1e-9)
    assert by_value(found.eigenvalues) == pytest.approx(
        by_value(torch.linalg.eigvals(operator)), abs=1e-6
    )


def test_a_constant_offset_is_no_part_of_the_dynamics() -> None:
    sequences = orbits(normal(3, 3, seed=0) / 3, seed=1)
    plain, moved = fit_dynamics(sequences), fit_dynamics(sequences + 7)
    torch.testing.assert_close(moved.operator, plain.operator, rtol=0, atol=1e-9)
    assert moved.r2 == pytest.approx(1, abs=1e-9)


def test_eigenvalues_come_in_order() -> None:
    c, s = 0.6 * math.cos(1.0), 0.6 * math.sin(1.0)
    operator = torch.block_diag(
        torch.tensor([[-0.5]]), torch.tensor([[c, s], [-s, c]]), torch.tensor([[0.8]])
    ).double()
    turn = pr.haar.sample(4, seed=0)
    found = fit_dynamics(orbits(turn @ operator @ turn.mT, seed=0)).eigenvalues
    assert found.tolist() == pytest.approx([0.8, c + s * 1j, c - s * 1j, -0.5], abs=1e-6)


@given(st.integers(1, 5), st.sampled_from([2, 3, 10]), seeds)
def test_no_coordinates_decide_what_is_explained(d: int, positions: int, seed: int) -> None:
    # Uneven over positions, so that what is white over all of them is not over the later ones.
    noise = normal(30, positions, d, seed=seed) * torch.linspace(1, 3, positions)[:, None]
    z = noise.clone()
    z[:, 1:, 0] += noise[:, :-1, -1]
    change = change_of_coordinates(d, seed=seed) if d > 1 else torch.full((1, 1), 3.0).double()
    plain, moved = fit_dynamics(z), fit_dynamics(z @ change)
    assert moved.r2 == pytest.approx(plain.r2, abs=1e-9)
    expected = torch.linalg.inv(change) @ plain.operator @ change
    torch.testing.assert_close(moved.operator, expected, rtol=0, atol=1e-8)


def test_what_is_explained_is_that_of_each_next_coordinate() -> None:
    # Of independent coordinates with unit variance, the first is predicted with R2 0.75.
    driven = torch.zeros(4_000, 10, 2, dtype=torch.float64)
    noise = normal(4_000, 10, 2, seed=0)
    driven[:, 0] = noise[:, 0]
    for t in range(1, 10):
        driven[:, t, 0] = 0.75**0.5 * driven[:, t - 1, 0] + 0.5 * noise[:, t, 0]
        driven[:, t, 1] = noise[:, t, 1]
    assert fit_dynamics(driven).r2 == pytest.approx(0.75 / 2, abs=0.01)


def in_the_core(chain: Chain, sequences: int, *, seed: int) -> torch.Tensor:
    """One-hot states without the last column, which the others determine."""
    return one_hot(chain.sample(sequences, seed=seed), chain.states).double()[..., :-1]


@pytest.mark.parametrize("states", [3, 4, 6])
def test_states_of_a_uniform_chain_reach_the_oracle(states: int) -> None:
    chain = markov.ring(states)
    found = fit_dynamics(in_the_core(chain, 6_000, seed=1))
    # 6000 sequences of 31 steps: the standard error of a correlation is 0.0023.
    assert found.r2 == pytest.approx(chain.oracle_r2, abs=0.007)
    assert by_value(found.eigenvalues) == pytest.approx(by_value(chain.spectrum), abs=0.015)
    # ||M||^2 / (V - 1), where M is the transition without the Perron direction.
    rest = chain.transition - 1 / states
    assert chain.oracle_r2 == pytest.approx(float(rest.square().sum()) / (states - 1), abs=1e-10)


def test_states_of_another_chain_reach_the_correlation_of_its_steps() -> None:
    # Where states are not equally frequent, whitened coordinates are no one-hot ones.
    chain = markov.two_rows()
    pi = chain.stationary
    correlation = pi[:, None].sqrt() * chain.transition / pi.sqrt()
    expected = (float(correlation.square().sum()) - 1) / 3
    found = fit_dynamics(in_the_core(chain, 6_000, seed=1))
    assert found.r2 == pytest.approx(expected, abs=0.01)
    assert abs(found.r2 - chain.oracle_r2) > 0.03
    assert by_value(found.eigenvalues)[-1] == pytest.approx(-2 / 3, abs=0.015)


@pytest.mark.usefixtures("unchecked")
def test_the_published_r2_depends_on_the_coordinates() -> None:
    x = normal(50, 30, 2, seed=0)
    x[:, 1:, 0] = x[:, :-1, 0]  # so that one coordinate stays, and the other is noise
    x = x.cumsum(1) * torch.tensor([1.0, 0.0]) + x * torch.tensor([0.0, 1.0])
    turned = x @ torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    here, there = (fit_dynamics(z).score_by_coordinate(z) for z in (x, turned))
    assert here == pytest.approx(fit_dynamics(x).r2, abs=0.01)
    assert there > here + 0.2


@pytest.mark.usefixtures("unchecked")
def test_coordinates_without_a_next_position_are_named() -> None:
    message = r"\[sequence, position, rank\] with two positions or more but got \[.*\]"
    for wrong in (normal(50, 1, 3, seed=0), normal(50, 3, seed=0)):
        with pytest.raises(ValueError, match=message):
            fit_dynamics(wrong)


def test_coordinates_that_do_not_vary_are_named() -> None:
    z = normal(50, 4, 2, seed=0)
    for wrong in (torch.cat([z, z.sum(-1, keepdim=True)], dim=-1), z * 0, z * 0 + 0.1):
        with pytest.raises(ValueError, match=r"all \d coordinates to vary .* lower rank"):
            fit_dynamics(wrong)


# The cyclic shift.


def circles(answers: int, frequencies: tuple[int, ...]) -> torch.Tensor:
    """Every answer on a circle at each frequency."""
    turns = 2 * torch.pi * torch.arange(answers, dtype=torch.float64)[:, None] / answers
    angles = turns * torch.tensor(frequencies)
    return torch.cat([angles.cos(), angles.sin()], dim=1)


@pytest.mark.parametrize(
    ("answers", "frequencies"), [(53, (1,)), (53, (3, 17, 26)), (16, (2, 5)), (31, (4, 9, 11, 15))]
)
def test_planted_circles_are_found(answers: int, frequencies: tuple[int, ...]) -> None:
    points = circles(answers, frequencies)
    d = 2 * len(frequencies) + 3
    hidden = points @ change_of_coordinates(d, seed=0)[: points.shape[1]] + 5
    for means in (points, hidden):
        shift = fit_shift(means)
        assert shift.operator.shape == (points.shape[1],) * 2
        assert shift.r2 == pytest.approx(1, abs=1e-10)
        # The mean of what was fitted is not quite the circles' centre.
        assert 0.98 < shift.r2_held_out < 1 + 1e-9
        assert shift.modes == frequencies
        assert shift.ring_share == 1
        assert not shift.automatic
        assert torch.allclose(shift.eigenvalues.abs(), torch.ones(1).double(), atol=1e-9)


def test_half_the_answers_is_the_highest_frequency() -> None:
    alternating = torch.tensor([1.0, -1.0]).double().repeat(8)[:, None]
    shift = fit_shift(torch.cat([alternating, circles(16, (1,))], dim=1))
    assert shift.modes == (1, 8)
    # A frequency above one half is its complement.
    assert fit_shift(circles(53, (50,))).modes == (3,)


@pytest.mark.parametrize("d", [5, 20, 40])
def test_points_without_any_circle_fit_and_do_not_predict(d: int) -> None:
    shift = random_shift(53, d, seed=0)
    assert not shift.automatic
    # A linear map of d of 52 dimensions explains d / 52 of anything.
    assert shift.r2 == pytest.approx(d / 52, abs=0.12)
    assert shift.r2_held_out < 0
    assert shift.ring_share < 0.2


@pytest.mark.parametrize("d", [56, 128])
def test_as_many_dimensions_as_answers_are_a_ring_whatever_the_points(d: int) -> None:
    for seed in (1, 2, 3):
        shift = random_shift(53, d, seed=seed)
        assert shift.automatic
        assert len(shift.operator) == 52
        assert shift.r2 == pytest.approx(1, abs=1e-8)
        assert shift.ring_share == 1
        assert shift.modes == tuple(range(1, 27))
        assert shift.r2_held_out < 0.1


def reference(points: np.ndarray, held_out: int) -> tuple[float, float]:
    """R2 on all answers, and pooled over every block of answers that is left out."""
    p = len(points)

    def errors(fitted: list[int], scored: list[int]) -> tuple[float, float]:
        x = points - points[fitted].mean(0)
        now = [i for i in fitted if (i + 1) % p in fitted]
        operator = np.linalg.pinv(x[now]) @ x[[(i + 1) % p for i in now]]
        edges = [(i, (i + 1) % p) for i in scored if (i + 1) % p in scored]
        missed = sum(((x[b] - x[a] @ operator) ** 2).sum() for a, b in edges)
        return missed, sum((x[b] ** 2).sum() for _, b in edges)

    everything = list(range(p))
    blocks = [[(start + i) % p for i in range(held_out)] for start in range(p)]
    pooled = np.sum([errors([i for i in everything if i not in b], b) for b in blocks], axis=0)
    missed, spread = errors(everything, everything)
    return 1 - missed / spread, 1 - pooled[0] / pooled[1]


@pytest.mark.parametrize(("answers", "held_out"), [(53, 4), (20, 3), (80, 6)])
def test_what_is_held_out_is_every_block_in_turn(answers: int, held_out: int) -> None:
    # Noisy circles off the origin, of full rank: nothing is cut.
    points = circles(answers, (2, 5)) + 0.3 * normal(answers, 4, seed=0) + 2
    shift = fit_shift(points)
    expected = reference(points.numpy(), held_out)
    assert (shift.r2, shift.r2_held_out) == pytest.approx(expected, abs=1e-10)


@settings(max_examples=10)
@given(st.integers(2, 9), seeds)
def test_a_rotation_of_the_coordinates_changes_nothing(d: int, seed: int) -> None:
    points = normal(20, d, seed=seed)
    plain, turned = fit_shift(points), fit_shift(points @ pr.haar.sample(d, seed=seed) - 4)
    assert turned.r2 == pytest.approx(plain.r2, abs=1e-9)
    assert turned.r2_held_out == pytest.approx(plain.r2_held_out, abs=1e-7)
    assert by_value(turned.eigenvalues) == pytest.approx(by_value(plain.eigenvalues), abs=1e-6)
    assert turned.modes == plain.modes


def test_directions_below_a_thousandth_are_cut() -> None:
    points = circles(53, (4,))
    noise = normal(53, 1, seed=0)
    noise = (noise - noise.mean()) / noise.std()
    for scale, kept in ((1e-2, 3), (1e-4, 2)):
        assert fit_shift(torch.cat([points, scale * noise], dim=1)).operator.shape == (kept, kept)


def test_near_the_ring_is_within_half_a_chord() -> None:
    width = math.sin(math.pi / 53)
    radii = [1 + 0.99 * width, 1 - 0.99 * width, 1 + 1.01 * width, 1 - 1.01 * width]
    shift = Shift(torch.diag(torch.tensor(radii, dtype=torch.float64)), 0.0, 0.0, 53)
    assert sorted(v.real for v in shift.near_ring.tolist()) == pytest.approx(radii[1::-1])
    assert shift.ring_share == 0.5
    assert shift.modes == (0,)


def test_a_random_shift_is_a_function_of_its_seed() -> None:
    assert random_shift(20, 4, seed=1).r2 == random_shift(20, 4, seed=1).r2
    assert random_shift(20, 4, seed=1).r2 != random_shift(20, 4, seed=2).r2


@pytest.mark.usefixtures("unchecked")
def test_too_few_answers_are_named() -> None:
    message = r"\[answer, rank\], 8 answers or more, but got \[.*\]"
    for wrong in (normal(7, 3, seed=0), normal(20, seed=0)):
        with pytest.raises(ValueError, match=message):
            fit_shift(wrong)
    assert fit_shift(normal(8, 3, seed=0)).answers == 8


@pytest.mark.parametrize("value", [0.0, 0.1, 1e3 / 7])
def test_answers_that_are_all_alike_are_named(value: float) -> None:
    with pytest.raises(
        ValueError, match="means that differ between answers but they are all equal"
    ):
        fit_shift(torch.full((53, 4), value, dtype=torch.float64))
