"""The Haar battery: calibrated where the matrices are Haar, and able to say no."""

import pytest
import torch

import polyrot as pr
from polyrot.linalg.battery import (
    BATTERY,
    adjusted_pvalues,
    haar_pvalues,
    ks_iid_published,
    statistics,
)

D = 16


def smallest(rotations: torch.Tensor) -> float:
    return adjusted_pvalues({"all": rotations}, BATTERY)["all"].value


def test_false_alarms_are_as_rare_as_the_level_says() -> None:
    draws = pr.haar.sample(D, 5 * 200, group="O", seed=11).view(200, 5, D, D)
    alarms = dict.fromkeys((*BATTERY, "trace"), 0)
    for rotations in draws:
        for name, (extreme, count) in haar_pvalues(rotations, tuple(alarms)).items():
            alarms[name] += (extreme + 1) / (count + 1) <= 0.05
    # Binomial(200, 0.05): 99.9% of it lies below 21. Nothing may be far too quiet either.
    for name, count in alarms.items():
        assert 2 <= count <= 20, name


def alternatives() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    eye = torch.eye(D, dtype=torch.float64)
    permutations = torch.stack([eye[torch.randperm(D, generator=generator)] for _ in range(5)])
    signs = torch.randint(0, 2, (5, D, 1), generator=generator).double() * 2 - 1
    blocks = pr.haar.sample(4, 20, seed=5).view(5, 4, 4, 4)
    gaussian = torch.randn(5, D, D, generator=generator, dtype=torch.float64)
    steps = torch.arange(D)
    shift = eye[(steps + 1) % D]
    return {
        "permutation": permutations,
        "signed permutation": permutations * signs,
        "block-Haar": torch.stack([torch.block_diag(*b) for b in blocks]),
        "QR without sign fix": torch.linalg.qr(gaussian).Q,
        "cyclic shift, too even": torch.stack([q.T @ shift @ q for q in pr.haar.sample(D, 5)]),
        "identity": eye.expand(5, D, D),
    }


@pytest.mark.parametrize("name", alternatives())
def test_the_battery_rejects(name: str) -> None:
    assert smallest(alternatives()[name]) < 0.01


def test_the_published_test_accepts_what_the_battery_rejects() -> None:
    # Basis-aligned structure with a Haar-like spectrum: signed permutations.
    signed = alternatives()["signed permutation"]
    assert ks_iid_published(signed)[1] > 0.05
    assert smallest(signed) < 0.01


def test_statistics_by_hand() -> None:
    eye = torch.eye(4, dtype=torch.float64)[None]
    found = statistics(eye)
    assert float(found["trace"]) == pytest.approx(4)
    assert float(found["entries"]) == pytest.approx(4)  # d for any signed permutation
    # tr I^k = 4 for every k: (4 - [k even])^2 / k.
    expected = sum((4 - (k % 2 == 0)) ** 2 / k for k in range(1, 9))
    assert float(found["traces"]) == pytest.approx(expected)
    assert float(found["angles"]) == pytest.approx(1)  # all mass at angle 0
    quarter = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    assert float(statistics(torch.block_diag(quarter, quarter)[None])["angles"]) == 0.5


@pytest.mark.parametrize("d", [7, 8])
def test_spacings_ignore_the_eigenvalues_that_a_determinant_forces(d: int) -> None:
    rotations = pr.haar.sample(d, 400, group="SO", seed=0)
    mirrored = rotations.clone()
    mirrored[:, :, 0] *= -1
    for matrices in (rotations, mirrored):
        ratio = statistics(matrices)["spacings"]
        assert bool(((ratio > 0) & (ratio < 1)).all())
        # Eigenvalues repel: equal spacing would give 1, independent angles 0.39.
        assert 0.5 < float(ratio.mean()) < 0.75


def test_a_damaged_null_is_drawn_again(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    from polyrot.linalg import battery

    monkeypatch.setenv("POLYROT_CACHE", str(tmp_path))
    battery._null.cache_clear()
    rotations = pr.haar.sample(6, 3, seed=0)
    before = haar_pvalues(rotations, BATTERY)
    for file in (tmp_path / "nulls").iterdir():
        file.write_bytes(file.read_bytes()[:100])
    battery._null.cache_clear()
    assert haar_pvalues(rotations, BATTERY) == before
    battery._null.cache_clear()
