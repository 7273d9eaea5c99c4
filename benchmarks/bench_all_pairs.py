"""Rotations between all ordered pairs of nine seeds, at one site."""

from functools import lru_cache
from itertools import permutations

import numpy as np
import pytest
import scipy.linalg
import torch

import polyrot as pr
from harness import data
from harness.group import Case, Contender, Group
from harness.measure import Measure

SEEDS, SITES, TOKENS = 9, 7, 65_536
PAIRS = list(permutations(range(SEEDS), 2))
PEER_PAIRS = PAIRS[:2]
GROUP = Group(
    "all-pairs",
    f"All {len(PAIRS)} ordered pairs of {SEEDS} seeds, {TOKENS:,} tokens of float32",
    (
        Case(64, "64, 1 site", values={"sites": 1}),
        Case(512, "512, 1 site", values={"sites": 1}),
        Case(512, f"512, {SITES} sites", full=True, plotted=False, values={"sites": SITES}),
    ),
    axis="d, sites",
    unit="ordered pair",
    error="largest entry of the difference from ours (ours: of R'R - I)",
    note=f"One site by default: {SITES} repeat it, with --full. The loop is timed on "
    f"{len(PEER_PAIRS)} of its pairs, since each costs the same; its time is by the pair, as ours. "
    "`memory` of ours is the peak of one pass: no matrix of activations is held twice.",
    devices=("cpu", "cuda"),
)
Sets = list[torch.Tensor]


@GROUP.contender("polyrot align_pairs", ours=True, slow=(512,))
def one_pass(sets: Sets) -> dict[tuple[int, int], torch.Tensor]:
    fits = pr.align_pairs(sets, holdout=0)
    return {pair: fit.rotation for pair, fit in fits.items()}


@GROUP.contender("scipy, pair by pair", at_least={512: 2})
def pair_by_pair(sets: Sets) -> dict[tuple[int, int], torch.Tensor]:
    found = {}
    for a, b in PEER_PAIRS:
        x, y = (sets[i].cpu().double().numpy() for i in (a, b))
        x, y = x - x.mean(0), y - y.mean(0)
        found[a, b] = torch.from_numpy(scipy.linalg.orthogonal_procrustes(x, y)[0])
    return found


@GROUP.contender("plain, pair by pair")
def plain(sets: Sets) -> dict[tuple[int, int], torch.Tensor]:
    """The same loop with everything a pair needs, explained variance included."""
    found = {}
    for a, b in PEER_PAIRS:
        x, y = (sets[i].cpu().double().numpy() for i in (a, b))
        x, y = x - x.mean(0), y - y.mean(0)
        u, _, vh = np.linalg.svd(x.T @ y)
        rotation = u @ vh
        assert 1 - ((x @ rotation - y) ** 2).sum() / (y**2).sum() > 0.5
        found[a, b] = torch.from_numpy(rotation)
    return found


@pytest.mark.group(GROUP)
def test_all_pairs(case: Case, contender: Contender, measure: Measure, device: str) -> None:
    d, sites = case.size, case["sites"]
    sets = [x.to(device) for x in _sets(d)]
    pairs = len(PAIRS if contender.ours else PEER_PAIRS)
    products = len(PAIRS) // 2  # an unordered pair has one
    rotations = measure(
        lambda: [contender.run(sets) for _ in range(sites)][-1],
        per=pairs * sites,
        operations=sites * products * 2 * TOKENS * d**2,
        bytes_moved=sites * SEEDS * 4 * TOKENS * d,
        memory=contender.ours and sites == 1,
    )
    if contender.ours:
        _ours[d] = rotations[PEER_PAIRS[0]].cpu()
        eye = torch.eye(d, dtype=torch.float64, device=device)
        defects = [(r.mT @ r - eye).abs().max() for r in rotations.values()]
        measure.agrees(max(defects), at_most=1e-12)
    else:
        first = PEER_PAIRS[0]
        if d not in _ours:
            _ours[d] = pr.align(*(sets[i] for i in first), holdout=0).rotation.cpu()
        measure.agrees((rotations[first] - _ours[d]).abs().max(), at_most=1e-8)


_ours: dict[int, torch.Tensor] = {}


@lru_cache(maxsize=1)
def _sets(d: int) -> Sets:
    common = data.latent(TOKENS, d)
    return [data.seen_by(common, seed) for seed in range(SEEDS)]
