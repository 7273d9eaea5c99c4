"""Haar matrices in a batch."""

import numpy as np
import pytest
import torch
from scipy.stats import ortho_group, special_ortho_group

import polyrot as pr
from harness.group import Case, Contender, Group
from harness.measure import Measure

BATCH = 100
GROUP = Group(
    "haar-matrices",
    f"Haar matrices, a batch of {BATCH}",
    tuple(
        # The component changes the time by a determinant: one line on the plot is enough.
        Case(d, f"{d} {group}", values={"group": group}, plotted=group == "SO")
        for d in (64, 256, 512)
        for group in ("SO", "O")
    ),
    axis="d, group",
    unit="matrix",
    error="largest entry of R'R - I",
    note="Checked besides: the determinants, and tr R and tr R^2 averaged over the batch.",
)
ASKED = {64: 2, 256: 1, 512: 1}


@GROUP.contender("polyrot", ours=True)
def polyrot(d: int, group: str) -> torch.Tensor:
    return pr.haar.sample(d, BATCH, group=group, seed=1)


@GROUP.contender(
    "scipy special_ortho_group", at_least=ASKED, on=lambda case: case["group"] == "SO", slow=(512,)
)
def special(d: int, group: str) -> torch.Tensor:
    return torch.from_numpy(special_ortho_group.rvs(d, BATCH, random_state=1))


@GROUP.contender("scipy ortho_group", at_least=ASKED, on=lambda case: case["group"] == "O")
def orthogonal(d: int, group: str) -> torch.Tensor:
    return torch.from_numpy(ortho_group.rvs(d, BATCH, random_state=1))


@GROUP.contender("numpy QR, signs fixed")
def plain(d: int, group: str) -> torch.Tensor:
    gaussian = np.random.default_rng(1).standard_normal((BATCH, d, d))
    q, r = np.linalg.qr(gaussian)
    q *= np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]
    if group == "SO":
        q[:, :, 0] *= np.sign(np.linalg.det(q))[:, None]
    return torch.from_numpy(q)


@pytest.mark.group(GROUP)
def test_haar_matrices(case: Case, contender: Contender, measure: Measure) -> None:
    d, group = case.size, case["group"]
    # What no way round draws: Q put together from its reflectors.
    matrices = measure(
        lambda: contender.run(d, group),
        per=BATCH,
        operations=4 / 3 * d**3 * BATCH,
        bytes_moved=2 * 8 * d**2 * BATCH,
    )
    positive = int((np.linalg.det(matrices.numpy()) > 0).sum())
    assert positive == BATCH if group == "SO" else 25 < positive < 75
    traces = torch.stack([matrices.diagonal(dim1=1, dim2=2).sum(1), _trace_of_square(matrices)])
    z = (traces.mean(1) - torch.tensor([0.0, 1.0])) / (torch.tensor([1.0, 2.0]) / BATCH).sqrt()
    assert float(z.abs().max()) < 5
    defect = matrices.mT @ matrices - torch.eye(d, dtype=torch.float64)
    measure.agrees(defect.abs().max(), at_most=1e-12)


def _trace_of_square(matrices: torch.Tensor) -> torch.Tensor:
    return (matrices * matrices.mT).sum((1, 2))
