"""Eigenangles of one rotation: a symmetric eigenproblem instead of a general one."""

from functools import lru_cache

import numpy as np
import pytest
import torch

import polyrot as pr
from harness import data
from harness.group import Case, Contender, Group, sizes
from harness.measure import Measure

GROUP = Group(
    "eigenangles",
    "Eigenangles of one rotation",
    sizes(64, 512, 1024, 2048, full=(4096,)),
    unit="matrix",
    error="largest difference of a sorted angle, radians (ours: of tr R and tr R^2, relative to d)",
    note="The rotation is fitted between two seeds' activations, with determinant 1.",
    devices=("cpu", "cuda"),
)
ASKED = {64: 3, 512: 15, 1024: 15, 2048: 15, 4096: 15}


@GROUP.contender("polyrot", ours=True)
def polyrot(r: torch.Tensor) -> torch.Tensor:
    return pr.haar.eigenangles(r)


@GROUP.contender("numpy eigvals", at_least=ASKED, slow=(2048, 4096))
def numpy_eigvals(r: torch.Tensor) -> torch.Tensor:
    return _sorted(torch.from_numpy(np.linalg.eigvals(r.cpu().numpy())))


@GROUP.contender("torch eigvals", slow=(2048, 4096))
def torch_eigvals(r: torch.Tensor) -> torch.Tensor:
    return _sorted(torch.linalg.eigvals(r))


@pytest.mark.group(GROUP)
def test_eigenangles(case: Case, contender: Contender, measure: Measure, device: str) -> None:
    d = case.size
    r = data.rotation(d).to(device)
    # The reduction to tridiagonal form: half of it moves what is left of one triangle past the
    # processor, once a column, which is why no eigensolver nears the ceiling of products.
    angles = measure(
        lambda: contender.run(r), operations=4 / 3 * d**3, bytes_moved=8 * d**3 / 6
    ).cpu()
    if contender.ours:
        r = r.cpu()
        traces = torch.stack([torch.trace(r), (r * r.mT).sum()])
        found = torch.stack([torch.cos(angles).sum(), torch.cos(2 * angles).sum()])
        measure.agrees((traces - found).abs().max() / d, at_most=1e-12)
    else:
        measure.agrees((angles - _ours(d)).abs().max(), at_most=1e-10)


@lru_cache(maxsize=1)
def _ours(d: int) -> torch.Tensor:
    return polyrot(data.rotation(d))


def _sorted(eigenvalues: torch.Tensor) -> torch.Tensor:
    return eigenvalues.angle().abs().sort().values
