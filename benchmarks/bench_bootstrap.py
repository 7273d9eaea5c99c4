"""An interval for an explained variance: 200 refits on resampled blocks of tokens."""

from functools import lru_cache

import numpy as np
import pytest
import torch
from polyrot.linalg.bootstrap import bootstrap

from harness import data
from harness.group import Case, Contender, Group, sizes
from harness.measure import Measure

TOKENS, BLOCKS, DRAWS, PEER_DRAWS = 65_536, 64, 200, 2
GROUP = Group(
    "bootstrap",
    f"Block bootstrap of one fit, {DRAWS} refits, {TOKENS:,} tokens of float32",
    sizes(64, 512),
    unit="refit",
    error="|z| of the mean explained variance beside ours (ours: of its mean, in its spread)",
    note=f"The naive form is timed on {PEER_DRAWS} refits, since each costs the same. What ours "
    "spends once, on the moments of the blocks, is spread over its draws.",
    devices=("cpu", "cuda"),
)
Evs = torch.Tensor


@GROUP.contender("polyrot", ours=True, slow=(512,))
def polyrot(source: torch.Tensor, target: torch.Tensor) -> Evs:
    return torch.as_tensor(bootstrap(source, target, blocks=BLOCKS, draws=DRAWS, seed=0).ev).cpu()


@GROUP.contender("refit resampled rows", at_least=10)
def naive(source: torch.Tensor, target: torch.Tensor) -> Evs:
    """Draw whole blocks with replacement, gather their rows, centre, decompose, apply."""
    rng = np.random.default_rng(0)
    x, y = (side.cpu().double().numpy() for side in (source, target))
    rows = np.arange(len(x)).reshape(BLOCKS, -1)
    found = []
    for _ in range(PEER_DRAWS):
        drawn = rows[rng.integers(BLOCKS, size=BLOCKS)].ravel()
        own_x, own_y = x[drawn], y[drawn]
        own_x, own_y = own_x - own_x.mean(0), own_y - own_y.mean(0)
        u, _, vh = np.linalg.svd(own_x.T @ own_y)
        found.append(1 - ((own_x @ (u @ vh) - own_y) ** 2).sum() / (own_y**2).sum())
    return torch.tensor(found)


@pytest.mark.group(GROUP)
def test_bootstrap(case: Case, contender: Contender, measure: Measure, device: str) -> None:
    d = case.size
    source, target = (x.to(device) for x in data.pair(TOKENS, d))
    draws = DRAWS if contender.ours else PEER_DRAWS
    # A refit from moments: a decomposition, and the explained variance of its rotation.
    evs = measure(
        lambda: contender.run(source, target),
        per=draws,
        operations=DRAWS * 26 * d**3 + 6 * TOKENS * d**2,
        bytes_moved=DRAWS * 3 * 8 * d**2,
    )
    mean, spread = _distribution(d)
    measure.agrees(abs(float(evs.mean()) - mean) / spread * draws**0.5, at_most=5)


@lru_cache(maxsize=1)
def _distribution(d: int) -> tuple[float, float]:
    """Mean and standard deviation of the explained variance of one refit, as ours has them."""
    evs = polyrot(*data.pair(TOKENS, d))
    return float(evs.mean()), float(evs.std())
