"""SASA-08: on a language model, subspaces split and absorb less than single columns do.

"Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333): with as many columns and as many of them
on, groups that are on together show less feature absorption than TopK and split features into
fewer pieces, and explain as much.  Asked about the first letters of words, as SAEBench does
(Karvonen et al. 2025, arXiv 2503.09532; Chanin et al. 2024, arXiv 2409.14507), averaged over the
letters that a probe reads from the model itself.  Three parts: absorption fraction and main units
of the single columns less those of the subspaces, and 0.02 less the difference in explained
variance of tokens that no autoencoder has seen.

As published every column is a unit, of groups too, with its sign: so the paper's own code scores
them.  Hardened the unit of a subspace is the group, read by its norm, and projections are taken
behind the decoder's bias.  Neither count of main units is like for like, as the paper's own notes
warn: a group holds several columns, and what is not on is gated by another rule; the absorption
fraction is the one to compare.

What no number here shows: a dictionary that reads letters badly splits and absorbs little, too; to
the parts the F1 of the main units is told beside.  Groups that are dealt at random are such.

Not SAEBench's: words are read in running text, not in a prompt that asks for the letter, and the
units of k-sparse probes are chosen one after another, not by the weights of a penalised probe.
What is replicated is the model, each with an SAE seed of its own; of one model, the SAE seed.
"""

from collections.abc import Callable

import pytest

from polyrot.capabilities import figures
from polyrot.experiments.letters.budgets import COLUMNS, SUBSPACES, MatchedDictionaries, Read
from polyrot.experiments.letters.controls import planted_letters, planted_otherwise, shuffled_groups
from polyrot.sae.absorption import Units
from polyrot.stats.estimate import Estimate, beside, over_seeds
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, negative, positive
from polyrot.verdict.figure import Figure, Role
from polyrot.verdict.run import MODELS, Judge

CLAIM = Claim(
    "SASA-08",
    "Subspaces split and absorb less at equal budget",
    "arXiv 2606.06333, GPT-2 layer 7; the tables are not available",
)
LOST = 0.02
BAR = Bar.above(0.0, f"absorption and main units below single columns', EV within {LOST} of theirs")
ABSORPTION, SPLITTING, EXPLAINED = "absorption", "splitting", "EV"
SHUFFLED = negative("shuffled groups", shuffled_groups)
CONTROLS = (
    SHUFFLED,
    negative("planted letters, exchanged", planted_otherwise, ABSORPTION, SPLITTING),
    positive("planted letters", planted_letters),
)
PUBLISHED = Measurement(CLAIM, BAR, CONTROLS, published=True)
HARDENED = Measurement(CLAIM, BAR, CONTROLS)

World = Callable[[MatchedDictionaries], MatchedDictionaries]
QUANTITIES = {
    ABSORPTION: "absorption fraction",
    SPLITTING: "split features",
    EXPLAINED: "explained variance",
}


def as_trained(own: MatchedDictionaries) -> MatchedDictionaries:
    return own


def arm_of(own: MatchedDictionaries, arm: str, read: Read) -> dict[str, float]:
    """What an arm makes of the letters, and how much it explains."""
    return own.absorption(arm, read) | {QUANTITIES[EXPLAINED]: own.ev(arm)}


def margins(subspaces: dict[str, float], columns: dict[str, float]) -> dict[str, float]:
    """How far inside its bar each part is."""
    less = {part: columns[what] - subspaces[what] for part, what in QUANTITIES.items()}
    return less | {EXPLAINED: LOST - abs(less[EXPLAINED])}


def measured(suite: Suite, read: Read, world: World) -> dict[str, Estimate]:
    """Estimate the margins to the bars, by part."""
    found: dict[int, dict[str, dict[str, float]]] = {}
    for seed, own in suite.budgets.items():
        placed = world(own)
        found[seed] = {arm: arm_of(placed, arm, read) for arm in (SUBSPACES, COLUMNS)}
    inside = {seed: margins(arms[SUBSPACES], arms[COLUMNS]) for seed, arms in found.items()}

    def both(what: str, name: str) -> dict[str, float]:
        details: dict[str, float] = {}
        for arm in (SUBSPACES, COLUMNS):
            values = {seed: arms[arm][what] for seed, arms in found.items()}
            details |= beside(f"{name}{arm}", over_seeds(values))
        return details

    letters = beside(
        "letters", over_seeds({s: arms[COLUMNS]["letters"] for s, arms in found.items()})
    )
    also = {
        ABSORPTION: both("full absorption", "fully absorbed, ") | letters,
        SPLITTING: both("F1 of the main units", "F1 of the main units, "),
        EXPLAINED: {},
    }
    return {
        part: over_seeds(
            {seed: own[part] for seed, own in inside.items()},
            details=both(what, "") | also[part],
        )
        for part, what in QUANTITIES.items()
    }


def by_arm(estimates: figures.Worlds) -> list[Figure]:
    curves = (
        (SUBSPACES, Role.MODELS, MODELS, SUBSPACES),
        (COLUMNS, Role.BESIDE, MODELS, COLUMNS),
        ("groups shuffled", Role.NEGATIVE, SHUFFLED.name, SUBSPACES),
    )
    return [
        figures.by_part(
            {world: {part: own[part]} for world, own in estimates.items() if part in own},
            curves,
            name=what.replace(" ", "-"),
            title=what.capitalize(),
            caption="Dictionaries of equal columns, l0 and tokens; mean over seeds.",
            y=what,
        )
        for part, what in QUANTITIES.items()
    ]


@pytest.mark.measurement(PUBLISHED)
def test_published(suite: Suite, judge: Judge) -> None:
    judge(lambda world=as_trained: measured(suite, Units.columns, world), figures=by_arm)


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    judge(lambda world=as_trained: measured(suite, Units.groups, world), figures=by_arm)
