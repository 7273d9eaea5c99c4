"""Covering numbers: what is counted covers, and no fewer than is proven."""

from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from polyrot.sae.covering import (
    atoms_of_dictionary,
    covering_number,
    greedy_atoms,
    groups_of_dictionary,
    least_covering_number,
    nearest_atoms,
    pursue,
)


def points(count: int, dim: int, seed: int) -> Tensor:
    x = torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x / x.norm(dim=1, keepdim=True)


def nearest(x: Tensor, atoms: Tensor, k: int) -> Tensor:
    """Distance to the best span of k atoms or fewer, by trying every one."""
    k = min(k, len(atoms))
    left = []
    for chosen in combinations(range(len(atoms)), k):
        basis = torch.linalg.qr(atoms[list(chosen)].mT).Q
        left.append((x - x @ basis @ basis.mT).norm(dim=1))
    return torch.stack(left).min(0).values


@given(
    dim=st.integers(1, 4),
    k=st.integers(1, 2),
    error=st.floats(0.4, 0.9),
    seed=st.integers(0, 9),
)
def test_every_point_is_near_a_span(dim: int, k: int, error: float, seed: int) -> None:
    x = points(300, dim, seed)
    atoms = greedy_atoms(x, error, k, seed)
    assert nearest(x, atoms, k).max() <= error + 1e-9


@pytest.mark.parametrize(
    ("dim", "error", "k"), [(2, 0.3, 1), (3, 0.5, 1), (4, 0.5, 1), (5, 0.4, 2)]
)
def test_the_bound_from_below_is_one(dim: int, error: float, k: int) -> None:
    # With thousands of points hardly anything between them is left out.
    counted = covering_number(points(4_000, dim, 0), error, k, 0)
    assert counted >= least_covering_number(dim, error, k)


def test_a_circle_takes_as_many_directions_as_its_length_says() -> None:
    # Each covers 4 arcsin(1/2) of 2 pi: a third.
    assert least_covering_number(2, 0.5, 1) == 3
    x = points(2_000, 2, 1)
    assert 3 <= covering_number(x, 0.5, 1, 0) <= 4


def test_a_basis_is_enough_where_all_of_it_may_be_on() -> None:
    for dim in (1, 2, 3):
        assert least_covering_number(dim, 0.3, 3) == dim
        assert covering_number(points(500, dim, dim), 0.3, 3, 0) == dim


def test_the_share_that_a_span_covers_is_what_sampling_says() -> None:
    # The bound rests on it: I(error^2; (dim - k) / 2, k / 2).
    from scipy.special import betainc

    x = points(200_000, 6, 3)
    left = (1 - x[:, :2].square().sum(1)).sqrt()
    # Distance to the span of the first two axes: what is outside it.
    assert float((left <= 0.6).double().mean()) == pytest.approx(betainc(2, 1, 0.36), abs=0.003)


def test_matching_pursuit_leaves_what_a_projection_leaves() -> None:
    x, atoms = points(50, 5, 4), points(3, 5, 5)
    rest, spans = pursue(x, atoms, 3)
    basis = torch.linalg.qr(atoms.mT).Q
    torch.testing.assert_close(rest, x - x @ basis @ basis.mT)
    torch.testing.assert_close(spans @ spans.mT, torch.eye(3).double().expand(50, 3, 3))
    # Two atoms that are the same span one direction.
    rest, spans = pursue(x, atoms[[0, 0]], 2)
    assert float(spans[:, 1].abs().max()) == 0
    torch.testing.assert_close(rest, x - (x @ atoms[0])[:, None] * atoms[0])


def test_a_cap_stops_the_choice_and_two_runs_agree() -> None:
    x = points(500, 4, 6)
    assert covering_number(x, 0.3, 1, 0, cap=5) == 5
    assert torch.equal(greedy_atoms(x, 0.5, 2, 7), greedy_atoms(x, 0.5, 2, 7))


@pytest.mark.parametrize(("error", "k"), [(0.0, 1), (1.0, 1), (0.5, 0)])
def test_what_makes_no_sense_is_refused(error: float, k: int) -> None:
    with pytest.raises(ValueError, match="Expected 0 < error < 1 and k >= 1"):
        covering_number(points(5, 2, 0), error, k, 0)


def test_a_dictionary_covers_with_the_atoms_that_it_has() -> None:
    eye = torch.eye(4, dtype=torch.float64)
    x = torch.cat([eye[:2], -eye[:2]])
    assert atoms_of_dictionary(x, eye, 0.5, 1, cap=9) == 2
    # What is not covered by any number of atoms counts as the cap.
    assert atoms_of_dictionary(x, eye[1:], 0.5, 1, cap=9) == 9
    assert atoms_of_dictionary(x, eye, 0.5, 1, cap=1) == 1


def test_the_nearest_atoms_have_the_largest_part_inside() -> None:
    eye = torch.eye(4)
    atoms = torch.stack([eye[3], 0.6 * eye[0] + 0.8 * eye[3], eye[1]])
    assert torch.equal(nearest_atoms(atoms, eye[:2], 2), atoms[[2, 1]])


def test_one_group_covers_what_lies_in_its_span_alone() -> None:
    eye = torch.eye(4, dtype=torch.float64)
    both = torch.stack([eye[:2], eye[2:]])
    assert groups_of_dictionary(points(50, 2, 0) @ eye[:2], both, 0.1) == 1
    assert groups_of_dictionary(eye, both, 0.1) == 2
    with pytest.raises(ValueError, match="some are near none"):
        groups_of_dictionary(eye, both[:1], 0.1)
