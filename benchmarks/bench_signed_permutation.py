"""The signed permutation nearest to a rotation: an assignment problem on absolute values."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

import polyrot as pr
from harness import data
from harness.group import Case, Contender, Group, sizes
from harness.measure import Measure

GROUP = Group(
    "signed-permutation",
    "The signed permutation nearest to a rotation",
    sizes(64, 512, 2048),
    unit="matrix",
    error="difference of the overlap tr(R'P), relative to d (ours: of P'P from I)",
    note="All solve the assignment exactly, at O(d^3) comparisons in the worst case and far fewer "
    "on such matrices; nothing in it is a matrix product, so that no ceiling binds it.",
)
ASKED = {512: 1, 2048: 1}


@GROUP.contender("polyrot", ours=True)
def polyrot(r: torch.Tensor) -> torch.Tensor:
    return pr.nearest_signed_permutation(r)


@GROUP.contender("scipy, both signs", at_least=ASKED)
def naive(r: torch.Tensor) -> torch.Tensor:
    """Of the two signs an entry may have, take what costs less; then put the sign back."""
    entries = r.numpy()
    costs = np.minimum(-entries, entries)
    rows, columns = linear_sum_assignment(costs)
    return _matrix(entries, rows, columns)


@GROUP.contender("lap.lapjv", needs="lap")
def lapjv(r: torch.Tensor) -> torch.Tensor:
    import lap

    entries = r.numpy()
    _, columns, _ = lap.lapjv(-np.abs(entries))
    return _matrix(entries, np.arange(len(entries)), columns)


@pytest.mark.group(GROUP)
def test_signed_permutation(case: Case, contender: Contender, measure: Measure) -> None:
    d = case.size
    r = data.rotation(d)
    found = measure(lambda: contender.run(r))
    if contender.ours:
        measure.agrees((found.mT @ found - torch.eye(d, dtype=torch.float64)).abs().max(), 0)
    else:
        overlap = torch.sum(r * (found - polyrot(r)))
        measure.agrees(overlap.abs() / d, at_most=1e-12)


def _matrix(entries: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> torch.Tensor:
    found = np.zeros_like(entries)
    found[rows, columns] = np.sign(entries[rows, columns])
    return torch.from_numpy(found)
