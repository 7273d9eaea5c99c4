"""Group and TopK autoencoders of planted letters, in which the truth is known."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, lru_cache

import torch
from torch import Tensor

import polyrot as pr
from polyrot.experiments.letters.budgets import (
    COLUMNS,
    SUBSPACES,
    Budgets,
    MatchedDictionaries,
    Words,
)
from polyrot.experiments.letters.controls import COS, planted_letters
from polyrot.sae.activations import GroupTopK
from polyrot.suites.suite import Suite

D, RANK, WORDS = 64, 4, 2_000
LETTERS = D // RANK
World = Callable[[MatchedDictionaries], MatchedDictionaries]


def empty(draw: int) -> MatchedDictionaries:
    """Give the width of activations and of groups, which is all that planting needs."""
    weights = torch.eye(D), torch.zeros(D), torch.eye(D), torch.zeros(D)
    sae = pr.SAE(*weights, {}, GroupTopK(2, RANK))
    none = torch.zeros(WORDS, dtype=torch.int64)
    zeros = torch.zeros(WORDS, D)
    return MatchedDictionaries(Words(zeros, none, zeros, none), zeros, lambda arm, half: sae, draw)


@lru_cache
def letters(draw: int) -> MatchedDictionaries:
    return planted_letters(empty(draw))


class PlantedBudgets(Suite, Budgets):
    """Autoencoders of known truth, of five seeds; of equal values more are needed to decide."""

    def __init__(self, world: World = lambda own: own, seeds: int = 5) -> None:
        super().__init__("planted", tuple(range(1, seeds + 1)))
        self._world = world

    @cached_property
    def budgets(self) -> Mapping[int, MatchedDictionaries]:
        return {seed: self._world(letters(seed)) for seed in self.seeds}


def with_arms(own: MatchedDictionaries, groups: pr.SAE, columns: pr.SAE) -> MatchedDictionaries:
    saes = {SUBSPACES: groups, COLUMNS: columns}
    return replace(own, load=lambda arm, half: saes[arm])


def axes_of(own: MatchedDictionaries) -> Tensor:
    """The axes of each letter's subspace, `[letter, axis, d_model]`; its words lean to the first.

    Words lie along the first axis, or between it and one of the others or its negative.
    """
    rows = own.sae(COLUMNS).W_dec.unflatten(0, (LETTERS, -1))
    first = rows[:, :1]
    others = (rows[:, 1:RANK] - COS * first) / (1 - COS**2) ** 0.5
    return torch.cat([first, others], dim=1)


def columns_that_absorb(own: MatchedDictionaries, every: int) -> pr.SAE:
    """TopK latents of which split and absorb only one letter in so many."""
    planted, axes = own.sae(COLUMNS), axes_of(own)
    whole = torch.arange(LETTERS) % every != 0
    encoder = planted.W_enc.mT.unflatten(0, (LETTERS, -1)).clone()
    decoder = planted.W_dec.unflatten(0, (LETTERS, -1)).clone()
    bias = planted.b_enc.unflatten(0, (LETTERS, -1)).clone()
    # The latent of the first axis is active for every word of its letter, one more for the rest.
    encoder[whole] = decoder[whole] = torch.cat([axes, -axes[:, 1:]], dim=1)[whole]
    bias[whole] = 0
    return replace(
        planted,
        W_enc=encoder.flatten(0, 1).mT.contiguous(),
        b_enc=bias.flatten(),
        W_dec=decoder.flatten(0, 1),
        activation=pr.TopK(2),
    )


def groups_hold_the_letters(own: MatchedDictionaries) -> MatchedDictionaries:
    """Groups hold letters whole; dealt at random, their norms split and absorb more than TopK."""
    groups = replace(own.sae(SUBSPACES), activation=GroupTopK(2, RANK))
    return with_arms(own, groups, columns_that_absorb(own, every=4))


def latents_hold_the_letters(own: MatchedDictionaries) -> MatchedDictionaries:
    """One latent of a group is the letter; dealt at random, it is often silent.

    Its code is small and its decoder row long, so that a group that holds another axis of a rare
    word has the larger norm.
    """
    axes = axes_of(own)
    encoder, decoder = axes.clone(), axes.clone()
    encoder[:, 0] *= 0.3
    decoder[:, 0] *= 1.05 / 0.3
    decoder[:, 2:] += 0.4 * axes[:, :1]
    groups = replace(
        own.sae(SUBSPACES),
        W_enc=encoder.flatten(0, 1).mT.contiguous(),
        W_dec=decoder.flatten(0, 1),
    )
    return with_arms(own, groups, columns_that_absorb(own, every=8))


def otherwise(own: MatchedDictionaries) -> MatchedDictionaries:
    """Groups of one latent that absorb, with others that are never active; a latent per letter."""
    rows = own.sae(COLUMNS).W_dec
    padded = torch.stack([rows, *(RANK - 1) * [0 * rows]], dim=1).flatten(0, 1)
    letter = rows[:: len(rows) // LETTERS]
    return with_arms(
        own,
        autoencoder(padded, GroupTopK(1, RANK)),
        autoencoder(letter, pr.TopK(1)),
    )


def autoencoder(rows: Tensor, rule: pr.TopK | GroupTopK) -> pr.SAE:
    zeros = torch.zeros(len(rows)), torch.zeros(D)
    return pr.SAE(rows.mT.contiguous(), zeros[0], rows, zeros[1], {}, rule)


def worse_at_half(which: str) -> World:
    """Half the tokens leave latents of an arm that write too little."""

    def world(own: MatchedDictionaries) -> MatchedDictionaries:
        def load(arm: str, half: bool) -> pr.SAE:
            sae = own.load(arm, half)
            return replace(sae, W_dec=0.8 * sae.W_dec) if half and arm == which else sae

        return replace(own, load=load)

    return world
