"""Fits: recovery, equivariance, optimality, degenerate input, and what errors say."""

import math
import re
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import polyrot as pr
from polyrot.linalg import identifiable
from polyrot.linalg.identifiable import identifiable_rank
from polyrot.linalg.procrustes import COMPETITORS

dimensions = st.integers(2, 12)
seeds = st.integers(0, 10_000)


def normal(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@given(dimensions, seeds, st.floats(1.0, 100.0))
def test_a_planted_rotation_is_recovered(d: int, seed: int, condition: float) -> None:
    x = normal(50 * d, d, seed=seed) * torch.logspace(0, 1, d, base=condition, dtype=torch.float64)
    planted = pr.haar.sample(d, group="O", seed=seed)
    fit = pr.align(x, x @ planted + 7.0)
    torch.testing.assert_close(fit.rotation, planted, rtol=0, atol=1e-10)
    assert fit.ev == pytest.approx(1, abs=1e-12)
    assert fit.ev_fit == pytest.approx(1, abs=1e-12)


@given(dimensions, seeds)
def test_every_direction_of_a_planted_rotation_is_identified(d: int, seed: int) -> None:
    x = normal(200 * d, d, seed=seed)
    assert pr.align(x, x @ pr.haar.sample(d, seed=seed)).identifiable_rank == d


@given(dimensions, seeds)
def test_equivariance(d: int, seed: int) -> None:
    x = normal(400, d, seed=seed)
    y = x @ normal(d, d, seed=seed + 1) + normal(400, d, seed=seed + 2)
    p, q = pr.haar.sample(d, 2, group="O", seed=seed)
    plain, moved = pr.align(x, y), pr.align(x @ p, y @ q)
    torch.testing.assert_close(moved.rotation, p.T @ plain.rotation @ q, rtol=0, atol=1e-8)
    assert moved.ev == pytest.approx(plain.ev, abs=1e-10)


@given(dimensions, seeds, st.sampled_from(["O", "SO"]))
def test_no_random_competitor_is_better(d: int, seed: int, group: str) -> None:
    x, y = normal(100, d, seed=seed), normal(100, d, seed=seed + 1)
    fit = pr.align(x, y, group=group, holdout=0)
    xc, yc = x - x.mean(0), y - y.mean(0)
    residual = (xc @ fit.rotation - yc).square().sum()
    near = torch.linalg.matrix_exp(0.05 * (normal(d, d, seed=seed) - normal(d, d, seed=seed).T))
    competitors = [*pr.haar.sample(d, 20, group=group, seed=seed), fit.rotation @ near]
    for competitor in competitors:
        assert residual <= (xc @ competitor - yc).square().sum() + 1e-9


@given(dimensions, seeds)
def test_special_group_has_determinant_one(d: int, seed: int) -> None:
    x = normal(200, d, seed=seed)
    mirror = pr.haar.sample(d, seed=seed)
    mirror[0] *= -1
    free, special = pr.align(x, x @ mirror), pr.align(x, x @ mirror, group="SO")
    assert free.det == pytest.approx(-1)
    assert special.det == pytest.approx(1)
    assert special.ev_fit < free.ev_fit
    # It gives up the least correlated direction, and that one alone.
    difference = torch.linalg.svdvals(free.rotation - special.rotation)
    assert difference.tolist() == pytest.approx([2.0] + [0.0] * (d - 1), abs=1e-8)


@given(dimensions, seeds)
def test_explained_variance_from_moments_equals_that_from_tokens(d: int, seed: int) -> None:
    x, y = normal(640, d, seed=seed), normal(640, d, seed=seed + 1) + 3
    y = y + x
    fit = pr.align(x, y, holdout=0)
    by_hand = 1 - (fit.apply(x) - y).square().sum() / (y - y.mean(0)).square().sum()
    assert fit.ev_fit == pytest.approx(float(by_hand), abs=1e-12)
    assert math.isnan(fit.ev)


def test_held_out_tokens_are_not_fitted() -> None:
    # As many tokens as dimensions: a perfect fit of noise, worth nothing elsewhere.
    x, y = normal(80, 60, seed=0), normal(80, 60, seed=1)
    fit = pr.align(x, y, holdout=0.25, sequence=torch.arange(80))
    assert fit.moments.count == 60
    assert fit.ev_fit > 0.5
    assert fit.ev < 0


def test_sequences_are_held_out_whole() -> None:
    x = normal(100, 3, seed=0)
    sequence = torch.arange(100) // 25
    counts = {pr.align(x, x, sequence=sequence, seed=s).moments.count for s in range(5)}
    assert counts == {75}


@given(seeds)
def test_degenerate_spectrum_still_gives_a_rotation(seed: int) -> None:
    x = torch.cat([torch.eye(6, dtype=torch.float64)] * 2)  # all singular values equal
    turn = pr.haar.sample(6, seed=seed)
    fit = pr.align(x, x @ turn, holdout=0)
    eye = torch.eye(6, dtype=torch.float64)
    torch.testing.assert_close(fit.rotation @ fit.rotation.T, eye, rtol=0, atol=1e-12)
    assert fit.ev_fit == pytest.approx(1, abs=1e-12)


@given(st.integers(1, 5), seeds)
def test_rank_deficient_data_leave_directions_open(rank: int, seed: int) -> None:
    x = normal(400, rank, seed=seed) @ normal(rank, 8, seed=seed + 1)
    fit = pr.align(x, x @ pr.haar.sample(8, seed=seed))
    assert fit.ev == pytest.approx(1, abs=1e-9)
    assert fit.identifiable_rank == rank
    assert fit.condition_number > 1e9


@given(st.integers(1, 7), seeds)
def test_rounding_does_not_choose_the_directions_left_open(rank: int, seed: int) -> None:
    x = normal(400, rank, seed=seed) @ normal(rank, 8, seed=seed + 1)
    y = x @ pr.haar.sample(8, seed=seed)
    fit = pr.align(x, y, holdout=0, seed=seed)
    backwards = pr.align(x.flip(0), y.flip(0), holdout=0, seed=seed)  # sums in another order
    torch.testing.assert_close(backwards.rotation, fit.rotation, rtol=0, atol=1e-6)


def test_directions_left_open_are_turned_by_a_haar_matrix() -> None:
    x = normal(400, 4, seed=0) * torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    fits = [pr.align(x, x, holdout=0, seed=seed) for seed in range(200)]
    left_open = torch.stack([fit.rotation[1:, 1:] for fit in fits])
    assert pr.haar.test(left_open, seed=0).pvalue > 0.01
    assert {round(fit.det) for fit in fits} == {-1, 1}
    assert all(round(pr.align(x, x, group="SO", seed=seed).det) == 1 for seed in range(20))


@given(seeds)
def test_nearly_singular_directions_are_still_rotated_correctly(seed: int) -> None:
    gains = torch.tensor([1.0, 1.0, 1e-6], dtype=torch.float64)
    x = normal(300, 3, seed=seed) * gains
    planted = pr.haar.sample(3, seed=seed)
    torch.testing.assert_close(pr.align(x, x @ planted).rotation, planted, rtol=0, atol=1e-8)


def test_fewer_tokens_than_dimensions_are_allowed() -> None:
    x = normal(60, 50, seed=0)
    y = x @ pr.haar.sample(50, seed=1)
    few, more = pr.align(x[:20], y[:20], holdout=0), pr.align(x, y, holdout=0)
    assert few.ev_fit == pytest.approx(1, abs=1e-9)
    # Twenty tokens of white data fit as well under any pairing: nothing is identified.
    assert few.identifiable_rank == 0
    assert 0 < more.identifiable_rank <= 50


@pytest.mark.parametrize("at_once", [1, 5])
def test_the_null_of_the_rank_is_the_same_however_many_draws_are_in_memory(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    d = 16  # normals come in sixteens: a multiple leaves the stream as it is
    x = normal(60, d, seed=0) * torch.linspace(0.1, 2, d)
    moments = pr.Moments.from_arrays(x, x @ pr.haar.sample(d, seed=1) + normal(60, d, seed=2))
    whole = identifiable_rank(moments, 0)
    assert 0 < whole < d
    monkeypatch.setattr(identifiable, "NULL_NUMBERS", at_once * d**2)
    assert identifiable_rank(moments, 0) == whole


def test_identifiable_rank_of_unrelated_noise_is_zero() -> None:
    ranks = [
        pr.align(normal(500, 16, seed=s), normal(500, 16, seed=s + 99)).identifiable_rank
        for s in range(40)
    ]
    # One of 40 shuffles in the null exceeds by chance: 2.5% of 40 fits is one.
    assert sum(rank > 0 for rank in ranks) <= 4


def test_gaussian_null_of_the_rank_agrees_with_real_shuffles() -> None:
    x = normal(600, 8, seed=0) ** 3
    y = x @ normal(8, 8, seed=1) + 40 * normal(600, 8, seed=2)
    moments = pr.Moments.from_arrays(x, y)
    observed = torch.linalg.svdvals(moments.cross)
    generator = torch.Generator().manual_seed(0)
    shuffled = torch.stack(
        [
            torch.linalg.svdvals(
                pr.Moments.from_arrays(x, y[torch.randperm(600, generator=generator)]).cross
            )
            for _ in range(39)
        ]
    )
    by_shuffling = int((observed > shuffled.amax(0)).long().cumprod(0).sum())
    assert abs(by_shuffling - identifiable_rank(moments, 0)) <= 1
    assert 0 < by_shuffling < 8


@given(dimensions, seeds)
def test_competitors_are_what_they_are_called(d: int, seed: int) -> None:
    x = normal(300, d, seed=seed)
    y = 2 * x @ pr.haar.sample(d, seed=seed) + 0.1 * normal(300, d, seed=seed + 1)
    fits = {group: pr.align(x, y, group=group) for group in COMPETITORS}
    eye = torch.eye(d, dtype=torch.float64)
    assert torch.equal(fits["identity"].rotation, eye)
    for group in ("permutation", "signed-permutation"):
        r = fits[group].rotation
        assert torch.equal(r.abs().sum(0), torch.ones(d, dtype=torch.float64))
        assert torch.equal(r @ r.T, eye)
    assert fits["scaled"].scale == pytest.approx(2, rel=0.05)
    assert fits["affine"].ev_fit >= fits["scaled"].ev_fit - 1e-6
    assert fits["scaled"].ev_fit > pr.align(x, y).ev_fit


def test_affine_recovers_a_linear_map_and_survives_rank_deficiency() -> None:
    x = normal(500, 5, seed=0)
    a = normal(5, 5, seed=1)
    fit = pr.align(x, x @ a + 1, group="affine")
    torch.testing.assert_close(fit.rotation, a, rtol=0, atol=1e-8)
    doubled = torch.cat([x, x], dim=1)
    assert pr.align(doubled, doubled, group="affine").ev == pytest.approx(1, abs=1e-9)
    with pytest.raises(ValueError, match="singular"):
        pr.align(doubled, doubled, group="affine").inverse()


def test_signed_permutation_is_found() -> None:
    signs = torch.diag(torch.tensor([1.0, -1, 1, -1], dtype=torch.float64))
    planted = signs[torch.tensor([2, 0, 3, 1])]
    x = normal(200, 4, seed=0)
    assert torch.equal(pr.align(x, x @ planted, group="signed-permutation").rotation, planted)
    assert torch.equal(pr.nearest_signed_permutation(planted + 0.1), planted)


@given(dimensions, seeds)
def test_inverse_undoes_and_vectors_are_not_shifted(d: int, seed: int) -> None:
    x = normal(100, d, seed=seed)
    for group in ("O", "scaled", "affine"):
        fit = pr.align(x, 3 * x @ pr.haar.sample(d, seed=seed) + 5, group=group)
        torch.testing.assert_close(fit.inverse().apply(fit.apply(x)), x, rtol=0, atol=1e-7)
        v = x[0] - x[1]
        torch.testing.assert_close(
            fit.carry_vector(v), fit.apply(x[:2])[0] - fit.apply(x[:2])[1], rtol=0, atol=1e-8
        )


def test_arrays_tensors_and_moments_give_the_same_fit() -> None:
    x, y = normal(256, 6, seed=0), normal(256, 6, seed=1)
    from_tensors = pr.align(x, y, holdout=0).rotation
    from_arrays = pr.align(np.asarray(x), np.asarray(y), holdout=0).rotation
    from_moments = pr.align(moments=pr.Moments.from_arrays(x, y)).rotation
    assert torch.equal(from_tensors, from_arrays)
    torch.testing.assert_close(from_tensors, from_moments, rtol=0, atol=1e-13)


X = normal(100, 4, seed=0)
BAD = [
    (X, X[:50], ValueError, "the same tokens but got 100 and 50"),
    (X, normal(100, 5, seed=1), ValueError, "one d_model but got 4 and 5"),
    (X.where(X < 1, torch.nan), X, ValueError, "source to be finite but"),
    (X, X.where(X < 1, torch.inf), ValueError, "target to be finite but"),
    (X, torch.ones(100, 4), ValueError, "target to vary over tokens"),
    (X.long(), X, TypeError, "source of a floating type but got torch.int64; convert it"),
    (X[:, :1], X[:, :1], ValueError, "source with d_model of at least 2 but got 1"),
    (X[0], X[0], ValueError, r"source of shape [token, d_model] but got (4,)"),
    (X[:1], X[:1], ValueError, "source with at least 2 tokens but got 1"),
]


@pytest.mark.parametrize(("x", "y", "error", "message"), BAD)
def test_bad_input_is_named_once_and_clearly(x, y, error, message) -> None:
    with pytest.raises(error, match=re.escape(message)) as caught:
        pr.align(x, y)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"holdout": 1.0}, "got holdout=1.0"),
        ({"sequence": torch.zeros(3)}, "sequence of shape [token] = (100,) but got (3,)"),
        ({"moments": pr.Moments.from_arrays(X, X)}, "either arrays or moments but got both"),
    ],
)
def test_bad_options_are_named(arguments, message) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        pr.align(X, X, **arguments)


@pytest.mark.parametrize(
    "call",
    [
        "haar.sample(3, group='U')",
        "haar.sample_eigenangles(3, group='U')",
        "align(x, x, group='U')",
    ],
)
@pytest.mark.process
def test_a_wrong_group_is_named(pytester: pytest.Pytester, call: str) -> None:
    # In a process of its own: here the run-time type checker would speak first.
    code = f"import torch, polyrot as pr; x = torch.randn(9, 3); pr.{call}"
    result = pytester.run(sys.executable, "-c", code)
    result.stderr.fnmatch_lines(["ValueError: Expected group * but got group='U'"])


def test_nothing_to_align_is_named() -> None:
    with pytest.raises(ValueError, match="but got neither"):
        pr.align()
