"""The Haar battery: calibrated where the matrices are Haar, and able to say no."""

import pytest
import torch
from haar_alternatives import signed_permutations

import polyrot as pr
from polyrot.linalg.battery import BATTERY, ks_iid_published, statistics
from polyrot.stats import nulls

D = 16


@pytest.mark.parametrize("d", [9, 16])
@pytest.mark.parametrize("group", ["SO", "O"])
def test_one_matrix_or_several(d: int, group: str) -> None:
    several = pr.haar.test(pr.haar.sample(d, 3, group=group, seed=5))
    single = pr.haar.test(pr.haar.sample(d, group=group, seed=5).numpy())
    for found in (several, single):
        assert set(found.pvalues) == set(BATTERY)
        assert all(0 < p <= 1 for p in found.pvalues.values())
        assert found.pvalue == min(found.adjusted.values())
        assert all(found.adjusted[name] >= p for name, p in found.pvalues.items())


def test_what_is_no_stack_of_orthogonal_matrices_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected rotation to be orthogonal"):
        pr.haar.test(torch.ones(4, 4))
    with pytest.raises(ValueError, match=r"shape \[d, d\] or \[matrix, d, d\]"):
        pr.haar.test(pr.haar.sample(4, 6, seed=0).view(2, 3, 4, 4))


def test_the_published_test_accepts_what_the_battery_rejects() -> None:
    # Basis-aligned structure with a Haar-like spectrum: signed permutations.
    signed = signed_permutations(D, 3)
    assert ks_iid_published(signed)[1] > 0.05
    assert pr.haar.test(signed).pvalue < 0.01


def test_statistics_by_hand() -> None:
    eye = torch.eye(4, dtype=torch.float64)[None]
    found = statistics(eye, ("trace", *BATTERY))
    assert float(found["trace"]) == pytest.approx(4)
    assert float(found["entries"]) == pytest.approx(4)  # d for any signed permutation
    # tr I^k = 4 for every k: (4 - [k even])^2 / k.
    expected = sum((4 - (k % 2 == 0)) ** 2 / k for k in range(1, 9))
    assert float(found["traces"]) == pytest.approx(expected)
    assert float(found["angles"]) == pytest.approx(1)  # all mass at angle 0
    assert float(found["signed permutation"]) == 0
    quarter = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    turned = torch.block_diag(quarter, quarter)[None]
    assert float(statistics(turned, ("angles",))["angles"]) == 0.5
    mixed = pr.haar.sample(6, seed=2)
    distance = torch.linalg.matrix_norm(mixed - pr.nearest_signed_permutation(mixed)) / 12**0.5
    nearest = statistics(mixed[None], ("signed permutation",))["signed permutation"]
    assert float(nearest) == pytest.approx(float(distance))


@pytest.mark.parametrize("d", [7, 8])
def test_spacings_ignore_the_eigenvalues_that_a_determinant_forces(d: int) -> None:
    rotations = pr.haar.sample(d, 400, group="SO", seed=0)
    mirrored = rotations.clone()
    mirrored[:, :, 0] *= -1
    for matrices in (rotations, mirrored):
        ratio = statistics(matrices, ("spacings",))["spacings"]
        assert bool(((ratio > 0) & (ratio < 1)).all())
        # Eigenvalues repel: equal spacing would give 1, independent angles 0.39.
        assert 0.5 < float(ratio.mean()) < 0.75


def test_a_damaged_null_is_drawn_again(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYROT_CACHE", str(tmp_path))
    monkeypatch.setattr(nulls, "_memory", {})
    rotations = pr.haar.sample(6, 3, seed=0)
    before = pr.haar.test(rotations)
    files = list((tmp_path / "nulls").iterdir())
    assert len(files) == 3  # both determinants, and the entries
    for file in files:
        file.write_bytes(file.read_bytes()[:100])
    monkeypatch.setattr(nulls, "_memory", {})
    assert pr.haar.test(rotations) == before
