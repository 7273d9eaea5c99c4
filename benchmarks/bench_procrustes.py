"""One Procrustes fit of float32 activations.

A correct rotation wants float64 (the covariance of activations has a condition above 1e5), so
every peer is given float64 copies, made inside the timed call as a user would have to.
"""

from functools import lru_cache

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial
import torch

import polyrot as pr
from harness import data
from harness.group import Case, Contender, Group, sizes
from harness.measure import Measure

TOKENS = 65_536
GROUP = Group(
    "procrustes",
    f"One Procrustes fit, {TOKENS:,} tokens of float32",
    sizes(64, 512, 1024),
    unit="fit",
    error="largest entry of R'R - I for ours; of the difference from ours for the others",
    note="`memory` is the peak beyond the input. The first row fits all tokens, as the peers do; "
    "`holdout` is the default of `pr.align`, which keeps a quarter of them out to judge the fit. "
    "Both also compute the explained variance; of the peers only the plain form does.",
    devices=("cpu", "cuda"),
)
ASKED = {512: 1, 1024: 1}


@GROUP.contender("polyrot align", ours=True)
def polyrot(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return pr.align(source, target, holdout=0).rotation


@GROUP.contender("polyrot align, holdout")
def with_holdout(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return pr.align(source, target).rotation


@GROUP.contender("plain numpy", at_least=ASKED)
def published(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The paper's own form: centre, decompose, apply, explained variance."""
    x, y = _float64(source, target)
    x, y = x - x.mean(0), y - y.mean(0)
    u, _, vh = np.linalg.svd(x.T @ y)
    rotation = u @ vh
    explained = 1 - ((x @ rotation - y) ** 2).sum() / (y**2).sum()
    assert explained > 0.5
    return torch.from_numpy(rotation)


@GROUP.contender("scipy orthogonal", at_least=ASKED)
def scipy_orthogonal(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    x, y = _float64(source, target)
    x, y = x - x.mean(0), y - y.mean(0)
    return torch.from_numpy(scipy.linalg.orthogonal_procrustes(x, y)[0])


@GROUP.contender("scipy, float32")
def scipy_float32(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    x, y = source.cpu().numpy(), target.cpu().numpy()
    x, y = x - x.mean(0), y - y.mean(0)
    return torch.from_numpy(scipy.linalg.orthogonal_procrustes(x, y)[0]).double()


@GROUP.contender("scipy.spatial", at_least=ASKED, full=(1024,), slow=(1024,))
def scipy_spatial(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """It returns the carried source, not the map, which is read off outside the clock."""
    x, y = _float64(source, target)
    return torch.from_numpy(scipy.spatial.procrustes(y, x)[1])


@GROUP.contender("qc-procrustes", at_least=ASKED, full=(1024,), slow=(1024,), needs="procrustes")
def qc_procrustes(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    import procrustes

    x, y = _float64(source, target)
    # The decomposition that the others take; its own default is slower.
    return torch.from_numpy(procrustes.orthogonal(x, y, translate=True, lapack_driver="gesdd").t)


@pytest.mark.group(GROUP)
def test_procrustes(case: Case, contender: Contender, measure: Measure, device: str) -> None:
    d = case.size
    source, target = (x.to(device) for x in data.pair(TOKENS, d))
    rotation = measure(
        lambda: contender.run(source, target),
        operations=2 * TOKENS * d**2 + 24 * d**3,
        bytes_moved=2 * 4 * TOKENS * d,
        memory=True,
    ).cpu()
    if contender.name == "scipy.spatial":
        rotation = _read_off(source.cpu().double().numpy(), rotation.numpy())
    if contender.ours:
        defect = rotation.mT @ rotation - torch.eye(d, dtype=torch.float64)
        measure.agrees(defect.abs().max(), at_most=1e-12)
        return
    limit = {"polyrot align, holdout": None, "scipy, float32": None}.get(contender.name, 1e-8)
    measure.agrees((rotation - _ours(d)).abs().max(), at_most=limit)


@lru_cache(maxsize=1)
def _ours(d: int) -> torch.Tensor:
    return polyrot(*data.pair(TOKENS, d))


def _float64(source: torch.Tensor, target: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    return source.cpu().double().numpy(), target.cpu().double().numpy()


def _read_off(x: np.ndarray, carried: np.ndarray) -> torch.Tensor:
    centred = x[: 4 * x.shape[1]] - x.mean(0)
    solved, *_ = np.linalg.lstsq(centred, carried[: len(centred)], rcond=None)
    u, _, vh = np.linalg.svd(solved)
    return torch.from_numpy(u @ vh)
