"""ReLU, TopK, GroupTopK and JumpReLU: by hand, and unmoved by being carried to another basis."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from planted_saes import ACTIVATIONS, D_MODEL, FEATURES, K, normal, planted_sae

import polyrot as pr
from polyrot.suites.artifacts import SHIPPED


def test_each_activation_by_hand() -> None:
    pre = torch.tensor([[3.0, -4.0, 1.0, 2.0], [-1.0, -2.0, 0.5, -3.0]])
    assert pr.ReLU()(pre).tolist() == [[3, 0, 1, 2], [0, 0, 0.5, 0]]
    # The second of two largest may be negative, and is then silent.
    assert pr.TopK(2)(pre).tolist() == [[3, 0, 0, 2], [0, 0, 0.5, 0]]
    # A group is weighed by its norm, and keeps its signs.
    assert pr.GroupTopK(groups=1, rank=2)(pre).tolist() == [[3, -4, 0, 0], [0, 0, 0.5, -3]]
    # A feature at its threshold is off; one below zero is off whatever its threshold.
    jump = pr.JumpReLU(torch.tensor([3.0, -5.0, 0.5, 1.0]))
    assert jump(pre).tolist() == [[0, 0, 1, 2], [0, 0, 0, 0]]


def test_topk_keeps_at_most_k_and_none_smaller_than_one_left_out() -> None:
    pre = normal(500, FEATURES, seed=0) - 0.5
    kept = pr.TopK(K)(pre)
    assert bool(((kept > 0).sum(1) <= K).all())
    assert bool(((kept == 0) | (kept == pre)).all())
    left_out = torch.where(kept > 0, 0.0, pre.clamp(min=0)).amax(1)
    full = (kept > 0).sum(1) == K
    assert bool(full.any())
    assert bool((left_out[full] < kept.masked_fill(kept == 0, torch.inf).amin(1)[full]).all())
    assert bool((left_out[~full] == 0).all())


@pytest.mark.parametrize("k", [0, -1, FEATURES + 1])
def test_a_k_that_does_not_fit_is_named(k: int) -> None:
    weights = planted_sae("relu")
    with pytest.raises(ValueError, match=f"Expected 1 <= k <= 24 features but got k={k}"):
        pr.SAE(weights.W_enc, weights.b_enc, weights.W_dec, weights.b_dec, activation=pr.TopK(k))


@pytest.mark.parametrize(
    ("groups", "rank", "message"),
    [
        (1, 0, "rank to divide 24 features but got rank=0"),
        (1, 7, "rank to divide 24 features but got rank=7"),
        (0, 3, "1 <= groups <= 8 groups of 3 features but got groups=0"),
        (9, 3, "1 <= groups <= 8 groups of 3 features but got groups=9"),
    ],
)
def test_groups_that_do_not_fit_are_named(groups: int, rank: int, message: str) -> None:
    weights = planted_sae("relu")
    activation = pr.GroupTopK(groups=groups, rank=rank)
    with pytest.raises(ValueError, match=message):
        pr.SAE(weights.W_enc, weights.b_enc, weights.W_dec, weights.b_dec, activation=activation)


def test_thresholds_that_do_not_fit_are_named() -> None:
    weights = planted_sae("relu")
    jump = pr.JumpReLU(torch.zeros(D_MODEL))
    with pytest.raises(
        ValueError, match=r"threshold of shape \[feature\] = \(24,\) but got \(8,\)"
    ):
        pr.SAE(weights.W_enc, weights.b_enc, weights.W_dec, weights.b_dec, activation=jump)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_encoder_subtracts_the_decoders_bias_only_where_told(activation: str) -> None:
    x = normal(50, D_MODEL, seed=5).double()
    told = planted_sae(activation)
    untold = planted_sae(activation, apply_b_dec_to_input=False)
    torch.testing.assert_close(untold.encode(x - told.b_dec), told.encode(x))
    assert not torch.allclose(untold.encode(x), told.encode(x))


@pytest.mark.parametrize("apply_b_dec_to_input", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("group", ["O", "scaled", "affine"])
@given(seed=st.integers(0, 100))
def test_carrying_leaves_the_latents(
    group: str, activation: str, apply_b_dec_to_input: bool, seed: int
) -> None:
    sae = planted_sae(activation, seed=seed, apply_b_dec_to_input=apply_b_dec_to_input)
    x = normal(200, D_MODEL, seed=seed + 10).double() + 2
    # A map of no group: whatever was fitted, the latents must stay.
    y = x @ normal(D_MODEL, D_MODEL, seed=seed + 11).double() + normal(D_MODEL, seed=seed + 12)
    fit = pr.align(x, y, group=group)
    carried = fit.carry_sae(sae)
    latents = sae.encode(x)
    again = carried.encode(fit.apply(x))
    assert bool((latents > 0).any())
    assert torch.equal(again > 0, latents > 0)
    torch.testing.assert_close(again, latents, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(
        carried.decode(latents), fit.apply(sae.decode(latents)), rtol=1e-6, atol=1e-8
    )


def test_shipped_files_are_read_and_written_as_ever(tmp_path: Path) -> None:
    folder = next(iter(sorted((SHIPPED / "dyck3" / "sae").iterdir())))
    sae = pr.SAE.load(folder)
    x = normal(100, sae.d_model, seed=0)
    single = sae.to(torch.float32)
    by_hand = torch.relu(torch.addmm(single.b_enc, x - single.b_dec, single.W_enc))
    assert torch.equal(single.encode(x), by_hand)
    sae.save(tmp_path)
    for file in folder.iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()
