"""The risk under an l1 penalty: its codes are the best, and its path goes where it should."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from polyrot.sae.l1_risk import even_tiling, l1_codes, l1_risk, nearest_axes, path_to_tiling


def points(count: int, dim: int, seed: int) -> Tensor:
    x = torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x / x.norm(dim=1, keepdim=True)


@given(
    dim=st.integers(1, 4),
    atoms=st.integers(1, 12),
    l1=st.floats(0.05, 0.5),
    seed=st.integers(0, 9),
)
def test_no_codes_are_better_by_more_than_a_thousandth(
    dim: int, atoms: int, l1: float, seed: int
) -> None:
    x, rows = points(20, dim, seed), points(atoms, dim, 100 + seed)
    codes = l1_codes(x, rows, l1)
    left = x - codes @ rows
    reached = left.square().sum(1) / 2 + l1 * codes.sum(1)
    # What is left, scaled until no atom sees more of it than l1, bounds the minimum from below.
    seen = (left @ rows.mT).max(1, keepdim=True).values.clamp(min=l1)
    dual = left * l1 / seen
    bound = (x.square().sum(1) - (x - dual).square().sum(1)) / 2
    assert (codes >= 0).all()
    assert float((reached - bound).min()) > -1e-12
    assert float((reached - bound).mean()) <= 1e-3 * float(reached.mean())


def test_one_atom_has_the_risk_that_a_sum_says() -> None:
    # (1 - z)^2 / 2 + l1 z has its minimum at z = 1 - l1.
    atom = torch.ones(1, 1, dtype=torch.float64)
    assert l1_risk(atom, atom, 0.1) == pytest.approx(0.1 - 0.005)
    assert l1_risk(-atom, atom, 0.1) == pytest.approx(0.5)


def test_a_path_starts_at_the_basis_and_ends_at_the_tiling() -> None:
    tiling = even_tiling(3, 16, 0)
    path = path_to_tiling(tiling, 4)
    x = points(100, 3, 1)
    basis = torch.cat([torch.eye(3), -torch.eye(3)]).double()
    assert len(path) == 5
    assert l1_risk(x, path[0], 0.1) == pytest.approx(l1_risk(x, basis, 0.1), abs=1e-5)
    torch.testing.assert_close(path[-1][: len(tiling)], tiling)
    for atoms in path:
        torch.testing.assert_close(atoms.norm(dim=1), torch.ones(len(atoms)).double())


def test_axes_that_no_atom_is_near_stay() -> None:
    tiling = torch.tensor([[0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
    assert len(path_to_tiling(tiling, 2)[0]) == 4


def test_a_tiling_is_even() -> None:
    # Sixteen directions of the plane: a sixteenth of a turn apart.
    angles = torch.atan2(*even_tiling(2, 8, 3).unbind(1)).sort().values
    assert float(angles.diff().std()) < 0.01
    assert float(angles.diff().mean()) == pytest.approx(torch.pi / 8, abs=0.01)
    torch.testing.assert_close(even_tiling(1, 2, 0).abs(), torch.ones(4, 1).double())
    assert torch.equal(even_tiling(3, 8, 1), even_tiling(3, 8, 1))


def test_the_nearest_axis_is_found_with_its_sign() -> None:
    x = torch.tensor([[0.1, -0.9], [0.8, 0.3]])
    assert nearest_axes(x).tolist() == [[0.0, -1.0], [1.0, 0.0]]
