"""How far dictionaries that were trained on different models are one, once rotated.

Of a suite's group autoencoders; a group counts for what it writes on held-out tokens.
"""

from itertools import product

import torch
from torch import Tensor

from polyrot.capabilities.dictionaries import KINDS, SUBSPACE, GroupAutoencoders
from polyrot.capabilities.pairs import Pair
from polyrot.capabilities.streams import Streams
from polyrot.cores.comparison import principal_angles
from polyrot.errors import NotRun
from polyrot.linalg import haar
from polyrot.sae import groups

HOW = AS_IS, ROTATED, TWO_SEEDS, CHANCE = "as they are", "rotated", "two SAE seeds", "at random"
"""The target's groups beside the source's, in their own bases, under the fitted rotation or a
random one; and those of two SAE seeds of one model."""


def likeness(trained: GroupAutoencoders, pair: Pair, kind: str) -> dict[str, float]:
    """Compare the target's groups with the source's: as they are, rotated, rotated at random."""
    source, target = (
        groups.written(trained.dictionary(seed, kind), x[pair.scored])
        for seed, x in zip(pair.seeds, (pair.source, pair.target), strict=True)
    )
    turns = {
        AS_IS: torch.eye(pair.d_model, dtype=torch.float64),
        ROTATED: pair.alignment.rotation,
        CHANCE: haar.sample(pair.d_model, group="O", seed=pair.draw_seed(61)),
    }
    return {
        f"{what}, {how}": value
        for how, turn in turns.items()
        for what, value in compared(source, target @ turn, kind).items()
    }


def of_one_model(
    streams: Streams, trained: GroupAutoencoders
) -> dict[str, dict[tuple[int, int], float]]:
    """Compare the dictionaries of two SAE seeds, by figure and model, of models that have two."""
    found: dict[str, dict[tuple[int, int], float]] = {}
    for seed, kind in product(streams.seeds, KINDS):
        x = streams.activations.at(streams.late_site)[streams.index(seed), streams.held_out]
        try:
            two = [trained.dictionary(seed, kind, n) for n in (0, trained.sae_seed(seed))]
        except NotRun:  # not every model has two
            continue
        first, second = (groups.written(own, x) for own in two)
        for what, value in compared(first, second, kind).items():
            found.setdefault(f"{what}, {TWO_SEEDS}", {})[seed, seed] = value
    return found


def compared(source: groups.Written, other: groups.Written, kind: str) -> dict[str, float]:
    """Measure the mean overlap of matched groups and, of subspaces, their largest angle.

    Groups count for their share of what the source's dictionary writes; the angle, in degrees, is
    the largest principal one between the axes of what either writes.
    """
    partner, overlap = groups.matching(source, other)
    found = {f"{kind} overlap": overlap}
    if kind == SUBSPACE:
        share = groups.energies(source) / groups.energies(source).sum()
        angles: list[Tensor] = [
            principal_angles(groups.axes(own), groups.axes(its))[-1:].sum()
            for own, its in zip(source, other[partner], strict=True)
        ]
        found["largest angle of subspaces"] = float(torch.stack(angles) @ share)
    return found
