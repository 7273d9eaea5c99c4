"""SASA-08: on a language model, a group SAE splits and absorbs features less than TopK does.

"Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333): with the same number of latents and the
same L0, a group SAE shows less feature absorption than TopK, splits features into fewer pieces, and
explains as much variance.  The features are the first letters of words, as in SAEBench (Karvonen et
al. 2025, arXiv 2503.09532; Chanin et al. 2024, arXiv 2409.14507), averaged over the letters that a
probe can read from the model itself.  A letter's main units are those that a sparse probe needs to
read it: their number counts split features.  There are three parts, each with its own bar:
absorption fraction and main units of TopK less those of the group SAE must be positive, and the
explained variance, on tokens that no SAE was trained on, of the group SAE less that of TopK at
least -0.02.

As published, each latent is a unit, in groups too, with its sign: the paper's code scores them so.
There a token whose projection on the letter is negative has no absorption, and a main unit with a
negative code is silent.  Hardened: the unit of a group SAE is the group, read by its norm, and
projections are taken after the decoder's bias.  Only the absorption fraction is comparable: a group
holds several latents and is silent by another rule, so numbers of main units are not, as the
paper's notes warn.  An SAE that reads letters badly, as randomly dealt groups do, also splits and
absorbs little; the details therefore give the F1 of the main units.

Unlike in SAEBench, words are read in running text, not in a prompt that asks for the letter, and
the units of k-sparse probes are chosen one after another, not by the weights of a penalised probe.
Replicates are the models, each with its own SAE seed; for a single model, the SAE seeds.
"""

from functools import partial

import pytest

from polyrot.claim import *
from polyrot.experiments.letters.budgets import (
    COLUMNS,
    SUBSPACES,
    Budgets,
    MatchedDictionaries,
    Read,
)
from polyrot.experiments.letters.controls import (
    World,
    as_trained,
    planted_letters,
    planted_otherwise,
    shuffled_groups,
)
from polyrot.sae.absorption import Units

CLAIM = Claim(
    "SASA-08",
    "Subspaces split and absorb less at equal budget",
    "arXiv 2606.06333, GPT-2 layer 7; the tables are not available",
)
LETTERS = ABSORPTION, SPLITTING = "absorption", "splitting"
EV = "EV"
BAR = Bar.above(0, "absorption fraction of TopK less that of groups")
PART_BARS = {
    ABSORPTION: BAR,
    SPLITTING: Bar.above(0, "main units of TopK less those of groups"),
    EV: Bar.at_least(-0.02, "explained variance of groups less that of TopK"),
}
SHUFFLED = negative("shuffled groups", shuffled_groups)

FIGURES = tuple(
    ByPart(
        quantity.replace(" ", "-"),
        title=quantity.capitalize(),
        caption="SAEs with the same number of latents, L0 and number of tokens; mean over seeds.",
        y=quantity,
        curves=(
            Curve(SUBSPACES, Role.MODELS, detail=SUBSPACES),
            Curve(COLUMNS, Role.BESIDE, detail=COLUMNS),
            Curve("groups shuffled", Role.NEGATIVE, SHUFFLED.name, SUBSPACES),
        ),
        parts=(part,),
    )
    for part, quantity in (
        (ABSORPTION, "absorption fraction"),
        (SPLITTING, "split features"),
        (EV, "explained variance"),
    )
)
PUBLISHED = Measurement(
    CLAIM,
    BAR,
    # A single latent of a group holds the letter.
    (
        SHUFFLED,
        negative("planted letters, exchanged", partial(planted_otherwise, turned=False), *LETTERS),
        positive("planted letters", partial(planted_letters, turned=False)),
    ),
    published=True,
    figures=FIGURES,
    part_bars=PART_BARS,
)
HARDENED = Measurement(
    CLAIM,
    BAR,
    (
        SHUFFLED,
        negative("planted letters, exchanged", planted_otherwise, *LETTERS),
        positive("planted letters", planted_letters),
    ),
    figures=FIGURES,
    part_bars=PART_BARS,
)


def compared(saes: MatchedDictionaries, read: Read) -> dict[str, Measured]:
    """The parts of one unit."""
    groups, topk = (saes.absorption(arm, read) for arm in (SUBSPACES, COLUMNS))
    ev = {arm: saes.ev(arm) for arm in (SUBSPACES, COLUMNS)}

    def both(quantity: str, prefix: str = "") -> dict[str, float]:
        return {f"{prefix}{SUBSPACES}": groups[quantity], f"{prefix}{COLUMNS}": topk[quantity]}

    def less(quantity: str, also: dict[str, float]) -> Measured:
        return Measured(topk[quantity] - groups[quantity], both(quantity) | also)

    fully = both("full absorption", "fully absorbed, ") | {"letters": topk["letters"]}
    return {
        ABSORPTION: less("absorption fraction", fully),
        SPLITTING: less("split features", both("F1 of the main units", "F1 of the main units, ")),
        EV: Measured(ev[SUBSPACES] - ev[COLUMNS], ev),
    }


def measured(budgets: Budgets, read: Read, world: World) -> dict[str, Estimate]:
    by_seed = budgets.budgets
    return average_by_part(by_seed, lambda seed: compared(world(by_seed[seed]), read))


@pytest.mark.measurement(PUBLISHED)
def test_published(budgets: Budgets, judge: Judge) -> None:
    judge(lambda world=as_trained: measured(budgets, Units.columns, world))


@pytest.mark.measurement(HARDENED)
def test_hardened(budgets: Budgets, judge: Judge) -> None:
    judge(lambda world=as_trained: measured(budgets, Units.groups, world))
