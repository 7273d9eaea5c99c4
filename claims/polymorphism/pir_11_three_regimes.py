"""PIR-11: where input and output are shared, steering transfers in three regimes.

"Polymorphism Is Rotation" (arXiv 2605.24577) adds seed 0's vectors, unchanged, at
`resid_mid.1` of the other seeds.  The depth vector transfers cleanly: at alpha 2 the ratio of
the drops in accuracy, across seeds to within, is 1.02.  Sticky-invalid transfers in part:
it takes about four times the dose.  Closer is "inverted": the drop across is the larger one.
The margins are, for depth, how far that ratio is inside [0.8, 1.25]; for sticky-invalid, how
far the ratio of the doses with half of the largest effect within is inside [2, 8], in
doublings; for closer, by how much the drop across exceeds the drop within at alpha 0.5 and 1,
whichever is less.  A drop in accuracy has no sign, so it cannot show an inversion.  Hardened:
the signed change of the logit margin, relative to the target's own vector, on held-out
tokens; inverted means below zero.
"""

import math
from collections.abc import Sequence

import pytest

from polyrot.capabilities import steering
from polyrot.capabilities.sharing import Sharing
from polyrot.capabilities.steering import (
    ALPHAS,
    Named,
    Steered,
    SteeredPair,
    SteeringWorld,
    effects,
)
from polyrot.claim import *

CLAIM = Claim(
    "PIR-11",
    "Steering transfers in three regimes when I/O is shared",
    "arXiv 2605.24577, steering",
    {"dyck3": "depth 1.02; sticky-invalid about 4x; closer 8.43"},
)
BAR = Bar.above(0.0, "margin inside each vector's regime")
CLEAN, PARTIAL = (0.8, 1.25), (2.0, 8.0)
DOSE_ALPHAS = (*ALPHAS, 8.0, 16.0, 32.0)
"""Up to eight times the largest dose within a seed, so that every regime can be recognised."""
CLEAN_AT, INVERTED_AT = DOSE_ALPHAS.index(2.0), (DOSE_ALPHAS.index(0.5), DOSE_ALPHAS.index(1.0))
RANDOM = negative("random direction", steering.random_direction)


def so_dosed(*, closer: float) -> SteeringWorld:
    """The target's own vector, at doses that put every vector in its regime."""
    doses = {"depth": 1.0, "sticky-invalid": 0.25, "closer": closer}
    return steering.own_at(lambda concept: doses[concept.name])


PUBLISHED = Measurement(
    CLAIM,
    BAR,
    (RANDOM, positive("own vector, so dosed", so_dosed(closer=4.0))),
    published=True,
    # The paper prints no single number for closer's regime.
    printed={
        "dyck3": (
            Printed((min(1.02 - CLEAN[0], CLEAN[1] - 1.02),), "ratio 1.02", ("depth",)),
            Printed((1.0,), "about 4 times the dose", ("sticky-invalid",)),
        )
    },
)
HARDENED = Measurement(
    CLAIM, BAR, (RANDOM, positive("own vector, so dosed", so_dosed(closer=-1.0)))
)

Effect = Sequence[float]
"""At each of `DOSE_ALPHAS`."""


def clean(across: Effect, within: Effect) -> float:
    """How far the ratio of effects at one dose is inside its bounds."""
    ratio = across[CLEAN_AT] / positive_effect(within[CLEAN_AT])
    return min(ratio - CLEAN[0], CLEAN[1] - ratio)


def partial_transfer(across: Effect, within: Effect) -> float:
    """How far the ratio of doses with the same effect is inside its bounds, in doublings."""
    level = positive_effect(max(within[: len(ALPHAS)]) / 2)
    ratio = dose(across, level) / dose(within, level)
    return min(math.log2(ratio / PARTIAL[0]), math.log2(PARTIAL[1] / ratio))


def dose(effect: Effect, level: float) -> float:
    """The first dose whose effect reaches a level; twice the largest where none does."""
    alpha, reached = 0.0, 0.0
    for next_alpha, next_reached in zip(DOSE_ALPHAS, effect, strict=True):
        if next_reached >= level:
            return alpha + (next_alpha - alpha) * (level - reached) / (next_reached - reached)
        alpha, reached = next_alpha, next_reached
    return 2 * DOSE_ALPHAS[-1]


def larger_drop(across: Effect, within: Effect) -> float:
    """By how much the drop across exceeds that within, at the dose where it does so least."""
    return min(across[i] - within[i] for i in INVERTED_AT)


def below_zero(across: Effect, within: Effect) -> float:
    """How far the signed effect is below zero, relative to that within, at the same dose."""
    return min(-across[i] / positive_effect(within[i]) for i in INVERTED_AT)


def positive_effect(effect: float) -> float:
    if effect <= 0:
        raise NotRun("a seed's own vector does not move its answers as it asks")
    return effect


def margins(steered: Steered, world: SteeringWorld, *, published: bool) -> dict[str, Estimate]:
    """By vector, how far its transfer is inside its regime, averaged over pairs of seeds."""
    inverted = larger_drop if published else below_zero

    def of_pair(pair: SteeredPair) -> dict[str, Measured]:
        return {concept.name: of_vector(concept, pair) for concept in steered.concepts}

    def of_vector(concept: Named, pair: SteeredPair) -> Measured:
        given, own = effects(
            steered, world, pair.source, concept, DOSE_ALPHAS, held_out=not published
        )
        if published:  # the source under its vector is what the paper compares with
            across, within = given.drop[:, pair.target], own.drop[:, pair.source]
        else:  # the target under its own vector is on the same scale
            across, within = given.margin[:, pair.target], own.margin[:, pair.target]
        regime = {"depth": clean, "sticky-invalid": partial_transfer}.get(concept.name, inverted)
        curves = {"across": across.tolist(), "within": within.tolist()}
        means = {
            f"{which} at {alpha:g}": curve[i]
            for which, curve in curves.items()
            for i, alpha in enumerate(ALPHAS)
        }
        return Measured(regime(**curves), means=means)

    anchor = steered.suite.seeds[0] if published else None
    return average_by_part(steered.pairs(anchored=published), of_pair, anchor=anchor)


def by_dose(y: str) -> ByDose:
    return ByDose(
        title="Steering by {part}",
        caption="Effect of a vector on the seed that it was computed on and, unchanged, on "
        "others; means.",
        y=y,
        curves=(
            Curve("its own seed", Role.POSITIVE, detail="within at {dose:g}"),
            Curve("other seeds, uncarried", Role.MODELS, detail="across at {dose:g}"),
            Curve(
                "other seeds, random direction", Role.NEGATIVE, RANDOM.name, "across at {dose:g}"
            ),
        ),
        doses=ALPHAS,
    )


@pytest.mark.measurement(PUBLISHED)
def test_published(sharing: Sharing, steered: Steered, judge: Judge) -> None:
    sharing.check_sharing(shared_io=True)
    judge(
        lambda world=steering.uncarried: margins(steered, world, published=True),
        figures=[by_dose("drop in conditional accuracy")],
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(sharing: Sharing, steered: Steered, judge: Judge) -> None:
    sharing.check_sharing(shared_io=True)
    judge(
        lambda world=steering.uncarried: margins(steered, world, published=False),
        figures=[by_dose("change of the logit margin as asked")],
    )
