"""SASA-09: a group SAE trained on half the tokens explains as much as TopK does on all of them.

"Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333), abstract: group SAEs need half the tokens.
The explained variance, on tokens that no SAE was trained on, of a group SAE at half the tokens less
that of TopK at all of them, with the same number of latents and the same L0.

Half the tokens means half of the steps on the first half of the sequences, so half of the tokens
that are seen and half of those that exist; the learning rate falls over the last fifth of the
steps.  If a suite has fewer sequences than its budget, they repeat equally often in both cases.

Replicates are the models, each with its own SAE seed; for a single model, the SAE seeds.
"""

from collections.abc import Callable

import pytest

from polyrot.claim import *
from polyrot.experiments.letters.budgets import COLUMNS, SUBSPACES, Budgets, MatchedDictionaries
from polyrot.experiments.letters.controls import columns_at_half, planted_letters

CLAIM = Claim(
    "SASA-09",
    "Half the tokens suffice for subspaces",
    "arXiv 2606.06333, abstract",
)
AT_HALF = negative("single columns at half the tokens", columns_at_half)
HARDENED = Measurement(
    CLAIM,
    Bar.at_least(-0.005, "EV of subspaces at half the tokens less single columns' at all"),
    (AT_HALF, positive("planted letters", planted_letters)),
)
HALF, BOTH_ALL = "subspaces, half the tokens", "subspaces, all tokens"
ALL = "single columns, all tokens"
BUDGETS = ByPart(
    "budgets",
    title="Explained variance by tokens",
    caption="On tokens that no SAE was trained on; mean over seeds.",
    y="explained variance",
    curves=(
        Curve(HALF, Role.MODELS, detail=HALF),
        Curve(BOTH_ALL, Role.BESIDE, detail=BOTH_ALL),
        Curve(ALL, Role.BESIDE, detail=ALL),
        Curve(AT_HALF.name, Role.NEGATIVE, AT_HALF.name, HALF),
    ),
)

World = Callable[[MatchedDictionaries], MatchedDictionaries]


def as_trained(saes: MatchedDictionaries) -> MatchedDictionaries:
    return saes


def ev_gained(saes: MatchedDictionaries) -> Measured:
    """Explained variance of the groups at half the tokens less that of TopK at all."""
    half, topk = saes.ev(SUBSPACES, half=True), saes.ev(COLUMNS)
    return Measured(half - topk, {HALF: half, BOTH_ALL: saes.ev(SUBSPACES), ALL: topk})


@pytest.mark.measurement(HARDENED)
def test_hardened(budgets: Budgets, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        by_seed = budgets.budgets
        return {"EV": average(by_seed, lambda seed: ev_gained(world(by_seed[seed])))}

    judge(measure, figures=[BUDGETS])
