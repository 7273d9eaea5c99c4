"""The orthogonal polar factor: the rotation of a cross-covariance."""

from functools import lru_cache

import numpy as np
import pytest
import scipy.linalg
import torch

import polyrot as pr
from harness import data, extended
from harness.group import Case, Contender, Group
from harness.measure import Measure

GROUP = Group(
    "polar",
    "The polar factor of a cross-covariance",
    tuple(
        Case(d, f"{d}, {condition:.0e}", plotted=condition == 1e4, values={"condition": condition})
        for d in (64, 512, 1024)
        for condition in ((10.0, 1e4, 1e7) if d == 512 else (1e4,))
    ),
    axis="d, condition",
    unit="matrix",
    error="largest entry of the difference from a reference in extended precision",
    note="Below a ratio of 1 a contender is faster than the default. The fast route is accepted "
    "behind a check of its residual; the iterations below it have none, and their error is shown.",
    devices=("cpu", "cuda"),
)
EXACT = 1e-9
"""No route of ours may be further off; the peers that aim at it neither."""
MUON = (3.4445, -4.7750, 2.0315)
"""Coefficients of K. Jordan's Muon, applied five times."""
POLAR_EXPRESS = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    (1.8750014808534479, -1.2500016453999487, 0.3750001645474248),
    (1.875, -1.25, 0.375),
)
"""Of arXiv 2505.16932, algorithm 1; the last is repeated from there on."""
SAFETY = 1.01


@GROUP.contender("polyrot", ours=True)
def default(a: torch.Tensor) -> torch.Tensor:
    return pr.polar_factor(a)


@GROUP.contender("polyrot, fast")
def fast(a: torch.Tensor) -> torch.Tensor:
    return pr.polar_factor(a, fast=True)


@GROUP.contender("torch SVD")
def torch_svd(a: torch.Tensor) -> torch.Tensor:
    u, _, vh = torch.linalg.svd(a)
    return u @ vh


@GROUP.contender("scipy.linalg.polar")
def scipy_polar(a: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(scipy.linalg.polar(a.cpu().numpy())[0])


@GROUP.contender("Newton-Schulz, bf16")
def newton_schulz(a: torch.Tensor) -> torch.Tensor:
    x = (a / torch.linalg.matrix_norm(a)).bfloat16()
    for _ in range(5):
        x = _quintic(x, *MUON)
    return x.double()


@GROUP.contender("Polar Express, bf16")
def polar_express(a: torch.Tensor) -> torch.Tensor:
    return _express(a.bfloat16(), len(POLAR_EXPRESS)).double()


@GROUP.contender("Polar Express, f64")
def polar_express_float64(a: torch.Tensor) -> torch.Tensor:
    """As many steps as a condition of 1e7 wants: the first ones quadruple what is small."""
    return _express(a, 2 * len(POLAR_EXPRESS))


@pytest.mark.group(GROUP)
def test_polar(case: Case, contender: Contender, measure: Measure, device: str) -> None:
    d, condition = case.size, case["condition"]
    a = data.cross_covariance(d, condition).to(device)
    # An SVD with vectors: 22 d^3 (Golub & Van Loan 2013, figure 8.6.1), and the product.
    found = measure(lambda: contender.run(a), operations=24 * d**3, bytes_moved=2 * 8 * d**2)
    error = np.abs(found.cpu().numpy() - _reference(d, condition)).max()
    iterates = contender.name.startswith(("Newton-Schulz", "Polar Express"))
    measure.agrees(float(error), at_most=None if iterates else EXACT)


@lru_cache(maxsize=1)
def _reference(d: int, condition: float) -> np.ndarray:
    return extended.polar_factor(data.cross_covariance(d, condition).numpy())


def _express(a: torch.Tensor, steps: int) -> torch.Tensor:
    x = a / (torch.linalg.matrix_norm(a) * SAFETY + 1e-7)
    last = len(POLAR_EXPRESS) - 1
    for step in range(steps):
        # The margin for rounding, which the last polynomial does without.
        margin = SAFETY if step < last else 1.0
        p, q, r = POLAR_EXPRESS[min(step, last)]
        x = _quintic(x, p / margin, q / margin**3, r / margin**5)
    return x


def _quintic(x: torch.Tensor, p: float, q: float, r: float) -> torch.Tensor:
    square = x @ x.mT
    return p * x + (q * square + r * square @ square) @ x
