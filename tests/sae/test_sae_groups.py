"""What groups write, and how alike dictionaries are group by group, where it is known."""

import math

import pytest
import torch
from torch import Tensor

import polyrot as pr
from polyrot.linalg import haar
from polyrot.sae import groups

D_MODEL, GROUPS, RANK = 24, 6, 4


def normal(*shape: int, seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


def planted(seed: int = 0) -> pr.SAE:
    """Groups of random directions, two of which are on at a time."""
    columns = normal(GROUPS * RANK, D_MODEL, seed=seed)
    columns /= columns.norm(dim=1, keepdim=True)
    zeros = (torch.zeros(n, dtype=torch.float64) for n in (GROUPS * RANK, D_MODEL))
    b_enc, b_dec = zeros
    return pr.SAE(columns.mT.contiguous(), b_enc, columns, b_dec, activation=pr.GroupTopK(2, RANK))


def plane(*angles: float) -> Tensor:
    """As many directions, each at its angle, in degrees, to an axis of its own."""
    rows = torch.zeros(len(angles), D_MODEL, dtype=torch.float64)
    for i, angle in enumerate(map(math.radians, angles)):
        rows[i, 2 * i], rows[i, 2 * i + 1] = math.cos(angle), math.sin(angle)
    return rows


def test_what_is_written_is_the_covariance_of_the_contributions() -> None:
    sae, x = planted(), 1 + normal(500, D_MODEL, seed=1)
    on = sae.encode(x).unflatten(1, (GROUPS, RANK))
    parts = torch.einsum("tgr,grd->tgd", on, sae.W_dec.unflatten(0, (GROUPS, RANK)))
    assert torch.allclose(parts.sum(1), sae.decode(sae.encode(x)))
    varying = parts - parts.mean(0)
    expected = torch.einsum("tgi,tgj->gij", varying, varying) / len(x)
    own = groups.written(sae, x)
    assert torch.allclose(own.mT @ own, expected)
    assert torch.allclose(groups.energies(own), parts.var(0, correction=0).sum(1))


def test_a_feature_is_a_group_of_one() -> None:
    sae = planted()
    single = pr.SAE(sae.W_enc, sae.b_enc, sae.W_dec, sae.b_dec, activation=pr.TopK(3))
    own = groups.written(single, normal(200, D_MODEL, seed=1))
    assert own.shape == (GROUPS * RANK, 1, D_MODEL)
    cosines = single.W_dec @ single.W_dec.mT
    assert torch.allclose(groups.overlaps(own, own), cosines.square())


def test_the_overlap_is_the_mean_squared_cosine_of_known_angles() -> None:
    first, second = plane(0, 0)[None], plane(30, 60)[None]
    assert float(groups.overlaps(first, second)) == pytest.approx((0.75 + 0.25) / 2)
    # As large as what is written along each is.
    strong = torch.tensor([[3.0], [1.0]], dtype=torch.float64)
    expected = (81 * 0.75 + 0.25) / (81 + 1)
    assert float(groups.overlaps(strong * first, strong * second)) == pytest.approx(expected)


def test_rows_that_a_group_does_not_use_have_no_say() -> None:
    own = plane(0, 0, 0)[None]
    weights = torch.tensor([[1.0], [1.0], [0.0]], dtype=torch.float64)
    other = own.clone()
    other[0, 2] = plane(90, 90, 90)[2]
    assert float(groups.overlaps(weights * own, weights * other)) == pytest.approx(1)
    assert groups.axes((weights * own)[0]).shape == (D_MODEL, 2)
    # Nor does it matter by which rows a subspace is written.
    turned = haar.sample(3, seed=2) @ own
    assert float(groups.overlaps(own, turned)) == pytest.approx(1)


def test_a_group_that_writes_nothing_is_like_none_and_has_no_axes() -> None:
    own = torch.stack([plane(0, 0), torch.zeros(2, D_MODEL, dtype=torch.float64)])
    assert groups.overlaps(own, own).round(decimals=9).tolist() == [[1, 0], [0, 0]]
    assert groups.axes(own[1]).shape == (D_MODEL, 0)
    assert groups.matching(own, own.flip(0))[1] == pytest.approx(1)


def test_a_carried_dictionary_is_matched_group_by_group() -> None:
    sae, x = planted(), normal(800, D_MODEL, seed=1)
    rotation = haar.sample(D_MODEL, group="O", seed=3)
    order = torch.randperm(GROUPS, generator=torch.Generator().manual_seed(4))
    fit = pr.align(x, x @ rotation, holdout=0)
    source, target = groups.written(sae, x), groups.written(fit.carry_sae(sae), x @ rotation)
    partner, overlap = groups.matching(source, (target @ fit.rotation.mT)[order])
    assert overlap == pytest.approx(1)
    assert torch.equal(order[partner], torch.arange(GROUPS))
    assert groups.matching(source, target)[1] < 0.5


def test_what_cannot_be_matched_says_why() -> None:
    own = normal(3, 2, D_MODEL, seed=5)
    with pytest.raises(ValueError, match="Expected equally many groups in both but got 3 and 2"):
        groups.matching(own, own[:2])
    with pytest.raises(ValueError, match="Expected a dictionary that writes something"):
        groups.matching(0 * own, own)
