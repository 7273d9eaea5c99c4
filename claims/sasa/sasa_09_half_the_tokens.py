"""SASA-09: subspaces trained on half the tokens explain as much as single columns do on all.

"Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333), abstract: groups of columns need half the
tokens.  Explained variance of tokens that no autoencoder has seen, of subspaces at half the tokens
less that of TopK at all of them, with as many columns and as many of them on.

Half the tokens is half of the steps, so half of the tokens that are seen, drawn from the first
half of the sequences, so half of those that there are; the learning rate falls over the last fifth
of the steps that there are.  A suite whose sequences are fewer than its budget repeats them
equally often in either case.

What is replicated is the model, each with an SAE seed of its own; of one model, the SAE seed.
"""

from collections.abc import Callable

import pytest

from polyrot.capabilities import figures
from polyrot.experiments.letters.budgets import COLUMNS, SUBSPACES, MatchedDictionaries
from polyrot.experiments.letters.controls import columns_at_half, planted_letters
from polyrot.stats.estimate import Estimate, beside, over_seeds
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, negative, positive
from polyrot.verdict.figure import Figure, Role
from polyrot.verdict.run import MODELS, Judge

CLAIM = Claim(
    "SASA-09",
    "Half the tokens suffice for subspaces",
    "arXiv 2606.06333, abstract",
)
BAR = Bar.at_least(-0.005, "EV of subspaces at half the tokens less single columns' at all")
AT_HALF = negative("single columns at half the tokens", columns_at_half)
CONTROLS = (AT_HALF, positive("planted letters", planted_letters))
HARDENED = Measurement(CLAIM, BAR, CONTROLS)

World = Callable[[MatchedDictionaries], MatchedDictionaries]
PART = "EV"
HALF, ALL = "subspaces, half the tokens", "single columns, all tokens"
BOTH_ALL = "subspaces, all tokens"


def as_trained(own: MatchedDictionaries) -> MatchedDictionaries:
    return own


def explained(own: MatchedDictionaries) -> dict[str, float]:
    """Explained variance by arm and tokens."""
    return {
        HALF: own.ev(SUBSPACES, half=True),
        BOTH_ALL: own.ev(SUBSPACES),
        ALL: own.ev(COLUMNS),
    }


def by_budget(estimates: figures.Worlds) -> list[Figure]:
    curves = (
        (HALF, Role.MODELS, MODELS, HALF),
        (BOTH_ALL, Role.BESIDE, MODELS, BOTH_ALL),
        (ALL, Role.BESIDE, MODELS, ALL),
        (AT_HALF.name, Role.NEGATIVE, AT_HALF.name, HALF),
    )
    return [
        figures.by_part(
            estimates,
            curves,
            name="budgets",
            title="Explained variance by tokens",
            caption="Of tokens that no autoencoder has seen; mean over seeds.",
            y="explained variance",
        )
    ]


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        found = {seed: explained(world(own)) for seed, own in suite.budgets.items()}
        details: dict[str, float] = {}
        for which in (HALF, BOTH_ALL, ALL):
            details |= beside(which, over_seeds({seed: own[which] for seed, own in found.items()}))
        lost = {seed: own[HALF] - own[ALL] for seed, own in found.items()}
        return {PART: over_seeds(lost, details=details)}

    judge(measure, figures=by_budget)
