"""Two dictionaries that differ in nothing but their rule: of single directions, and of subspaces.

Equal columns, an equal number of them on at a time, and one recipe of training.
"""

from abc import abstractmethod
from dataclasses import replace

from polyrot.capabilities.streams import Autoencoders
from polyrot.sae.activations import GroupTopK, TopK
from polyrot.sae.model import SAE
from polyrot.sae.recipe import Rule, SAEConfig

SCALAR, SUBSPACE = KINDS = "scalar", "subspace"
GROUPS, RANK = 6, 4
RULES: dict[str, Rule] = {SCALAR: TopK(GROUPS * RANK), SUBSPACE: GroupTopK(GROUPS, RANK)}
RECIPE = SAEConfig(expansion=2, steps=2_000, batch=512, learning_rate=3e-3, decay=0.2)
"""Of either kind, where they are shipped: small ones, which explain over 99% of the activations
they are trained on, as the larger ones of the other claims do."""


def recipe_of(kind: str, base: SAEConfig = RECIPE) -> SAEConfig:
    """Put a kind's rule into a recipe.

    Raises:
        ValueError: where there is no such kind.
    """
    if kind not in RULES:
        raise ValueError(f"Expected kind to be one of {', '.join(KINDS)} but got kind={kind!r}")
    return replace(base, activation=RULES[kind])


class GroupAutoencoders(Autoencoders):
    """For each model two autoencoders at the late site: of single directions, and of subspaces."""

    what = "group autoencoders"

    @abstractmethod
    def dictionary(self, seed: int, kind: str, sae_seed: int = 0) -> SAE:
        """One of the two, of `KINDS`; by default from the SAE seed that all models share.

        The first seed may have others, from its own SAE seed.
        """
