"""PIR-13: where seeds share nothing, every steering direction inverts.

"Polymorphism Is Rotation" (arXiv 2605.24577): without shared input and output, one seed's
vectors, added unchanged to another, change its output by more than they change the seed's own:
the ratio of mean KL divergences, across over within, is 1.8 to 10.0, which the paper calls
inverted.  That number has no sign, and grows as much when a vector does harm at random.
Hardened: the signed change of the logit margin that the vector asks for is below zero.
"""

import pytest

from polyrot.capabilities import figures, steering
from polyrot.capabilities.steering import ALPHAS, Named, SteeringWorld, divergences, effects
from polyrot.stats.estimate import Estimate, beside, jackknife
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, Printed, negative, positive
from polyrot.verdict.figure import Figure, Role
from polyrot.verdict.run import MODELS, Judge

CLAIM = Claim(
    "PIR-13",
    "Without shared I/O every direction inverts",
    "arXiv 2605.24577, steering",
    {
        "dyck3-independent": "ratios 1.8 to 10.0 (on Pythia)",
        "pythia-70m": "ratios 1.8 to 10.0",
    },
)


def four_times(concept: Named) -> float:
    return 4.0


def reversed_sign(concept: Named) -> float:
    return -1.0


RANDOM = negative("random direction", steering.random_direction)
PUBLISHED = Measurement(
    CLAIM,
    Bar.above(1.0, "mean KL across / within"),
    (RANDOM, positive("own vector, four times", steering.own_at(four_times))),
    published=True,
    printed={"pythia-70m": (Printed((1.8, 10.0), "over all vectors and doses", ends=True),)},
)
HARDENED = Measurement(
    CLAIM,
    Bar.below(0.0, "signed effect, logits"),
    (RANDOM, positive("own vector, reversed", steering.own_at(reversed_sign))),
)


def ratios(suite: Suite, world: SteeringWorld) -> dict[str, Estimate]:
    """By vector and dose, the divergence of the targets over that of the source."""
    estimates = {}
    for concept in suite.steered.concepts:
        by_alpha: list[dict[tuple[int, int], float]] = [{} for _ in ALPHAS]
        for seeds, source, target in steering.targets(suite, anchored=True):
            across = divergences(suite, world, source, concept)[:, target]
            within = divergences(suite, steering.own, source, concept)[:, source]
            for values, ratio in zip(by_alpha, across / within, strict=True):
                values[seeds] = float(ratio)
        for alpha, values in zip(ALPHAS, by_alpha, strict=True):
            estimates[f"{concept.name}, {alpha:g}"] = jackknife(values, anchor=suite.seeds[0])
    return estimates


def signed_effects(suite: Suite, world: SteeringWorld) -> dict[str, Estimate]:
    """By vector and dose, the signed effect, with the target's own vector's beside it."""
    estimates = {}
    for concept in suite.steered.concepts:
        by_alpha: list[dict[tuple[int, int], float]] = [{} for _ in ALPHAS]
        own_effects: list[dict[tuple[int, int], float]] = [{} for _ in ALPHAS]
        for seeds, source, target in steering.targets(suite, anchored=False):
            given, own = effects(suite, world, source, concept, held_out=True)
            for i, values in enumerate(by_alpha):
                values[seeds] = float(given.margin[i, target])
                own_effects[i][seeds] = float(own.margin[i, target])
        for alpha, values, several in zip(ALPHAS, by_alpha, own_effects, strict=True):
            details = beside("by the own vector", jackknife(several))
            estimates[f"{concept.name}, {alpha:g}"] = jackknife(values, details=details)
    return estimates


def by_dose(estimates: figures.Worlds, bar: Bar) -> list[Figure]:
    curves = [
        ("another seed's vector, uncarried", Role.MODELS, MODELS, ""),
        ("the target's own", Role.POSITIVE, MODELS, "by the own vector"),
        (RANDOM.name, Role.NEGATIVE, RANDOM.name, ""),
    ]
    return [
        figures.by_part(
            estimates,
            curves,
            name="doses",
            title="Vectors that are not carried",
            caption="Every vector at every dose (alpha): the effect in seeds that it is not of, "
            "beside that of a random direction as long.",
            y=bar.quantity,
            bar=bar,
        )
    ]


@pytest.mark.measurement(PUBLISHED)
def test_published(suite: Suite, judge: Judge) -> None:
    suite.check_sharing(shared_io=False)
    judge(
        lambda world=steering.uncarried: ratios(suite, world),
        figures=lambda estimates: by_dose(estimates, PUBLISHED.bar),
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    suite.check_sharing(shared_io=False)
    judge(
        lambda world=steering.uncarried: signed_effects(suite, world),
        figures=lambda estimates: by_dose(estimates, HARDENED.bar),
    )
