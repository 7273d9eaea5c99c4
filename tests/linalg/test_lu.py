"""Stacks of matrices whose LU torch would compute in several threads, and get wrong."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

import polyrot as pr
from polyrot.linalg.battery import statistics
from polyrot.linalg.lu import determinants, inverses


@pytest.fixture(autouse=True)
def _number_of_threads_was_set() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


STACK = torch.randn(4, 200, 200, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_determinants_of_rotations_have_their_signs() -> None:
    rotations = pr.haar.sample(200, 6, group="O", seed=3)
    signs = np.sign(np.linalg.det(rotations.numpy()))
    assert {*signs} == {1.0, -1.0}
    torch.testing.assert_close(determinants(rotations), torch.from_numpy(signs))
    assert bool((determinants(pr.haar.sample(200, 6, seed=3)) > 0).all())


def test_inverses_invert() -> None:
    eye = torch.eye(200, dtype=torch.float64).expand(4, 200, 200)
    torch.testing.assert_close(STACK @ inverses(STACK), eye, rtol=0, atol=1e-9)


def test_the_battery_knows_each_matrix_of_a_stack_by_its_determinant() -> None:
    # Taken for reflections, they would lack the eigenvalues 1 and -1, which shifts all pairs.
    rotations = pr.haar.sample(200, 10, seed=0)
    together = statistics(rotations, ("spacings",))["spacings"]
    alone = [statistics(r[None], ("spacings",))["spacings"][0] for r in rotations]
    torch.testing.assert_close(together, torch.stack(alone))


@pytest.mark.seconds
def test_fast_polar_factors_of_a_stack_are_newtons(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = pr.polar_factor(STACK)
    nothing = "polyrot.linalg.polar._by_decomposition"
    monkeypatch.setattr(nothing, lambda a: torch.full_like(a, torch.nan))
    torch.testing.assert_close(pr.polar_factor(STACK, fast=True), expected, rtol=0, atol=1e-9)


def test_a_singular_matrix_gives_infinities_and_its_neighbours_do_not() -> None:
    stack = STACK[:2, :5, :5].clone()
    stack[0, 1] = 0
    found = inverses(stack)
    assert bool(found[0].isinf().all())
    torch.testing.assert_close(found[1], torch.linalg.inv(stack[1]))
