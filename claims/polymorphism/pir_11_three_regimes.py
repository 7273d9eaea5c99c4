"""PIR-11: where input and output are shared, steering transfers in three regimes.

"Polymorphism Is Rotation" (arXiv 2605.24577): seed 0's vectors, added unchanged at
`resid_mid.1` of the other seeds, act cleanly (depth: at alpha 2 the ratio of the drop in
accuracy, across seeds to within, is 1.02), partly (sticky-invalid: about four times the dose)
or "inverted" (closer: the drop across is the larger).  The margins: how far the depth ratio is
inside [0.8, 1.25]; how far the dose that has half the greatest effect, across over within, is
inside [2, 8], in doublings; and how much larger the closer drop is at alpha 0.5 and 1, at
the least.  That ratio has no sign.  Hardened: the signed change of the logit margin, as a share of
that by the target's own vector, on held-out tokens; inverted means below zero.
"""

import math
from collections.abc import Sequence

import pytest
from torch import Tensor

from polyrot.capabilities import figures, steering
from polyrot.capabilities.steering import ALPHAS, SteeringWorld, effects
from polyrot.interventions.steering import CONCEPTS, Concept
from polyrot.stats.estimate import Estimate, jackknife
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, Printed, negative, positive
from polyrot.verdict.figure import Figure, Role
from polyrot.verdict.run import MODELS, Judge, NotRun

CLAIM = Claim(
    "PIR-11",
    "Steering transfers in three regimes when I/O is shared",
    "arXiv 2605.24577, steering",
    {"dyck3": "depth 1.02; sticky-invalid about 4x; closer 8.43"},
)
BAR = Bar.above(0.0, "margin inside each vector's regime")
DOSES = {"depth": 1.0, "sticky-invalid": 0.25, "closer": 4.0}


def as_the_regimes_say(concept: Concept) -> float:
    return DOSES[concept.name]


def inverted(concept: Concept) -> float:
    return -1.0 if concept.name == "closer" else DOSES[concept.name]


CLEAN_ALPHA, CLEAN = 2.0, (0.8, 1.25)
RANDOM = negative("random direction", steering.random_direction)
PUBLISHED = Measurement(
    CLAIM,
    BAR,
    (RANDOM, positive("own vector, so dosed", steering.own_at(as_the_regimes_say))),
    published=True,
    # The regime of closer has no single number there.
    printed={
        "dyck3": (
            Printed((min(1.02 - CLEAN[0], CLEAN[1] - 1.02),), "ratio 1.02", ("depth",)),
            Printed((1.0,), "about 4 times the dose", ("sticky-invalid",)),
        )
    },
)
HARDENED = Measurement(
    CLAIM, BAR, (RANDOM, positive("own vector, so dosed", steering.own_at(inverted)))
)

PARTIAL = (2.0, 8.0)
INVERTED_ALPHAS = (0.5, 1.0)
DOSE_ALPHAS = (*ALPHAS, 8.0, 16.0, 32.0)
"""Eight times the largest dose within a seed: whether a regime is met is always seen."""


def clean(across: Sequence[float], within: Sequence[float]) -> float:
    """How far the ratio at one dose is inside its bounds."""
    at = DOSE_ALPHAS.index(CLEAN_ALPHA)
    check(within[at])
    ratio = across[at] / within[at]
    return min(ratio - CLEAN[0], CLEAN[1] - ratio)


def partial_transfer(across: Sequence[float], within: Sequence[float]) -> float:
    """How far the ratio of doses is inside its bounds, in doublings."""
    level = max(within[: len(ALPHAS)]) / 2
    check(level)
    ratio = dose(across, level) / dose(within, level)
    return min(math.log2(ratio / PARTIAL[0]), math.log2(PARTIAL[1] / ratio))


def dose(curve: Sequence[float], level: float) -> float:
    """The first dose whose effect reaches a level; twice the largest where none does."""
    alpha, effect = 0.0, 0.0
    for next_alpha, next_effect in zip(DOSE_ALPHAS, curve, strict=True):
        if next_effect >= level:
            return alpha + (next_alpha - alpha) * (level - effect) / (next_effect - effect)
        alpha, effect = next_alpha, next_effect
    return 2 * DOSE_ALPHAS[-1]


def larger_drop(across: Sequence[float], within: Sequence[float]) -> float:
    """By how much the drop across is the larger, at the least."""
    at = [DOSE_ALPHAS.index(alpha) for alpha in INVERTED_ALPHAS]
    return min(across[i] - within[i] for i in at)


def below_zero(across: Sequence[float], within: Sequence[float]) -> float:
    """How far the signed effect is below zero, as a share of the target's own, at the least."""
    at = [DOSE_ALPHAS.index(alpha) for alpha in INVERTED_ALPHAS]
    for i in at:
        check(within[i])
    return min(-across[i] / within[i] for i in at)


def check(effect: float) -> None:
    """Raise NotRun where a vector does nothing to compare with."""
    if effect <= 0:
        raise NotRun("a seed's own vector does not move its answers as it asks")


def margins(suite: Suite, world: SteeringWorld, *, published: bool) -> dict[str, Estimate]:
    estimates = {}
    for concept in CONCEPTS:
        closer = larger_drop if published else below_zero
        regime = {"depth": clean, "sticky-invalid": partial_transfer}.get(concept.name, closer)
        values = {}
        curves: dict[str, list[Tensor]] = {"across": [], "within": []}
        for seeds, source, target in steering.targets(suite, anchored=published):
            given, own = effects(suite, world, source, concept, DOSE_ALPHAS, held_out=not published)
            across = (given.drop if published else given.margin)[:, target]
            # The paper compares with the source under its own vector; the target's own effect
            # is on the target's own scale.
            within = own.drop[:, source] if published else own.margin[:, target]
            values[seeds] = regime(across.tolist(), within.tolist())
            curves["across"].append(across)
            curves["within"].append(within)
        details = {
            f"{which} at {alpha:g}": float(sum(c[i] for c in several) / len(several))
            for which, several in curves.items()
            for i, alpha in enumerate(ALPHAS)
        }
        anchor = suite.seeds[0] if published else None
        estimates[concept.name] = jackknife(values, anchor=anchor, details=details)
    return estimates


def curves(estimates: figures.Worlds, y: str) -> list[Figure]:
    series = (
        ("its own seed", Role.POSITIVE, MODELS, "within at {dose:g}"),
        ("other seeds, uncarried", Role.MODELS, MODELS, "across at {dose:g}"),
        ("other seeds, random direction", Role.NEGATIVE, RANDOM.name, "across at {dose:g}"),
    )
    return [
        figures.by_dose(
            estimates,
            name,
            series,
            ALPHAS,
            name=name,
            title=f"Steering by {name}",
            caption="Effect of a vector in the seed that it is of and, unchanged, in others; mean.",
            y=y,
        )
        for name in estimates[MODELS]
    ]


@pytest.mark.measurement(PUBLISHED)
def test_published(suite: Suite, judge: Judge) -> None:
    suite.check_sharing(shared_io=True)
    judge(
        lambda world=steering.uncarried: margins(suite, world, published=True),
        figures=lambda estimates: curves(estimates, "drop in conditional accuracy"),
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    suite.check_sharing(shared_io=True)
    judge(
        lambda world=steering.uncarried: margins(suite, world, published=False),
        figures=lambda estimates: curves(estimates, "change of the logit margin as asked"),
    )
