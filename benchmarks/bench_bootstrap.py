"""An interval for an explained variance: 200 refits on resampled blocks of tokens."""

from functools import lru_cache

import numpy as np
import pytest
import torch

import polyrot as pr
from harness import data
from harness.group import Case, Contender, Group, sizes
from harness.measure import Measure

TOKENS, BLOCKS, DRAWS, PEER_DRAWS = 65_536, 64, 200, 2
GROUP = Group(
    "bootstrap",
    f"Block bootstrap of one fit, {DRAWS} refits, {TOKENS:,} tokens of float32",
    sizes(64, 512),
    unit="refit",
    error="|z| of the mean explained variance of the blocks left out, beside that of other draws",
    note=f"The naive form is timed on {PEER_DRAWS} refits, since each costs the same; its "
    "float64 copies are made outside the clock. What ours spends once, on the sums over blocks, is "
    "spread over its draws.",
    devices=("cpu", "cuda"),
)
Evs = torch.Tensor


@GROUP.contender("polyrot", ours=True, slow=(512,))
def polyrot(source: torch.Tensor, target: torch.Tensor) -> Evs:
    return pr.bootstrap(source, target, blocks=BLOCKS, draws=DRAWS, seed=0).ev.cpu()


@GROUP.contender("refit resampled rows", at_least=10)
def naive(x: np.ndarray, y: np.ndarray) -> Evs:
    """Draw whole blocks with replacement, gather their rows, centre, decompose; score the rest."""
    rng = np.random.default_rng(0)
    rows = np.arange(len(x)).reshape(BLOCKS, -1)
    found = []
    for _ in range(PEER_DRAWS):
        drawn = rng.integers(BLOCKS, size=BLOCKS)
        own, rest = rows[drawn].ravel(), np.delete(rows, drawn, axis=0).ravel()
        x_own, y_own, y_rest = x[own], y[own], y[rest]
        x_mean, y_mean = x_own.mean(0), y_own.mean(0)
        x_own -= x_mean
        y_own -= y_mean
        u, _, vh = np.linalg.svd(x_own.T @ y_own)
        missed = (x[rest] - x_mean) @ (u @ vh) + y_mean - y_rest
        found.append(1 - (missed**2).sum() / ((y_rest - y_rest.mean(0)) ** 2).sum())
    return torch.tensor(found)


@pytest.mark.group(GROUP)
def test_bootstrap(case: Case, contender: Contender, measure: Measure, device: str) -> None:
    d = case.size
    sides = [x.to(device) for x in data.pair(TOKENS, d)]
    draws = DRAWS
    if not contender.ours:
        # In float64 once for all its refits: outside the clock.
        sides, draws = [x.cpu().double().numpy() for x in sides], PEER_DRAWS
    # One product of the tokens; a draw's two weighted sums of the blocks, and its decomposition.
    evs = measure(
        lambda: contender.run(*sides),
        per=draws,
        operations=2 * TOKENS * d**2 + DRAWS * (4 * BLOCKS * d**2 + 24 * d**3),
        bytes_moved=DRAWS * 3 * 8 * d**2,
    )
    mean, spread = _distribution(d)
    measure.agrees(abs(float(evs.mean()) - mean) / spread * draws**0.5, at_most=5)


@lru_cache(maxsize=1)
def _distribution(d: int) -> tuple[float, float]:
    """Mean and standard deviation over refits with other blocks and draws than those timed."""
    evs = pr.bootstrap(*data.pair(TOKENS, d), blocks=BLOCKS, draws=DRAWS // 4, seed=1).ev
    return float(evs.mean()), float(evs.std())
