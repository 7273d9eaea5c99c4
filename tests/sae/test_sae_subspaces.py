"""What dictionaries make of planted subspaces, told where it is known."""

import math
from dataclasses import replace

import pytest
import torch

from polyrot.experiments.planted.constructed import (
    penalised_decoder,
    planted_dictionary,
    shaken,
    tiled_dictionary,
)
from polyrot.sae.activations import GroupTopK, TopK
from polyrot.sae.model import SAE
from polyrot.sae.subspaces import (
    carriers,
    clustered,
    components,
    effective_rank,
    energies_inside,
    groups_to_span,
    largest_angle,
    match,
    principal,
)
from polyrot.tasks.subspaces import Features, gaussian, random_bases


def features(*dims: int, d_model: int = 24, active: int = 1) -> Features:
    bases = random_bases(dims, d_model, 3, orthogonal=True)
    return Features(bases, (gaussian,) * len(dims), active, (1.0,) * len(dims))


def like(columns: int, rule: TopK | GroupTopK, d_model: int = 24) -> SAE:
    zeros = torch.zeros
    return SAE(
        zeros(d_model, columns), zeros(columns), zeros(columns, d_model), zeros(d_model), {}, rule
    )


def test_one_group_carries_a_planted_feature_and_writes_in_its_subspace() -> None:
    planted = features(2, 3, 1)
    sae = planted_dictionary(planted, like(20, GroupTopK(1, 4)))
    tokens = planted.draw(2_000, 0)
    assert carriers(energies_inside(sae, tokens, planted.bases)) == [1, 1, 1]
    energy, directions = principal(sae, tokens.x)
    units = match(directions, planted.bases)
    assert units.tolist() == [0, 1, 2]
    for unit, basis in zip(units.tolist(), planted.bases, strict=True):
        assert largest_angle(directions[unit], basis) < 0.01
        assert components(energy[unit]) == len(basis)
    assert float(energy[3:].sum()) == 0


def test_a_tiling_spends_many_columns() -> None:
    planted = features(2, 3)
    sae = tiled_dictionary(planted, like(60, TopK(4)), 0)
    counts = carriers(energies_inside(sae, planted.draw(3_000, 1), planted.bases))
    # Thirty directions each, of about the same use.
    assert min(counts) > 15
    assert max(counts) <= 30


def test_columns_that_point_alike_are_told_apart_from_others() -> None:
    planted = features(2, 2, 2)
    sae = tiled_dictionary(planted, like(48, TopK(2)), 1)
    x = planted.draw(3_000, 2).x
    directions = clustered(sae, 3, x)
    units = match(directions, planted.bases).tolist()
    angles = [largest_angle(directions[u], b) for u, b in zip(units, planted.bases, strict=True)]
    assert max(angles) < 0.1


@pytest.mark.parametrize("degrees", [0.0, 3.0, 40.0])
def test_the_largest_angle_is_the_one_by_which_a_direction_was_turned(degrees: float) -> None:
    basis = random_bases((2,), 6, 0)[0].double()
    other = random_bases((1,), 6, 1)[0].double()
    other = other - other @ basis.mT @ basis
    other = other / other.norm()
    angle = math.radians(degrees)
    turned = torch.cat([basis[:1], math.cos(angle) * basis[1:] + math.sin(angle) * other])
    assert largest_angle(turned, basis) == pytest.approx(degrees, abs=1e-5)
    assert largest_angle(basis[:1], basis) == 90.0


def test_components_and_effective_rank_of_known_spectra() -> None:
    assert components(torch.tensor([1.0, 1.0, 1.0])) == 3
    assert components(torch.tensor([0.95, 0.05])) == 1
    assert components(torch.zeros(3)) == 0
    assert effective_rank(torch.full((7,), 2.0)) == pytest.approx(7.0)
    assert 1 < effective_rank(torch.tensor([1.0, 0.1])) < 2


def test_matching_gives_no_unit_twice_and_looks_at_all_of_a_unit_when_told() -> None:
    planted = features(1, 1)
    both = torch.cat(planted.bases)  # a unit that holds the second feature second
    other = random_bases((2,), 24, 9)[0]
    directions = torch.stack([both, other]).double()
    assert sorted(match(directions, planted.bases).tolist()) == [0, 1]
    assert match(directions, planted.bases[1:], whole=True).tolist() == [0]


def test_penalised_rows_are_of_unit_norm_and_of_their_features_rank() -> None:
    planted = features(1, 2, 3, 5)
    blocks = penalised_decoder(planted, groups=6, rank=10)
    torch.testing.assert_close(blocks.norm(dim=2), torch.ones(6, 10))
    for block, dim in zip(blocks, (1, 2, 3, 5, 1, 1), strict=True):
        assert effective_rank(torch.linalg.svdvals(block).square()) == pytest.approx(dim, abs=1e-4)


def test_a_planted_dictionary_that_is_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="Expected a dictionary of 3 groups or more"):
        planted_dictionary(features(1, 1, 1), like(8, GroupTopK(1, 4)))
    with pytest.raises(ValueError, match="Expected a dictionary of 1 groups"):
        planted_dictionary(features(1), like(8, TopK(1)))


def test_shaking_moves_weights_by_no_more_than_it_says() -> None:
    sae = planted_dictionary(features(2), like(8, GroupTopK(1, 4)))
    moved = shaken(sae, 1, by=0.1)
    assert 0.05 < float((moved.W_dec - sae.W_dec).abs().max()) <= 0.1
    assert torch.equal(moved.W_dec, shaken(sae, 1, by=0.1).W_dec)
    assert torch.equal(replace(moved, W_dec=sae.W_dec).W_enc, sae.W_enc)


def test_groups_are_counted_until_their_rows_span_a_subspace() -> None:
    eye = torch.eye(6)
    whole, halves = torch.stack([eye[:3], eye[3:]]), torch.stack([eye[[0, 4]], eye[[1, 5]]])
    assert groups_to_span(whole, eye[:3]) == 1
    assert groups_to_span(halves, eye[:2]) == 2
    # Rows that are never active count, rows that say nothing new do not.
    assert groups_to_span(torch.stack([eye[[0, 0]], eye[[1, 1]]]), eye[:2]) == 2
    assert groups_to_span(halves, eye[2:4]) == 3
