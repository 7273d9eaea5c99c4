"""Worlds of matched SAEs: latents assigned to groups at random, and planted letters."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from polyrot.experiments.letters.budgets import COLUMNS, SUBSPACES, MatchedDictionaries, Words
from polyrot.linalg import haar
from polyrot.sae.activations import GroupTopK, TopK
from polyrot.sae.model import SAE
from polyrot.tasks.letters import LETTERS

SPLIT, ABSORBED = 0.25, 0.02
"""Shares of a letter's words that have its second feature, and each feature that absorbs it."""
NOISE = 0.01
"""Norm of a token's noise, relative to tokens of norm 1."""
COS, THRESHOLD = 0.5, 0.8
"""Cosine of a letter's other features with its first; pre-activation that a feature must exceed."""


World = Callable[[MatchedDictionaries], MatchedDictionaries]


def as_trained(matched: MatchedDictionaries) -> MatchedDictionaries:
    """Return the arms as they are."""
    return matched


def shuffled_groups(matched: MatchedDictionaries) -> MatchedDictionaries:
    """Assign the latents of the group SAE to groups at random."""

    def load(arm: str, half: bool) -> SAE:
        sae = matched.load(arm, half)
        if arm != SUBSPACES:
            return sae
        order = torch.randperm(sae.features, generator=torch.Generator().manual_seed(matched.draw))
        return replace(
            sae, W_enc=sae.W_enc[:, order], b_enc=sae.b_enc[order], W_dec=sae.W_dec[order]
        )

    return replace(matched, load=load)


def columns_at_half(matched: MatchedDictionaries) -> MatchedDictionaries:
    """Replace the group SAE at half the tokens by the TopK SAE at half the tokens."""
    return replace(
        matched, load=lambda arm, half: matched.load(COLUMNS if arm == SUBSPACES else arm, half)
    )


def planted_letters(matched: MatchedDictionaries, *, turned: bool = True) -> MatchedDictionaries:
    """Plant every letter in a subspace that one group holds and TopK latents split and absorb.

    The words of a letter lie in several directions of one subspace, whose dimension is the rank of
    the model's groups; subspaces of letters are orthogonal.  The groups are these subspaces.  The
    TopK latents are the directions, each active only for its words: the first two identify the
    letter; the others are rare and absorb it, because the first two are inactive there.

    With `turned`, a group holds its subspace in a random basis, so that no latent is the letter;
    otherwise its first latent is.
    """
    rule = matched.sae(SUBSPACES).activation
    assert isinstance(rule, GroupTopK)
    d_model, rank = matched.x.shape[1], rule.rank
    count = min(len(LETTERS), d_model // rank)
    generator = torch.Generator().manual_seed(matched.draw)
    basis = haar.sample(d_model, seed=matched.draw)[: count * rank].unflatten(0, (count, rank))
    features = torch.einsum("fr,lrd->lfd", _directions(rank), basis)
    both = [_words(features, len(x), generator) for x in (matched.words.fit, matched.words.scored)]
    words = Words(*both[0], *both[1])
    if turned:
        basis = haar.sample(rank, size=count, seed=matched.draw + 1).mT @ basis
    saes = {SUBSPACES: _subspaces(basis), COLUMNS: _columns(features)}
    return replace(matched, words=words, x=words.scored, load=lambda arm, half: saes[arm])


def planted_otherwise(matched: MatchedDictionaries, *, turned: bool = True) -> MatchedDictionaries:
    """Plant letters with the arms swapped: here the TopK SAE does not split or absorb."""
    planted = planted_letters(matched, turned=turned)
    other = {SUBSPACES: COLUMNS, COLUMNS: SUBSPACES}
    return replace(planted, load=lambda arm, half: planted.load(other[arm], half))


def _directions(rank: int) -> Tensor:
    """Return unit vectors `[feature, rank]`: the first axis, and the others tilted towards it."""
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
    # The part of a pre-activation of 1 above the threshold is scaled back to 1.
    return SAE(
        rows.mT.contiguous() / (1 - THRESHOLD),
        torch.full((len(rows),), -THRESHOLD / (1 - THRESHOLD)),
        rows,
        torch.zeros(rows.shape[1]),
        {},
        TopK(1),
    )
