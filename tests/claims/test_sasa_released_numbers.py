"""SASA on the shipped dictionaries against what the authors' released functions give on them.

The expected numbers were computed with the code of arXiv 2606.06333 (github.com/arshandalili/sasa,
commit 40af381), run on the shipped weights and on polyrot's tokens and points.
"""

from dataclasses import replace

import pytest
import torch
from claim_runs import claim_module

from polyrot.experiments.planted.plan import (
    DIMENSIONS,
    PENALISED,
    SCALARS,
    SHAPES,
    SMALL_GROUPS,
    SUBSPACE,
    SUBSPACES,
    TOPK,
)
from polyrot.experiments.planted.suite import DictionarySuite
from polyrot.sae.covering import atoms_of_dictionary, nearest_atoms
from polyrot.sae.metrics import squared_error
from polyrot.sae.model import SAE
from polyrot.sae.subspaces import components, groups_to_span
from polyrot.suites.loading import load_suite

CAP, NEAREST, COVERED = 32, 192, 96


@pytest.fixture(scope="module")
def shipped() -> DictionarySuite:
    suite = load_suite(SUBSPACES)
    assert isinstance(suite, DictionarySuite)
    return suite


@pytest.mark.parametrize(
    ("k", "error", "by_dim"),
    [
        (1, 0.5, {2: 4, 3: 13, 4: 32}),
        (1, 0.3, {2: 8, 3: 32, 4: 32}),
        (2, 0.5, {2: 2, 3: 4, 4: 7, 6: 16, 8: 32}),
        (2, 0.3, {2: 2, 3: 9, 4: 16, 6: 32}),
        (4, 0.3, {6: 10}),
    ],
)
def test_covering_numbers_with_points_of_the_sphere_as_atoms(
    shipped: DictionarySuite, k: int, error: float, by_dim: dict[int, int]
) -> None:
    found = {}
    for dim in by_dim:
        points = torch.randn(COVERED, dim, generator=torch.Generator().manual_seed(99))
        points = points.double() / points.double().norm(dim=1, keepdim=True)
        # In single precision, as there: the atoms are equally near but for rounding.
        atoms = nearest_atoms(shipped.points(dim, 0).float(), torch.eye(dim), NEAREST)
        found[dim] = atoms_of_dictionary(points, atoms.double(), error, k, cap=CAP)
    assert found == by_dim


@pytest.mark.parametrize(
    ("arm", "atoms"),
    [
        (TOPK, [15, 10, 12]),
        ("BatchTopK", [11, 10, 17]),
        ("Matryoshka", [9, 10, 10]),
        ("JumpReLU", [8, 6, 11]),
        ("ReLU", [9, 18, 14]),
    ],
)
def test_atoms_of_the_shapes(shipped: DictionarySuite, arm: str, atoms: list[int]) -> None:
    first = shipped.dictionaries(SCALARS, arm)[0]
    assert claim_module("SASA-06").units_and_ranks(first)[0] == atoms


@pytest.mark.parametrize("arm", [SUBSPACE, PENALISED, SMALL_GROUPS])
def test_one_group_spans_each_shape(shipped: DictionarySuite, arm: str) -> None:
    for dictionary in shipped.dictionaries(SHAPES, arm)[:2]:
        groups = dictionary.sae.W_dec.unflatten(0, (-1, dictionary.sae.activation.rank))
        bases = dictionary.features.bases
        assert [groups_to_span(groups, basis) for basis in bases] == [1, 1, 1]


@pytest.mark.parametrize(
    ("coefficient", "errors"), [("0", (3.47, 2.38)), ("100", (1.69, 2.40)), ("300", (1.07, 1.13))]
)
def test_mean_error_of_the_rank_of_held_concepts(
    shipped: DictionarySuite, coefficient: str, errors: tuple[float, float]
) -> None:
    module = claim_module("SASA-07")
    two = shipped.decoders(coefficient)[:2]
    found = [module.error(module.matches(one, components), module.HALF) for one in two]
    assert found == pytest.approx(errors, abs=0.0051)


@pytest.mark.parametrize(
    ("experiment", "arm", "error"),
    [
        (SHAPES, SUBSPACE, 0.00866510),
        (SHAPES, PENALISED, 0.01033122),
        (DIMENSIONS, SUBSPACE, 0.06337468),
    ],
)
def test_squared_error(shipped: DictionarySuite, experiment: str, arm: str, error: float) -> None:
    first = shipped.dictionaries(experiment, arm)[0]
    found = squared_error(of_unit_norm(first.sae), first.held_out(1_024).x)
    assert found == pytest.approx(error, abs=6e-9)


def test_stable_rank(shipped: DictionarySuite) -> None:
    sae = of_unit_norm(shipped.dictionaries(SHAPES, SUBSPACE)[0].sae)
    groups = sae.W_dec.double().unflatten(0, (-1, sae.activation.rank))
    energy = torch.linalg.svdvals(groups).square()
    assert float((energy.sum(1) / energy.amax(1)).mean()) == pytest.approx(9.388009, abs=2e-5)


def of_unit_norm(sae: SAE) -> SAE:
    """Undo the rounding of the shipped weights, as the released code does in every step."""
    return replace(
        sae,
        W_enc=sae.W_enc / sae.W_enc.norm(dim=0, keepdim=True),
        W_dec=sae.W_dec / sae.W_dec.norm(dim=1, keepdim=True),
    )
