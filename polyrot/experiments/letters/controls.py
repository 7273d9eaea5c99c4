"""Worlds of two dictionaries: columns dealt to groups at random, and planted letters."""

from dataclasses import replace

import torch
from torch import Tensor

from polyrot.experiments.letters.budgets import COLUMNS, SUBSPACES, MatchedDictionaries, Words
from polyrot.linalg import haar
from polyrot.sae.activations import GroupTopK, TopK
from polyrot.sae.model import SAE
from polyrot.tasks.letters import LETTERS

SPLIT, ABSORBED = 0.25, 0.02
"""Of a letter's words, those of its second feature, and of each that absorbs it."""
NOISE = 0.01
"""Norm of a token's noise, where a token has norm 1."""
COS, THRESHOLD = 0.5, 0.8
"""Cosine of a letter's other features with its first; pre-activation that a feature must exceed."""


def shuffled_groups(own: MatchedDictionaries) -> MatchedDictionaries:
    """Deal the columns of the subspaces to groups at random."""

    def load(arm: str, half: bool) -> SAE:
        sae = own.load(arm, half)
        if arm != SUBSPACES:
            return sae
        order = torch.randperm(sae.features, generator=torch.Generator().manual_seed(own.draw))
        return replace(
            sae, W_enc=sae.W_enc[:, order], b_enc=sae.b_enc[order], W_dec=sae.W_dec[order]
        )

    return replace(own, load=load)


def columns_at_half(own: MatchedDictionaries) -> MatchedDictionaries:
    """Let single columns at half the tokens stand for the subspaces at half the tokens."""
    return replace(own, load=lambda arm, half: own.load(COLUMNS if arm == SUBSPACES else arm, half))


def planted_letters(own: MatchedDictionaries) -> MatchedDictionaries:
    """Put every letter into a subspace that one group holds, and single columns split and absorb.

    A letter's words lie in several directions of its own subspace, of as many dimensions as a
    group of the model's dictionary; the subspaces are orthogonal.  The groups are these subspaces.
    The single columns are the directions, each on for its own words alone: the first two features
    tell the letter, the others are rare and write what the first ones, silent there, leave out.
    """
    rule = own.sae(SUBSPACES).activation
    assert isinstance(rule, GroupTopK)
    d_model, rank = own.x.shape[1], rule.rank
    count = min(len(LETTERS), d_model // rank)
    generator = torch.Generator().manual_seed(own.draw)
    basis = haar.sample(d_model, seed=own.draw)[: count * rank].unflatten(0, (count, rank))
    features = torch.einsum("fr,lrd->lfd", _directions(rank), basis)
    both = [_words(features, len(x), generator) for x in (own.words.fit, own.words.scored)]
    words = Words(*both[0], *both[1])
    # A group holds its subspace in any basis: no column of it is the letter.
    turned = haar.sample(rank, size=count, seed=own.draw + 1).mT @ basis
    saes = {SUBSPACES: _subspaces(turned), COLUMNS: _columns(features)}
    return replace(own, words=words, x=words.scored, load=lambda arm, half: saes[arm])


def planted_otherwise(own: MatchedDictionaries) -> MatchedDictionaries:
    """Plant letters, and exchange the arms: here the single columns hold what groups do there."""
    planted = planted_letters(own)
    other = {SUBSPACES: COLUMNS, COLUMNS: SUBSPACES}
    return replace(planted, load=lambda arm, half: planted.load(other[arm], half))


def _directions(rank: int) -> Tensor:
    """Unit vectors `[feature, rank]`: the first axis, and both ways of every other, towards it."""
    first = torch.eye(rank, dtype=torch.float64)[:1]
    others = torch.eye(rank, dtype=torch.float64)[1:]
    return torch.cat(
        [first] + [COS * first + sign * (1 - COS**2) ** 0.5 * others for sign in (1, -1)]
    )


def _words(features: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw words `[word, d_model]`, and their letters."""
    letters = torch.arange(count) % len(features)
    rare = features.shape[1] - 2
    shares = torch.tensor([1 - SPLIT - rare * ABSORBED, SPLIT] + rare * [ABSORBED])
    feature = torch.multinomial(shares, count, replacement=True, generator=generator)
    x = features[letters, feature]
    noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    return (x + NOISE * noise / x.shape[1] ** 0.5).float(), letters


def _subspaces(basis: Tensor) -> SAE:
    rows = basis.flatten(0, 1).float()
    zeros = torch.zeros(len(rows)), torch.zeros(rows.shape[1])
    return SAE(rows.mT.contiguous(), zeros[0], rows, zeros[1], {}, GroupTopK(1, basis.shape[1]))


def _columns(features: Tensor) -> SAE:
    rows = features.flatten(0, 1).float()
    # What is left of a pre-activation of 1 above the threshold is scaled back to 1.
    return SAE(
        rows.mT.contiguous() / (1 - THRESHOLD),
        torch.full((len(rows),), -THRESHOLD / (1 - THRESHOLD)),
        rows,
        torch.zeros(rows.shape[1]),
        {},
        TopK(1),
    )
