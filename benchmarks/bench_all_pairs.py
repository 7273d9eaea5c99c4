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
PEER_PAIRS = [(0, 1), (1, 0)]
SHARE = len(PAIRS) // SEEDS
"""Pairs of a loop over all to which the conversion of one seed is charged."""
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
    note=f"One site by default: {SITES} repeat it, with --full. A loop is timed on a few of its "
    "pairs, since each costs the same; its time is by the pair, as ours. One loop converts each "
    f"seed to float64 once, which is charged to {SHARE} pairs, and holds all of them in float64 at "
    "once; the others convert both sides of each pair. "
    "`memory` of ours is the peak of one pass: no matrix of activations is held twice.",
    devices=("cpu", "cuda"),
)
Sets = list[torch.Tensor]
Rotations = dict[tuple[int, int], torch.Tensor]


@GROUP.contender("polyrot align_pairs", ours=True, slow=(512,))
def one_pass(sets: Sets) -> Rotations:
    fits = pr.align_pairs(sets, holdout=0)
    return {pair: fit.rotation for pair, fit in fits.items()}


@GROUP.contender("scipy, converted once", at_least={512: 2})
def converted_once(sets: Sets) -> Rotations:
    sides = {0: _centred(sets[0]), 1: _converted_before(sets[0].shape[1])}
    for _ in range(SHARE // len(PEER_PAIRS)):
        found = {
            (a, b): scipy.linalg.orthogonal_procrustes(sides[a], sides[b])[0] for a, b in PEER_PAIRS
        }
    return {pair: torch.from_numpy(rotation) for pair, rotation in found.items()}


@GROUP.contender("scipy, pair by pair")
def pair_by_pair(sets: Sets) -> Rotations:
    found = {}
    for a, b in PEER_PAIRS:
        x, y = _centred(sets[a]), _centred(sets[b])
        found[a, b] = torch.from_numpy(scipy.linalg.orthogonal_procrustes(x, y)[0])
    return found


@GROUP.contender("plain, pair by pair")
def plain(sets: Sets) -> Rotations:
    """The same loop with everything a pair needs, explained variance included."""
    found = {}
    for a, b in PEER_PAIRS:
        x, y = _centred(sets[a]), _centred(sets[b])
        u, _, vh = np.linalg.svd(x.T @ y)
        rotation = u @ vh
        assert 1 - ((x @ rotation - y) ** 2).sum() / (y**2).sum() > 0
        found[a, b] = torch.from_numpy(rotation)
    return found


PAIRS_OF = {"polyrot align_pairs": len(PAIRS), "scipy, converted once": SHARE}


@pytest.mark.group(GROUP)
def test_all_pairs(case: Case, contender: Contender, measure: Measure, device: str) -> None:
    d, sites = case.size, case["sites"]
    sets = [x.to(device) for x in _sets(d)]
    pairs = PAIRS_OF.get(contender.name, len(PEER_PAIRS))
    _converted_before(d)
    rotations = measure(
        lambda: [contender.run(sets) for _ in range(sites)][-1],
        per=pairs * sites,
        # An unordered pair has one product and one decomposition.
        operations=sites * pairs / 2 * (2 * TOKENS * d**2 + 24 * d**3),
        bytes_moved=sites * pairs / len(PAIRS) * SEEDS * 4 * TOKENS * d,
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


def _centred(x: torch.Tensor) -> np.ndarray:
    side = x.cpu().double().numpy()
    return side - side.mean(0)


@lru_cache(maxsize=1)
def _converted_before(d: int) -> np.ndarray:
    return _centred(_sets(d)[1])


@lru_cache(maxsize=1)
def _sets(d: int) -> Sets:
    common = data.latent(TOKENS, d)
    return [data.seen_by(common, seed) for seed in range(SEEDS)]
