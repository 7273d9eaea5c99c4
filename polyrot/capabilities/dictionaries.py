"""Two autoencoders that differ only in their activation rule: a TopK SAE and a group SAE.

Both have the same width, the same number of active latents (L0) and the same training recipe.  How
similar are those of different models after rotation?  A group is weighted by what it writes on
held-out tokens.
"""

from abc import abstractmethod
from dataclasses import replace
from itertools import product

import torch
from torch import Tensor

from polyrot.capabilities.pairs import Pair
from polyrot.capabilities.streams import Autoencoders, Streams
from polyrot.cores.comparison import principal_angles
from polyrot.errors import NotRun
from polyrot.linalg import haar
from polyrot.sae import groups
from polyrot.sae.activations import GroupTopK, TopK
from polyrot.sae.model import SAE
from polyrot.sae.recipe import Rule, SAEConfig
from polyrot.stats.estimate import estimate_details, over_seeds

SCALAR, SUBSPACE = KINDS = "scalar", "subspace"
GROUPS, RANK = 6, 4
RULES: dict[str, Rule] = {SCALAR: TopK(GROUPS * RANK), SUBSPACE: GroupTopK(GROUPS, RANK)}
RECIPE = SAEConfig(expansion=2, steps=2_000, batch=512, learning_rate=3e-3, decay=0.2)
"""Of both kinds, as shipped: small ones that explain over 99% of the variance of their training
activations, as the larger ones of the other claims do."""

HOW = AS_IS, ROTATED, TWO_SEEDS, CHANCE = "as they are", "rotated", "two SAE seeds", "at random"
"""The target's groups compared with the source's without a rotation, under the fitted one and under
a random one; and the groups of two SAE seeds of one model."""


def recipe_of(kind: str, base: SAEConfig = RECIPE) -> SAEConfig:
    """Return a recipe with a kind's activation rule.

    Raises:
        ValueError: if there is no such kind.
    """
    if kind not in RULES:
        raise ValueError(f"Expected kind to be one of {', '.join(KINDS)} but got kind={kind!r}")
    return replace(base, activation=RULES[kind])


class GroupAutoencoders(Autoencoders):
    """For each model a TopK SAE and a group SAE at the late site."""

    what = "group autoencoders"

    @abstractmethod
    def dictionary(self, seed: int, kind: str, sae_seed: int = 0) -> SAE:
        """Return a model's autoencoder of one of the `KINDS`, by default from the shared SAE seed.

        The first model may also have autoencoders from a second SAE seed.
        """


def likeness(trained: GroupAutoencoders, pair: Pair, kind: str) -> dict[str, float]:
    """Compare the target's groups with the source's: unrotated, rotated, randomly rotated."""
    source, target = (
        groups.written(trained.dictionary(seed, kind), x[pair.scored])
        for seed, x in zip(pair.seeds, (pair.source, pair.target), strict=True)
    )
    rotations = {
        AS_IS: torch.eye(pair.d_model, dtype=torch.float64),
        ROTATED: pair.alignment.rotation,
        CHANCE: haar.sample(pair.d_model, group="O", seed=pair.draw_seed(61)),
    }
    return {
        f"{what}, {how}": value
        for how, rotation in rotations.items()
        for what, value in compared(source, target @ rotation, kind).items()
    }


def of_one_model(streams: Streams, trained: GroupAutoencoders) -> dict[str, float]:
    """Compare the groups of two SAE seeds, averaged over the models that have both."""
    found: dict[str, dict[int, float]] = {}
    for seed, kind in product(streams.seeds, KINDS):
        x = streams.activations.at(streams.late_site)[streams.index(seed), streams.held_out]
        try:
            two = [trained.dictionary(seed, kind, n) for n in (0, trained.sae_seed(seed))]
        except NotRun:  # not every model has two
            continue
        first, second = (groups.written(sae, x) for sae in two)
        for what, value in compared(first, second, kind).items():
            found.setdefault(f"mean {what}, {TWO_SEEDS}", {})[seed] = value
    details: dict[str, float] = {}
    for name, by_seed in found.items():
        details |= estimate_details(name, over_seeds(by_seed))
    return details


def compared(source: groups.Written, other: groups.Written, kind: str) -> dict[str, float]:
    """Measure the mean overlap of matched groups and, for subspaces, their largest angle.

    Groups are weighted by their share of what the source's autoencoder writes.  The angle, in
    degrees, is the largest principal angle between the subspaces that two matched groups write to.
    """
    partner, overlap = groups.matching(source, other)
    found = {f"{kind} overlap": overlap}
    if kind == SUBSPACE:
        share = groups.energies(source) / groups.energies(source).sum()
        angles: list[Tensor] = [
            principal_angles(groups.axes(first), groups.axes(second))[-1:].sum()
            for first, second in zip(source, other[partner], strict=True)
        ]
        found["largest angle of subspaces"] = float(torch.stack(angles) @ share)
    return found
