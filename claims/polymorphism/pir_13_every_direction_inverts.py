"""PIR-13: where seeds share nothing, every steering direction inverts.

"Polymorphism Is Rotation" (arXiv 2605.24577): without a shared embedding and unembedding, one
seed's vectors, added unchanged to another seed, change its output more than the first seed's.  The
ratio of mean KL divergences, across seeds over within, is 1.8 to 10.0 on Pythia, which the paper
calls inverted.  A divergence has no sign and grows just as much when a vector does random harm.
Published: the ratio, of language models alone, as in the paper.  Hardened: the signed change of the
logit margin that the vector asks for, relative to that by the target's vector, is at most -0.1, on
held-out tokens (summed over doses as in PIR-12, but averaged over both directions of every pair).

A divergence has no sign, so that the published positive control is the target's own vector at four
times its length.
"""

from functools import partial

import pytest

from polyrot.capabilities import steering
from polyrot.capabilities.sharing import Sharing
from polyrot.capabilities.steering import ALPHAS, Named, Steered, SteeredPair, SteeringWorld
from polyrot.claim import *

CLAIM = Claim(
    "PIR-13",
    "Without shared I/O every direction inverts",
    "arXiv 2605.24577, steering",
    {"pythia-70m": "ratios 1.8 to 10.0"},
)
RATIO = Bar.above(1.0, "mean KL across / within", scale=Scale.LOG)
SIGNED = Bar.at_most(-0.1, "signed effect / that of the target's vector")
RANDOM = negative("random direction", steering.random_direction)


BY_VECTOR_AND_DOSE = ByPart(
    "doses",
    title="Vectors that are not carried",
    caption="KL divergence that a vector causes at every dose (alpha) in other seeds, over that in "
    "its own, with that of a random direction of the same length.",
    y=RATIO.quantity,
    curves=(
        Curve("another seed's vector, uncarried", Role.MODELS),
        Curve(RANDOM.name, Role.NEGATIVE, RANDOM.name),
    ),
    bar=RATIO,
)
PUBLISHED = Measurement(
    CLAIM,
    RATIO,
    (
        RANDOM,
        positive("the target's own vector, four times", steering.target_vector_times(4.0)),
    ),
    published=True,
    printed={"pythia-70m": (Printed((1.8, 10.0), "over all vectors and doses", ends=True),)},
    figures=(BY_VECTOR_AND_DOSE,),
)
GIVEN = "given at {dose:g}, logits"
BY_DOSE = ByDose(
    title="Steering by {part}, uncarried",
    caption="Effect of another seed's vector, unchanged, with that of the target's vector for "
    "comparison; mean over pairs of seeds, on held-out sequences.",
    y="change of the logit margin as asked",
    curves=(
        Curve("the target's own", Role.POSITIVE, detail="own at {dose:g}, logits"),
        Curve("another seed's, uncarried", Role.MODELS, detail=GIVEN),
        Curve(RANDOM.name, Role.NEGATIVE, RANDOM.name, GIVEN),
    ),
    doses=ALPHAS,
)
HARDENED = Measurement(
    CLAIM,
    SIGNED,
    (RANDOM, positive("the target's own vector, reversed", steering.target_vector_times(-1.0))),
    figures=(BY_DOSE,),
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


def signed_share(
    steered: Steered, world: SteeringWorld, concept: Named, pair: SteeredPair
) -> Measured | Unmeasured:
    """The effect of the unchanged vector on the target, relative to that of the target's."""
    effects = steering.effects(steered, world, pair.source, concept, held_out=True)
    given, own = (effect.margin[:, pair.target] for effect in effects)
    share = steering.share_of_own(given, own)
    if share is None:
        return Unmeasured("the target's own vector does not move its answers as it asks")
    means = {}
    for which, effect in (("given", given), ("own", own)):
        for alpha, logits in zip(ALPHAS, effect.tolist(), strict=True):
            means[f"{which} at {alpha:g}, logits"] = logits
    return Measured(share, means=means)


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
        lambda world=steering.uncarried: steered.each_concept(partial(signed_share, steered, world))
    )
