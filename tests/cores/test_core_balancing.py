"""Balancing two Gramians: a textbook linear system, invariances, how many directions count."""

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st
from planted_gramians import assert_same_spans, gramian, largest_angle, normal, span

import polyrot as pr
from polyrot.cores import Core, core_of, extract, observability

seeds = st.integers(0, 10_000)


class System:
    """A stable linear system: x' = Ax + Bu, y = Cx."""

    def __init__(self, A: np.ndarray, B: np.ndarray, C: np.ndarray) -> None:
        self.A, self.B, self.C = A, B, C
        self.reached = torch.from_numpy(scipy.linalg.solve_discrete_lyapunov(A, B @ B.T))
        self.read = torch.from_numpy(scipy.linalg.solve_discrete_lyapunov(A.T, C.T @ C))

    @classmethod
    def random(cls, d: int, *, seed: int, radius: float = 0.8) -> "System":
        rng = np.random.default_rng(seed)
        A = rng.standard_normal((d, d))
        A *= radius / abs(np.linalg.eigvals(A)).max()
        return cls(A, rng.standard_normal((d, 2)), rng.standard_normal((3, d)))

    def core(self) -> Core:
        return core_of(self.reached, self.read)

    def hankel_singular_values(self, steps: int = 80) -> torch.Tensor:
        """By their definition: of the map from past inputs to future outputs."""
        responses, power = [], self.B
        for _ in range(2 * steps):
            responses.append(self.C @ power)
            power = self.A @ power
        past, future = np.ogrid[:steps, :steps]
        hankel = np.stack(responses)[past + future].swapaxes(1, 2)
        hankel = hankel.reshape(steps * len(self.C), steps * self.B.shape[1])
        return torch.from_numpy(scipy.linalg.svdvals(hankel)[: len(self.A)].copy())

    def balanced(self) -> torch.Tensor:
        """Columns in which both Gramians are diagonal, from Cholesky factors."""
        lower, other = (
            scipy.linalg.cholesky(g.numpy(), lower=True) for g in (self.reached, self.read)
        )
        left, _, _ = scipy.linalg.svd(lower.T @ other)
        return torch.from_numpy(lower @ left)

    def simulate(self, steps: int, *, seed: int) -> torch.Tensor:
        """States under white input, after the first have been forgotten."""
        rng = np.random.default_rng(seed)
        states = np.zeros((steps + 200, len(self.A)))
        for t in range(1, len(states)):
            states[t] = self.A @ states[t - 1] + self.B @ rng.standard_normal(self.B.shape[1])
        return torch.from_numpy(states[200:])

    def future(self, states: torch.Tensor, steps: int = 80) -> torch.Tensor:
        """The outputs from here on, without further input: what the system reads of a state."""
        A, C = torch.from_numpy(self.A), torch.from_numpy(self.C)
        outputs = []
        for _ in range(steps):
            outputs.append(states @ C.mT)
            states = states @ A.mT
        return torch.cat(outputs, dim=1)


# A textbook system.


def in_fractions(a: tuple[Fraction, ...], gains: tuple[int, ...]) -> list[list[Fraction]]:
    """Solve W = A W A' + g g' for a diagonal A: W_ij = g_i g_j / (1 - a_i a_j)."""
    both = range(len(a))
    return [[gains[i] * gains[j] / (1 - a[i] * a[j]) for j in both] for i in both]


def test_a_worked_example_by_hand() -> None:
    # A = diag(1/2, 1/4), B = (1, 1)', C = (1, -1).
    a = (Fraction(1, 2), Fraction(1, 4))
    driven, seen = in_fractions(a, (1, 1)), in_fractions(a, (1, -1))
    assert driven == [[Fraction(4, 3), Fraction(8, 7)], [Fraction(8, 7), Fraction(16, 15)]]
    # The eigenvalues of the product are the squares of the Hankel singular values.
    (m11, m12), (m21, m22) = [
        [sum(driven[i][k] * seen[k][j] for k in (0, 1)) for j in (0, 1)] for i in (0, 1)
    ]
    assert m11 + m22 == Fraction(3344, 11025)
    assert m11 * m22 - m12 * m21 == Fraction(256, 2205) ** 2
    # So their sum is 12 sqrt(41) / 105 and their difference 28 / 105.
    first, second = ((6 * math.sqrt(41) + sign * 14) / 105 for sign in (1, -1))
    eigenvector = torch.tensor([[float(m12)], [first**2 - float(m11)]], dtype=torch.float64)

    reached, read = (
        torch.tensor([[float(x) for x in row] for row in rows], dtype=torch.float64)
        for rows in (driven, seen)
    )
    core = core_of(reached, read)
    assert core.weights.tolist() == pytest.approx([first**2, second**2], rel=1e-12)
    assert largest_angle(core.basis(1), span(eigenvector)) < 1e-12
    # The first direction holds 0.822 of the sum.
    assert [core_of(reached, read, energy=e).rank for e in (0.82, 0.83)] == [1, 2]


