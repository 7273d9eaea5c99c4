"""PIR-13: where seeds share nothing, every steering direction inverts.

"Polymorphism Is Rotation" (arXiv 2605.24577): without a shared embedding and unembedding, one
seed's vectors, added unchanged to another seed, change its output more than the first seed's.  The
ratio of mean KL divergences, across seeds over within, is 1.8 to 10.0, which the paper calls
inverted.  A divergence has no sign and grows just as much when a vector does random harm.
Hardened: the signed change of the logit margin that the vector asks for is below zero, on
held-out tokens.
"""

import pytest

from polyrot.capabilities import steering
from polyrot.capabilities.sharing import Sharing
from polyrot.capabilities.steering import ALPHAS, Steered, SteeredPair, SteeringWorld
from polyrot.claim import *

CLAIM = Claim(
    "PIR-13",
    "Without shared I/O every direction inverts",
    "arXiv 2605.24577, steering",
    {
        "dyck3-independent": "ratios 1.8 to 10.0 (on Pythia)",
        "pythia-70m": "ratios 1.8 to 10.0",
    },
)
RATIO, SIGNED = Bar.above(1.0, "mean KL across / within"), Bar.below(0.0, "signed effect, logits")
RANDOM = negative("random direction", steering.random_direction)


def by_vector_and_dose(bar: Bar) -> ByPart:
    return ByPart(
        "doses",
        title="Vectors that are not carried",
        caption="Effect of every vector at every dose (alpha) on the seeds that it was not "
        "computed on, with that of a random direction of the same length.",
        y=bar.quantity,
        curves=(
            Curve("another seed's vector, uncarried", Role.MODELS),
            Curve("the target's own", Role.POSITIVE, detail="by the own vector"),
            Curve(RANDOM.name, Role.NEGATIVE, RANDOM.name),
        ),
        bar=bar,
    )


PUBLISHED = Measurement(
    CLAIM,
    RATIO,
    (RANDOM, positive("own vector, four times", steering.target_vector_times(4.0))),
    published=True,
    printed={"pythia-70m": (Printed((1.8, 10.0), "over all vectors and doses", ends=True),)},
    figures=(by_vector_and_dose(RATIO),),
)
HARDENED = Measurement(
    CLAIM,
    SIGNED,
    (RANDOM, positive("own vector, reversed", steering.target_vector_times(-1.0))),
    figures=(by_vector_and_dose(SIGNED),),
)


def divergence_ratios(
    steered: Steered, world: SteeringWorld, pair: SteeredPair
) -> dict[str, float]:
    """By vector and dose, the target's divergence over that of the source under its vector."""
    ratios = {}
    for concept in steered.concepts:
        across, within = (
            steering.divergences(steered, given, pair.source, concept)[:, index]
            for given, index in ((world, pair.target), (steering.target_vector, pair.source))
        )
        for alpha, ratio in zip(ALPHAS, (across / within).tolist(), strict=True):
            ratios[f"{concept.name}, {alpha:g}"] = ratio
    return ratios


def signed_effects(
    steered: Steered, world: SteeringWorld, pair: SteeredPair
) -> dict[str, Measured]:
    """By vector and dose, the signed effect on the target; also that of the target's vector."""
    signed = {}
    for concept in steered.concepts:
        effects = steering.effects(steered, world, pair.source, concept, held_out=True)
        given, by_target = (effect.margin[:, pair.target].tolist() for effect in effects)
        for alpha, value, of_target in zip(ALPHAS, given, by_target, strict=True):
            also = {"by the own vector": of_target}
            signed[f"{concept.name}, {alpha:g}"] = Measured(value, also)
    return signed


@pytest.mark.measurement(PUBLISHED)
def test_published(sharing: Sharing, steered: Steered, judge: Judge) -> None:
    sharing.check_sharing(shared_io=False)
    judge(
        lambda world=steering.uncarried: average_by_part(
            steered.pairs(anchored=True),
            lambda pair: divergence_ratios(steered, world, pair),
            anchor=steered.suite.seeds[0],
        )
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(sharing: Sharing, steered: Steered, judge: Judge) -> None:
    sharing.check_sharing(shared_io=False)
    judge(
        lambda world=steering.uncarried: average_by_part(
            steered.pairs(), lambda pair: signed_effects(steered, world, pair)
        )
    )
