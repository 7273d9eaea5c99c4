"""Absorption and splitting of dictionaries in which both are planted."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import polyrot as pr
from polyrot.sae.absorption import (
    Units,
    absorption,
    absorption_fraction,
    fully_absorbed,
    main_units,
)
from polyrot.sae.activations import GroupTopK

PROBE = torch.tensor([1.0, 0.0, 0.0])
MAIN, ABSORBER, ASIDE = range(3)


def units_of(*codes: list[float]) -> Units:
    """Columns along the probe, at 60 degrees to it, and at a right angle; tokens that they make."""
    rows = torch.tensor([[1.0, 0, 0], [0.5, 0.75**0.5, 0], [0, 0, 1]])
    z = torch.tensor(codes)
    return Units(z @ rows, z, z[:, :, None], rows[:, None])


def test_what_the_main_unit_writes_alone_is_not_absorbed() -> None:
    units = units_of([2.0, 0, 0], [2.0, 0, 5.0])
    assert absorption_fraction(units, PROBE, [MAIN]).tolist() == [0, 0]
    assert not fully_absorbed(units, PROBE, [MAIN]).any()


def test_what_another_aligned_unit_writes_is_absorbed_in_its_share() -> None:
    units = units_of([0, 2.0, 0], [1.0, 2.0, 0], [1.0, 6.0, 0])
    found = absorption_fraction(units, 7 * PROBE, [MAIN])  # of a direction, of whatever length
    assert found.tolist() == pytest.approx([1, 0.5, 0.75])
    assert fully_absorbed(units, PROBE, [MAIN]).tolist() == [True, False, False]
    # As a main unit it absorbs nothing.
    assert absorption_fraction(units, PROBE, [MAIN, ABSORBER]).tolist() == [0, 0, 0]


def test_less_than_the_least_share_is_no_absorption() -> None:
    units = units_of([1.0, 1.0, 0], [1.0, 1.5, 0])  # a third, and 3 of 7
    assert absorption_fraction(units, PROBE, [MAIN]).tolist() == pytest.approx([0, 3 / 7])


def test_a_unit_that_is_not_aligned_does_not_absorb() -> None:
    units = units_of([0, 0, 5.0])
    tilted = replace(units, x=torch.tensor([[1.0, 0, 5.0]]))  # something is there, unwritten
    assert absorption_fraction(tilted, PROBE, [MAIN]).tolist() == [0]
    assert not fully_absorbed(tilted, PROBE, [MAIN]).any()


def test_three_units_absorb_together_and_no_more() -> None:
    rows = torch.eye(3)[:1].expand(6, 3)
    codes = torch.tensor([[0, 1.0, 1.0, 1.0, 1.0, 1.0]])
    units = Units(codes @ rows, codes, codes[:, :, None], rows[:, None])
    one = replace(units, codes=codes[:, :, None] + torch.eye(6)[0][None, :, None])
    assert absorption_fraction(units, PROBE, [0]).tolist() == [1]
    assert absorption_fraction(one, PROBE, [0]).tolist() == [0.75]  # 3 of 3 + 1


def grouped(rank: int) -> pr.SAE:
    generator = torch.Generator().manual_seed(3)
    rows = torch.linalg.qr(torch.randn(8, 8, generator=generator)).Q
    zeros = torch.zeros(8)
    return pr.SAE(rows.mT.contiguous(), zeros, rows, zeros + 0.5, {}, GroupTopK(2, rank))


def test_a_group_is_read_by_its_norm_and_writes_what_its_columns_write() -> None:
    sae = grouped(2)
    x = torch.randn(20, 8, generator=torch.Generator().manual_seed(4))
    units, columns = Units.groups(sae, x), Units.columns(sae, x)
    direction = torch.randn(8, generator=torch.Generator().manual_seed(5))
    codes = sae.encode(x)
    assert torch.allclose(units.reading, codes.unflatten(1, (4, 2)).norm(dim=2).double())
    total, written, cosine = units.along(direction)
    unit = direction.double() / direction.double().norm()
    assert torch.allclose(total, (x - sae.b_dec).double() @ unit)
    decoded = (sae.decode(codes) - sae.b_dec).double() @ unit
    assert torch.allclose(written.sum(1), decoded, atol=1e-5)
    # The rows are orthonormal: what a group writes is as long as its codes.
    expected = torch.where(units.reading > 0, written / units.reading.clamp(min=1e-9), 0.0)
    assert torch.allclose(cosine, expected.double(), atol=1e-5)
    raw, by_column, fixed = columns.along(direction)
    assert torch.allclose(raw, x.double() @ unit)
    assert torch.allclose(by_column.unflatten(1, (4, 2)).sum(2), written, atol=1e-5)
    assert torch.allclose(fixed, (sae.W_dec.double() @ unit).expand(20, 8), atol=1e-5)


def test_without_groups_both_kinds_of_units_are_columns() -> None:
    sae = replace(grouped(2), activation=pr.TopK(3))
    x = torch.randn(20, 8, generator=torch.Generator().manual_seed(4))
    assert torch.equal(Units.groups(sae, x).reading, Units.columns(sae, x).reading)
    shifted = replace(Units.groups(sae, x), x=x)
    for own, other in zip(shifted.along(x[0]), Units.columns(sae, x).along(x[0]), strict=True):
        assert torch.equal(own, other)


def one_hot(feature: Tensor, count: int) -> Units:
    codes = torch.nn.functional.one_hot(feature, count).float()
    return Units(codes, codes, codes[:, :, None], torch.eye(count)[:, None])


@pytest.mark.parametrize("pieces", [1, 2, 4])
def test_an_answer_is_split_into_as_many_units_as_are_planted(pieces: int) -> None:
    feature = torch.arange(800) % 8
    units, yes = one_hot(feature, 8), feature < pieces
    main, score = main_units(units, yes, units, yes)
    assert (sorted(main), score) == (list(range(pieces)), 1.0)


def test_a_unit_that_adds_too_little_is_no_split() -> None:
    feature = torch.where(torch.arange(800) % 100 < 2, 1, 2 * (torch.arange(800) % 2))
    units, yes = one_hot(feature, 3), feature < 2  # of the answers 2 in 51 have the second unit
    assert main_units(units, yes, units, yes)[0] == [0]


def test_an_answer_that_no_probe_finds_is_refused() -> None:
    units = one_hot(torch.arange(8) % 2, 2)
    yes = torch.arange(8) % 2 == 1
    with pytest.raises(ValueError, match="Expected a probe that finds some of the answers"):
        absorption(units, yes, units, yes, yes & ~yes, torch.ones(2))


@pytest.mark.parametrize(("released", "fraction"), [(False, 1.0), (True, 0.0)])
def test_a_token_against_the_answer_absorbs_nothing_in_the_released_code(
    released: bool, fraction: float
) -> None:
    """Its main unit writes less still: by the other rule it is absorbed whole."""
    eye = torch.eye(3)
    codes = torch.tensor([[-2.0, 1.0, 0.0]])
    units = Units(codes @ eye, codes.double(), codes[:, :, None], eye[:, None], released)
    assert float(absorption_fraction(units, eye[0] + 0.9 * eye[1], [0])) == fraction


@pytest.mark.parametrize("released", [False, True])
def test_a_main_unit_with_a_negative_code_is_silent_in_the_released_code(released: bool) -> None:
    eye = torch.eye(2)
    codes = torch.tensor([[-0.1, 1.0]])
    units = Units(codes @ eye, codes.double(), codes[:, :, None], eye[:, None], released)
    assert bool(fully_absorbed(units, eye[0] + eye[1], [0])) is released


def test_latents_are_scored_as_the_released_code_does_and_groups_are_not() -> None:
    sae = grouped(2)
    x = torch.randn(4, sae.d_model, generator=torch.Generator().manual_seed(0))
    assert Units.columns(sae, x).released
    assert not Units.groups(sae, x).released
    assert Units.columns(sae, x).of_tokens(torch.ones(4, dtype=torch.bool)).released
