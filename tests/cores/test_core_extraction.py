"""Extraction from activations and a tail: closed forms, batches, degenerate input."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from planted_gramians import assert_same_spans, normal

from polyrot.cores import core_of, extract, observability, reachability

seeds = st.integers(0, 10_000)


@given(st.integers(2, 6), seeds)
def test_reachability_is_the_covariance(d: int, seed: int) -> None:
    x = normal(20, d, seed=seed) + 10
    torch.testing.assert_close(
        reachability(x), torch.from_numpy(np.cov(x.numpy(), rowvar=False)), rtol=0, atol=1e-12
    )


def test_a_linear_tail_gives_the_core_of_its_matrix() -> None:
    x, matrix = normal(300, 6, seed=0), normal(6, 3, seed=1)
    core = extract(x, lambda h: h @ matrix + 1)
    expected = core_of(reachability(x), matrix @ matrix.mT)
    torch.testing.assert_close(core.weights, expected.weights, rtol=1e-10, atol=0)
    assert_same_spans(core.directions, expected.directions)


MATRIX = normal(5, 3, seed=7)


def bent(h: torch.Tensor) -> torch.Tensor:
    return torch.tanh(h @ MATRIX)


def test_jacobians_of_a_nonlinear_tail_in_closed_form_and_by_differences() -> None:
    x = normal(40, 5, seed=0)
    found = observability(bent, x)
    slopes = 1 - bent(x) ** 2
    closed = sum(MATRIX @ torch.diag(s**2) @ MATRIX.mT for s in slopes) / len(x)
    torch.testing.assert_close(found, closed, rtol=0, atol=1e-12)
    step, eye = 1e-5, torch.eye(5, dtype=torch.float64)
    jacobians = torch.stack(
        [(bent(x + step * e) - bent(x - step * e)) / (2 * step) for e in eye], dim=2
    )
    by_differences = torch.einsum("tod,toe->de", jacobians, jacobians) / len(x)
    torch.testing.assert_close(found, by_differences, rtol=0, atol=1e-8)


@pytest.mark.parametrize("rows", [1, 7, 256])
def test_batches_change_nothing(rows: int) -> None:
    x = normal(300, 5, seed=0)
    seen = []

    def tail(h: torch.Tensor) -> torch.Tensor:
        seen.append(len(h))
        return bent(h)

    found = observability(tail, x, rows=rows)
    torch.testing.assert_close(found, observability(bent, x, rows=300), rtol=0, atol=1e-13)
    assert max(seen) == rows
    assert sum(seen) == 300


def test_jacobians_are_taken_at_a_seeded_sample_of_the_activations() -> None:
    x = normal(50, 5, seed=0)
    seen: list[torch.Tensor] = []

    def tail(h: torch.Tensor) -> torch.Tensor:
        seen.append(h.detach())
        return bent(h)

    first = extract(x, tail, samples=10, seed=0)
    assert torch.equal(first.weights, extract(x, tail, samples=10, seed=0).weights)
    assert not torch.equal(first.weights, extract(x, tail, samples=10, seed=1).weights)
    for states in seen:
        assert len(states) == 10
        rows = [int((x == state).all(1).nonzero()) for state in states]
        assert len(set(rows)) == 10
    assert not torch.equal(seen[0], x[:10])
    # More than there are is all of them.
    everywhere = extract(x, bent, samples=10_000)
    expected = core_of(reachability(x), observability(bent, x))
    torch.testing.assert_close(everywhere.weights, expected.weights, rtol=1e-10, atol=1e-14)


def test_the_tail_gets_its_own_dtype_and_gramians_are_double() -> None:
    x = normal(60, 5, seed=0)

    def tail(h: torch.Tensor) -> torch.Tensor:
        assert h.dtype == torch.float32
        return torch.tanh(h @ MATRIX.float())

    found = observability(tail, x.float())
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, observability(bent, x), rtol=1e-4, atol=1e-5)
    assert extract(x.float(), tail).directions.dtype == torch.float64


def test_activations_of_inference_mode_will_do() -> None:
    with torch.inference_mode():
        x = normal(60, 5, seed=0).clone()
    with torch.no_grad():
        found = observability(bent, x)
    torch.testing.assert_close(found, observability(bent, normal(60, 5, seed=0)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_core_is_found_where_its_activations_are() -> None:
    x, matrix = normal(300, 5, seed=0), MATRIX.cuda()
    core = extract(x.cuda(), lambda h: torch.tanh(h @ matrix), samples=50)
    assert core.directions.device.type == core.mean.device.type == "cuda"
    expected = extract(x, bent, samples=50)
    torch.testing.assert_close(core.weights.cpu(), expected.weights, rtol=1e-8, atol=0)
    assert core.coordinates(x.cuda()).device.type == "cuda"


# What cannot be extracted.

EYE = torch.eye(4, dtype=torch.float64)
X = normal(50, 4, seed=0)


def detached(h: torch.Tensor) -> torch.Tensor:
    return h.detach()[:, :2]


def weights_without_states(h: torch.Tensor) -> torch.Tensor:
    weight = torch.ones(4, 2, dtype=torch.float64, requires_grad=True)
    return h.detach() @ weight


UNREAD = "output does not depend on the states; remove detach"
TAILS: list[tuple[Callable[[torch.Tensor], torch.Tensor], str]] = [
    (lambda h: h * 0, "observability to be nonzero: the tail does not depend"),
    (lambda h: torch.ones(len(h), 2, dtype=h.dtype), UNREAD),
    (detached, UNREAD),
    (weights_without_states, UNREAD),
    (lambda h: h[:, :1].sqrt(), "tail to have finite derivatives but some are not finite"),
    (lambda h: (h - h).sqrt(), "tail to have finite derivatives but some are not finite"),
]


@pytest.mark.parametrize(("tail", "message"), TAILS)
def test_tails_that_read_nothing_are_named(tail, message) -> None:
    with pytest.raises(ValueError, match=message):
        extract(X, tail)


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        (lambda h: h[:, 0], r"\[50, output\] for 50 states but got \[50\]"),
        (lambda h: h[1:], r"\[50, output\] for 50 states but got \[49, 4\]"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_tails_of_another_shape_are_named(tail, message) -> None:
    with pytest.raises(ValueError, match=message):
        extract(X, tail)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1e3 / 7])
def test_constant_activations_are_named(value: float) -> None:
    # 0.1 too, of which the mean is off by a rounding error.
    for count in (53, 300, 500):
        constant = torch.full((count, 4), value, dtype=torch.float64)
        with pytest.raises(ValueError, match="reachability to be nonzero: the activations"):
            extract(constant, lambda h: h)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_activations_that_are_not_finite_are_named(value: float) -> None:
    x = X.clone()
    x[3, 1] = value
    with pytest.raises(ValueError, match="activations to be finite but some are not a number"):
        extract(x, lambda h: h)


@pytest.mark.usefixtures("unchecked")
def test_activations_of_another_shape_are_named() -> None:
    for wrong in (X[0], X[:1], X[None]):
        with pytest.raises(ValueError, match=r"shape \[token, d_model\], at least 2 tokens"):
            reachability(wrong)
    assert observability(lambda h: h, X[:1]).equal(EYE)
    with pytest.raises(ValueError, match="at least 1 tokens"):
        observability(lambda h: h, X[:0])


ASYMMETRIC = EYE + 0.1 * torch.ones(4, 4, dtype=torch.float64).triu(1)
INDEFINITE = torch.diag(torch.tensor([3.0, 2.0, 1.0, -0.5], dtype=torch.float64))


@pytest.mark.parametrize(
    ("reached", "read", "message"),
    [
        (ASYMMETRIC, EYE, "reachability to be symmetric"),
        (EYE, ASYMMETRIC, "observability to be symmetric"),
        (INDEFINITE, EYE, "reachability to be positive semi-definite .* eigenvalue is -0.5"),
        (EYE, INDEFINITE, "observability to be positive semi-definite"),
        (EYE * math.nan, EYE, "reachability to be finite"),
        (EYE, EYE * math.inf, "observability to be finite"),
        (0 * EYE, EYE, "reachability to be nonzero: the activations do not vary"),
        (EYE, 0 * EYE, "observability to be nonzero: the tail does not depend"),
        (
            EYE * EYE[0],
            EYE * EYE[1],
            "share a direction but the tail reads no direction that varies",
        ),
    ],
)
def test_gramians_that_are_none_are_named(reached, read, message) -> None:
    with pytest.raises(ValueError, match=message):
        core_of(reached, read)


@pytest.mark.usefixtures("unchecked")
def test_gramians_of_another_shape_are_named() -> None:
    with pytest.raises(ValueError, match=r"one shape but got \[4, 4\] and \[3, 3\]"):
        core_of(EYE, EYE[:3, :3])
    with pytest.raises(ValueError, match=r"observability to be square but got shape \[4, 3\]"):
        core_of(EYE, EYE[:, :3])


@pytest.mark.parametrize("energy", [0.0, -0.1, 1.01, math.nan])
def test_an_energy_that_is_no_share_is_named(energy: float) -> None:
    with pytest.raises(ValueError, match=r"energy in \(0, 1\] but got energy="):
        core_of(EYE, EYE, energy=energy)
