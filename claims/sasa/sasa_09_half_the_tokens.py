"""SASA-09: a group SAE trained on half the tokens explains as much as TopK does on all of them.

"Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333), abstract: group SAEs need half the tokens.
The explained variance, on tokens that no SAE was trained on, of a group SAE at half the tokens less
that of TopK at all of them, with the same number of latents and the same L0.

Half the tokens means half of the steps on the first half of the sequences, so half of the tokens
that are seen and half of those that exist; the learning rate falls over the last fifth of the
steps.  If a suite has fewer sequences than its budget, they repeat equally often in both cases.
Replicates are the models, each with its own SAE seed; for a single model, the SAE seeds.
"""

import pytest

from polyrot.claim import *
from polyrot.experiments.letters.budgets import COLUMNS, SUBSPACES, Budgets, MatchedDictionaries
from polyrot.experiments.letters.controls import as_trained, columns_at_half, planted_letters

CLAIM = Claim("SASA-09", "Half the tokens suffice for subspaces", "arXiv 2606.06333, abstract")
AT_HALF = negative("TopK at half the tokens", columns_at_half)
HALF, ALL = "group SAE, half the tokens", "group SAE, all tokens"
COLUMNS_ALL = "TopK, all tokens"
HARDENED = Measurement(
    CLAIM,
    Bar.at_least(-0.005, "EV of the group SAE at half the tokens less that of TopK at all"),
    (AT_HALF, positive("planted letters", planted_letters)),
    figures=(
        ByPart(
            "budgets",
            title="Explained variance by tokens",
            caption="On tokens that no SAE was trained on; mean over seeds.",
            y="explained variance",
            curves=(
                Curve(HALF, Role.MODELS, detail=HALF),
                Curve(ALL, Role.BESIDE, detail=ALL),
                Curve(COLUMNS_ALL, Role.BESIDE, detail=COLUMNS_ALL),
                Curve(AT_HALF.name, Role.NEGATIVE, AT_HALF.name, HALF),
            ),
        ),
    ),
)


def gained(saes: MatchedDictionaries) -> Measured:
    """Explained variance of the groups at half the tokens less that of TopK at all."""
    half, topk = saes.ev(SUBSPACES, half=True), saes.ev(COLUMNS)
    return Measured(half - topk, {HALF: half, ALL: saes.ev(SUBSPACES), COLUMNS_ALL: topk})


@pytest.mark.measurement(HARDENED)
def test_hardened(budgets: Budgets, judge: Judge) -> None:
    saes = budgets.budgets
    judge(lambda world=as_trained: {"EV": average(saes, lambda seed: gained(world(saes[seed])))})