@given(
    st.lists(st.floats(-0.9, 0.9), min_size=1, max_size=4, unique_by=lambda a: round(a, 1)), seeds
)
def test_gramians_of_a_diagonal_system_in_closed_form(poles: list[float], seed: int) -> None:
    d = len(poles)
    a, (b, c) = torch.tensor(poles, dtype=torch.float64), normal(2, d, seed=seed)
    system = System(np.diag(poles), b.numpy()[:, None], c.numpy()[None])
    decay = 1 - a[:, None] * a
    reached, read = b[:, None] * b / decay, c[:, None] * c / decay
    torch.testing.assert_close(system.reached, reached, rtol=1e-10, atol=1e-12)
    core = core_of(reached, read)
    expected = system.hankel_singular_values(100).square()[: len(core.weights)]
    torch.testing.assert_close(core.weights, expected, rtol=0, atol=1e-8 * float(expected[0]))


@given(st.integers(1, 6), seeds)
def test_weights_are_squared_hankel_singular_values(d: int, seed: int) -> None:
    system = System.random(d, seed=seed)
    weights = system.core().weights
    by_definition = system.hankel_singular_values()
    assert len(weights) == d
    torch.testing.assert_close(
        weights.sqrt(), by_definition, rtol=0, atol=1e-8 * float(by_definition[0])
    )
    product = torch.linalg.eigvals(system.reached @ system.read).real.sort(descending=True).values
    torch.testing.assert_close(weights, product, rtol=0, atol=1e-8 * float(product[0]))


@pytest.mark.parametrize("seed", range(6))
def test_directions_span_those_of_balanced_truncation(seed: int) -> None:
    system = System.random(5, seed=seed)
    directions = system.core().directions
    eye = torch.eye(5, dtype=torch.float64)
    torch.testing.assert_close(directions.mT @ directions, eye, rtol=0, atol=1e-12)
    assert_same_spans(directions, system.balanced())
    # And by the eigenvectors of the product, which is not symmetric: the other order is wrong.
    values, vectors = torch.linalg.eig(system.reached @ system.read)
    assert_same_spans(directions, vectors.real[:, values.real.argsort(descending=True)])
    other = torch.linalg.eig(system.read @ system.reached)
    wrong = span(other.eigenvectors.real[:, other.eigenvalues.real.argsort(descending=True)][:, :1])
    assert largest_angle(directions[:, :1], wrong) > 0.01


@pytest.mark.seconds
def test_a_simulated_system_converges_to_its_gramians() -> None:
    system = System.random(4, seed=1, radius=0.6)
    exact = system.core()
    assert float(exact.weights[1] / exact.weights[2]) > 2  # two directions are well apart
    errors = []
    for steps in (300, 30_000):
        found = [
            extract(system.simulate(steps, seed=seed), system.future, samples=1)
            for seed in range(3)
        ]
        angles = [largest_angle(core.basis(2), exact.basis(2)) for core in found]
        weights = [float((core.weights / exact.weights - 1).abs().max()) for core in found]
        errors.append((np.mean(angles), np.mean(weights)))
    (few_angle, few_weight), (angle, weight) = errors
    # A hundred times the steps: a tenth of the error, give or take.
    assert angle < few_angle / 4
    assert weight < few_weight / 4
    assert weight < 0.05
    torch.testing.assert_close(
        observability(system.future, system.simulate(2, seed=0)), system.read, rtol=0, atol=1e-8
    )


# Invariances.


@given(st.integers(2, 7), seeds)
def test_a_change_of_coordinates_takes_the_core_along(d: int, seed: int) -> None:
    system = System.random(d, seed=seed)
    change = (
        pr.haar.sample(d, seed=seed) * torch.linspace(1, 3, d) @ pr.haar.sample(d, seed=seed + 1)
    )
    inverse = torch.linalg.inv(change)
    core = system.core()
    moved = core_of(change @ system.reached @ change.mT, inverse.mT @ system.read @ inverse)
    scale = float(core.weights[0])
    torch.testing.assert_close(moved.weights, core.weights, rtol=0, atol=1e-9 * scale)
    gap = float((core.weights[:1] - core.weights[1:2]).abs()) / scale
    tolerance = 1e-9 / gap
    assert largest_angle(moved.basis(1), span(change @ core.basis(1))) < tolerance


@pytest.mark.parametrize("seed", range(4))
def test_a_rotation_rotates_the_core(seed: int) -> None:
    system = System.random(6, seed=seed)
    turn = pr.haar.sample(6, seed=seed)
    moved = core_of(turn @ system.reached @ turn.mT, turn @ system.read @ turn.mT)
    torch.testing.assert_close(moved.weights, system.core().weights, rtol=1e-6, atol=1e-12)
    assert_same_spans(moved.directions, turn @ system.core().directions, atol=1e-7)


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6), seeds)
def test_scales_change_weights_alone(a: float, b: float, seed: int) -> None:
    reached, read = gramian(5, 9, seed=seed), gramian(5, 9, seed=seed + 1)
    plain, scaled = core_of(reached, read), core_of(a * reached, b * read)
    torch.testing.assert_close(scaled.weights, a * b * plain.weights, rtol=1e-7, atol=0)
    assert scaled.rank == plain.rank
    signs = (scaled.directions * plain.directions).sum(0).sign()
    torch.testing.assert_close(scaled.directions * signs, plain.directions, rtol=0, atol=1e-6)


