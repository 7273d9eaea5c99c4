"""Haar sampling and eigenangles, against theory and against a general eigensolver."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import polyrot as pr
from polyrot.linalg import haar

seeds = st.integers(0, 1000)


@given(st.integers(2, 20), seeds, st.sampled_from(["O", "SO"]))
def test_samples_are_orthogonal_with_the_right_determinant(d: int, seed: int, group: str) -> None:
    r = pr.haar.sample(d, 4, group=group, seed=seed)
    eye = torch.eye(d, dtype=torch.float64).expand(4, d, d)
    torch.testing.assert_close(r @ r.mT, eye, rtol=0, atol=1e-12)
    det = torch.linalg.det(r)
    torch.testing.assert_close(det.abs(), torch.ones(4, dtype=torch.float64))
    assert group == "O" or bool((det > 0).all())


def test_both_determinants_come_from_the_full_group() -> None:
    det = torch.linalg.det(pr.haar.sample(5, 400, group="O", seed=0))
    assert 150 < int((det > 0).sum()) < 250


@pytest.mark.parametrize("group", ["O", "SO"])
@pytest.mark.parametrize("d", [2, 3, 8])
def test_invariance_under_fixed_rotations(d: int, group: str) -> None:
    # Haar means that R, A R and R B have one distribution: compare an entry, a corner
    # minor and the trace by two-sample tests at a fixed seed.
    first = pr.haar.sample(d, 4000, group=group, seed=1)
    second = pr.haar.sample(d, 4000, group=group, seed=2)
    a, b = pr.haar.sample(d, 2, seed=3)
    for moved in (a @ second, second @ b, a @ second @ b):
        for statistic in (
            lambda r: r[:, 0, -1],
            lambda r: r[:, 0, 0] * r[:, 1, 1],
            lambda r: r.diagonal(dim1=1, dim2=2).sum(1),
        ):
            # Rounded: reflections of the plane have trace exactly 0, up to rounding.
            values = [statistic(r).numpy().round(9) for r in (first, moved)]
            assert stats.ks_2samp(*values).pvalue > 0.001


@pytest.mark.parametrize(("d", "group"), [(3, "SO"), (8, "O"), (20, "SO"), (64, "SO")])
def test_trace_has_mean_zero_and_variance_one(d: int, group: str) -> None:
    draws = 20_000 if d < 64 else 2_000
    traces = pr.haar.sample(d, draws, group=group, seed=4).diagonal(dim1=1, dim2=2).sum(1)
    assert abs(float(traces.mean())) < 4 / draws**0.5
    assert float(traces.var()) == pytest.approx(1, abs=6 / draws**0.5)


def test_without_the_sign_fix_the_test_above_would_fail() -> None:
    gaussian = torch.randn(2000, 20, 20, generator=torch.Generator().manual_seed(0))
    traces = torch.linalg.qr(gaussian).Q.diagonal(dim1=1, dim2=2).sum(1)
    assert abs(float(traces.mean())) > 40 / 2000**0.5


@pytest.mark.parametrize(("d", "columns"), [(5, 5), (9, 4)])
def test_a_draw_is_the_unique_factor_of_its_gaussian(d: int, columns: int) -> None:
    # The Gaussian is built from the numbers that were drawn, column by column: what the
    # reflections so far map to the drawn vector below the diagonal, and to anything above.
    # (Signs on the rows of Q instead of its columns would be Haar too, and another factor.)
    q = haar.frames(d, columns, 6, np.random.default_rng(4)).numpy()
    rng = np.random.default_rng(4)
    above = np.random.default_rng(5).standard_normal((d, columns))
    for found in q:
        reflections, gaussian = np.eye(d), np.zeros((d, columns))
        for k in range(columns):
            drawn = rng.standard_normal(d - k)
            gaussian[:, k] = reflections @ np.concatenate([above[:k, k], drawn])
            axis = np.zeros(d - k)
            axis[0] = -np.copysign(np.linalg.norm(drawn), drawn[0])
            normal = (drawn - axis) / np.linalg.norm(drawn - axis)
            reflections[:, k:] -= 2 * np.outer(reflections[:, k:] @ normal, normal)
        factor, triangle = np.linalg.qr(gaussian)
        factor *= np.sign(np.diag(triangle))
        np.testing.assert_allclose(found, factor, rtol=0, atol=1e-12)


def test_draws_are_functions_of_their_seed() -> None:
    assert torch.equal(pr.haar.sample(6, 3, seed=1), pr.haar.sample(6, 3, seed=1))
    assert not torch.equal(pr.haar.sample(6, seed=1), pr.haar.sample(6, seed=2))
    assert pr.haar.sample(6).shape == (6, 6)
    assert pr.haar.sample(6, 1).shape == (1, 6, 6)


@given(st.integers(2, 24), seeds)
def test_eigenangles_equal_those_of_a_general_solver(d: int, seed: int) -> None:
    r = pr.haar.sample(d, group="O", seed=seed)
    general = np.sort(np.abs(np.angle(np.linalg.eigvals(r.numpy()))))
    ours = pr.haar.eigenangles(r).numpy()
    inside = (general > 1e-3) & (general < np.pi - 1e-3)
    np.testing.assert_allclose(ours[inside], general[inside], rtol=0, atol=1e-11)
    np.testing.assert_allclose(ours, general, rtol=0, atol=1e-7)


def test_eigenangles_of_known_matrices() -> None:
    angles = torch.tensor([0.3, 1.2, 3.0], dtype=torch.float64)
    blocks = [torch.tensor([[t.cos(), -t.sin()], [t.sin(), t.cos()]]) for t in angles]
    found = pr.haar.eigenangles(torch.block_diag(*blocks))
    torch.testing.assert_close(found, angles.repeat_interleave(2), rtol=0, atol=1e-12)
    eye = torch.eye(3, dtype=torch.float64)
    assert pr.haar.eigenangles(eye).tolist() == [0, 0, 0]
    assert pr.haar.eigenangles(-eye).tolist() == pytest.approx([np.pi] * 3)
    stacked = pr.haar.eigenangles(torch.stack([eye, -eye]))
    assert stacked.shape == (2, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: pr.haar.sample(1), ValueError, "got d=1"),
        (lambda: pr.haar.eigenangles(torch.ones(3, 3)), ValueError, "to be orthogonal but"),
        (lambda: pr.haar.eigenangles(torch.ones(3, 2)), ValueError, r"shape \[..., d, d\]"),
        (lambda: pr.haar.eigenangles(torch.eye(3).long()), TypeError, "floating type"),
    ],
)
def test_bad_input_is_named(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()


COMPONENTS = [(d, group) for d in (2, 3, 8, 9, 20) for group in ("SO", "O-")]


def of_component(d: int, size: int, group: str, seed: int) -> torch.Tensor:
    """Haar matrices by QR, of one determinant."""
    matrices = pr.haar.sample(d, size, group="SO", seed=seed)
    if group == "O-":
        matrices[:, :, 0] *= -1
    return matrices


@pytest.mark.parametrize(("d", "group"), COMPONENTS)
@pytest.mark.seconds
def test_eigenangles_drawn_without_matrices_have_the_law_of_those_with(d: int, group: str) -> None:
    size = 20_000
    drawn = pr.haar.sample_eigenangles(d, size, group=group, seed=5)
    matrices = pr.haar.eigenangles(of_component(d, size, group, seed=6))
    assert drawn.shape == (size, d // 2)
    full = haar.all_eigenangles(drawn, d, proper=group == "SO")
    assert full.shape == matrices.shape
    traces = [torch.cos(angles).sum(1) for angles in (full, matrices)]
    for power in (1, 2, 3, 4):
        a, b = (t**power for t in traces)
        error = (a.var() / size + b.var() / size).sqrt()
        # Four standard errors: one false alarm in 15,000, of 40 comparisons.
        assert float((a.mean() - b.mean()).abs()) <= 4 * float(error) + 1e-9
    # Order statistics and spacings; 70 two-sample tests, each at 1e-4. Rounded, because
    # a forced eigenvalue is exact in one and off by 1e-8 in the other.
    gaps = [angles[:, 1::2].diff(dim=1) for angles in (full, matrices)]
    for a, b in ((full[:, 1::2], matrices[:, 1::2]), (gaps[0], gaps[1])):
        for column in range(a.shape[1]):
            values = [v[:, column].numpy().round(6) for v in (a, b)]
            assert stats.ks_2samp(*values).pvalue > 1e-4


@pytest.mark.parametrize("group", ["SO", "O-"])
def test_drawn_traces_have_mean_zero_and_variance_one(group: str) -> None:
    half = pr.haar.sample_eigenangles(20, 40_000, group=group, seed=8)
    trace = torch.cos(haar.all_eigenangles(half, 20, proper=group == "SO")).sum(1)
    # Standard errors 0.005 and 0.007: four of each.
    assert abs(float(trace.mean())) < 0.02
    assert abs(float(trace.var()) - 1) < 0.03


def test_the_full_group_mixes_both_components() -> None:
    angles = pr.haar.sample_eigenangles(8, 2_000, group="O", seed=3)
    reflected = float((angles[:, -1] == torch.pi).double().mean())
    assert 0.45 < reflected < 0.55  # four standard errors
    single = pr.haar.sample_eigenangles(8, seed=3)
    assert single.shape == (4,)
    assert torch.equal(single, pr.haar.sample_eigenangles(8, seed=3))
    with pytest.raises(ValueError, match="Expected d of at least 2 but got d=1"):
        pr.haar.sample_eigenangles(1)