def released(reached: torch.Tensor, read: torch.Tensor, rank: int) -> torch.Tensor:
    """The released code's route: both Gramians with a jitter of 1e-8 of the mean eigenvalue."""
    roots = []
    for g in (reached, read):
        jitter = 1e-8 * g.trace() / len(g) * torch.eye(len(g), dtype=torch.float64)
        values, vectors = torch.linalg.eigh(g + jitter)
        roots.append(vectors * values.clamp(min=0).sqrt())
    left, _, _ = torch.linalg.svd(roots[0].mT @ roots[1])
    return torch.linalg.qr(roots[0] @ left).Q[:, :rank]


@pytest.mark.parametrize("rank_read", [3, 12])
def test_the_released_jitter_moves_no_leading_direction(rank_read: int) -> None:
    for seed in range(5):
        reached, read = gramian(12, 40, seed=seed), gramian(12, rank_read, seed=seed + 50)
        core = core_of(reached, read)
        assert largest_angle(core.basis(3), released(reached, read, 3)) < 1e-6


# How many directions.


@pytest.mark.parametrize("turned", [False, True])
def test_weights_are_as_many_as_directions_both_driven_and_read(turned: bool) -> None:
    for seed in range(5):
        turn = pr.haar.sample(8, seed=seed) if turned else torch.eye(8, dtype=torch.float64)
        reached = turn @ torch.diag(torch.tensor([4.0, 3, 2, 1, 1, 0, 0, 0]).double()) @ turn.mT
        read = turn @ torch.diag(torch.tensor([0.0, 0, 1, 5, 1, 1, 1, 0]).double()) @ turn.mT
        core = core_of(reached, read, energy=1.0)
        assert core.weights.tolist() == pytest.approx([5, 2, 1])
        assert core.rank == 3
        assert_same_spans(core.directions, turn[:, [3, 2, 4]], atol=1e-7)


def test_low_rank_gramians_have_no_weights_of_rounding() -> None:
    for seed in range(5):
        core = core_of(gramian(8, 3, seed=seed), gramian(8, 4, seed=seed + 9), energy=1.0)
        assert len(core.weights) == core.rank == 3


def test_directions_that_do_not_count_are_principal_axes_of_the_rest() -> None:
    reached, read = gramian(6, 20, seed=0), gramian(6, 2, seed=1)
    core = core_of(reached, read)
    assert len(core.weights) == 2
    directions = core.directions
    eye = torch.eye(6, dtype=torch.float64)
    torch.testing.assert_close(directions.mT @ directions, eye, rtol=0, atol=1e-12)
    rest = directions[:, 2:].mT @ reached @ directions[:, 2:]
    torch.testing.assert_close(rest, rest.diagonal().diag(), rtol=0, atol=1e-10)
    assert rest.diagonal().tolist() == sorted(rest.diagonal().tolist(), reverse=True)


@pytest.mark.parametrize(
    ("energy", "rank"),
    [(0.01, 1), (0.64, 1), (0.641, 2), (0.8, 2), (0.81, 3), (0.96, 3), (0.97, 4), (1.0, 4)],
)
def test_energy_thresholds_are_reached_where_they_are_met_exactly(energy: float, rank: int) -> None:
    # Of 25: 16, 20, 24, 25.
    reached = torch.diag(torch.tensor([4.0, 16.0, 1.0, 4.0], dtype=torch.float64))
    assert core_of(reached, torch.eye(4, dtype=torch.float64), energy=energy).rank == rank


def test_equal_weights_are_counted_one_by_one() -> None:
    eye = torch.eye(10, dtype=torch.float64)
    ranks = [core_of(eye, eye, energy=k / 10).rank for k in range(1, 11)]
    assert ranks == list(range(1, 11))


def test_all_the_energy_is_never_more_than_all_the_directions() -> None:
    for seed in range(20):  # shares may sum to less than 1 by rounding
        core = core_of(gramian(7, 9, seed=seed), gramian(7, 9, seed=seed + 40), energy=1.0)
        assert core.rank == len(core.weights) == 7


def test_a_core_has_a_basis_coordinates_and_other_ranks() -> None:
    x = normal(200, 5, seed=0) + 3
    core = extract(x, lambda h: h[:, :2])
    assert core.rank == 2
    torch.testing.assert_close(core.mean, x.mean(0), rtol=0, atol=1e-12)
    expected = (x - x.mean(0)) @ core.directions[:, :2]
    torch.testing.assert_close(core.coordinates(x), expected, rtol=0, atol=1e-12)
    assert core.coordinates(x.float().view(20, 10, 5)).shape == (20, 10, 2)
    assert torch.equal(core.at(4).basis(), core.directions[:, :4])
    assert torch.equal(core.basis(3), core.directions[:, :3])
    assert core.at(4).rank == 4
    for wrong in (0, 6):
        with pytest.raises(ValueError, match=f"rank between 1 and 5 but got rank={wrong}"):
            core.at(wrong)
