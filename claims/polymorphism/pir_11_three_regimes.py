"""PIR-11: where input and output are shared, steering transfers in three regimes.

"Polymorphism Is Rotation" (arXiv 2605.24577) adds seed 0's vectors, unchanged, at `resid_mid.1`
of the other seeds.  Depth transfers cleanly: at alpha 2 the drop in accuracy is 1.02 times that
in seed 0.  Sticky-invalid transfers in part: it takes about four times the dose.  Closer is
"inverted": accuracy drops more than in seed 0.  Each margin says how far inside its regime a
vector is.  Depth: how far the ratio of the drops is inside [0.8, 1.25].  Sticky-invalid: how far,
in doublings, the ratio of the doses with half of seed 0's largest drop is inside [2, 8].  Closer:
how much larger the drop is than in seed 0, at alpha 0.5 or 1, whichever is less.  A drop in
accuracy has no sign, so it cannot show an inversion.  Hardened: the signed change of the logit
margin, compared with that by the target's vector, on held-out tokens; inverted means below zero.
If a vector does not move the answers of its seed as it asks, there is no ratio: NOT RUN.
"""

import math
from functools import partial

import pytest

from polyrot.capabilities import steering
from polyrot.capabilities.sharing import Sharing
from polyrot.capabilities.steering import (
    ALPHAS,
    Named,
    Steered,
    SteeredPair,
    SteeringWorld,
    first_dose,
)
from polyrot.claim import *

CLAIM = Claim(
    "PIR-11",
    "Steering transfers in three regimes when I/O is shared",
    "arXiv 2605.24577, steering",
    {"dyck3": "depth 1.02; sticky-invalid about 4x; closer 8.43"},
)
BAR = Bar.above(0.0, "margin inside each vector's regime")
DOSES = (*ALPHAS, 8.0, 16.0, 32.0)
"""Up to eight times the largest dose within a seed, so that every regime can be recognised."""
RANDOM = negative("random direction", steering.random_direction)


def dosed(*, closer: float) -> SteeringWorld:
    """The target's vector, at doses that put every vector in its regime."""
    return steering.target_vector_times({"depth": 1.0, "sticky-invalid": 0.25, "closer": closer})


BY_DOSE = partial(
    ByDose,
    title="Steering by {part}",
    caption="Effect of a vector on the seed that it was computed on and, unchanged, on others; "
    "means.",
    curves=(
        Curve("its own seed", Role.POSITIVE, detail="within at {dose:g}"),
        Curve("other seeds, uncarried", Role.MODELS, detail="across at {dose:g}"),
        Curve("other seeds, random direction", Role.NEGATIVE, RANDOM.name, "across at {dose:g}"),
    ),
    doses=ALPHAS,
)
PUBLISHED = Measurement(
    CLAIM,
    BAR,
    (RANDOM, positive("own vector, so dosed", dosed(closer=4.0))),
    published=True,
    # The paper prints no single number for closer's regime.
    printed={
        "dyck3": (
            Printed((min(1.02 - 0.8, 1.25 - 1.02),), "ratio 1.02", ("depth",)),
            Printed((1.0,), "about 4 times the dose", ("sticky-invalid",)),
        )
    },
    figures=(BY_DOSE(y="drop in conditional accuracy"),),
)
HARDENED = Measurement(
    CLAIM,
    BAR,
    (RANDOM, positive("own vector, so dosed", dosed(closer=-1.0))),
    figures=(BY_DOSE(y="change of the logit margin as asked"),),
)


def margin(
    steered: Steered, world: SteeringWorld, concept: Named, pair: SteeredPair, *, published: bool
) -> Measured:
    """How far inside its regime the transfer of a vector is."""
    given, by_target = steering.effects(
        steered, world, pair.source, concept, DOSES, held_out=not published
    )
    if published:  # the paper compares with the source under its vector
        curves = given.drop[:, pair.target], by_target.drop[:, pair.source]
    else:  # the target under its vector is on the same scale
        curves = given.margin[:, pair.target], by_target.margin[:, pair.target]
    across, within = (dict(zip(DOSES, curve.tolist(), strict=True)) for curve in curves)
    means = {f"across at {alpha:g}": across[alpha] for alpha in ALPHAS}
    means |= {f"within at {alpha:g}": within[alpha] for alpha in ALPHAS}
    if concept.name == "depth":
        ratio = across[2.0] / above_zero(within[2.0])
        inside = min(ratio - 0.8, 1.25 - ratio)
    elif concept.name == "sticky-invalid":
        half = above_zero(max(within[alpha] for alpha in ALPHAS) / 2)
        ratio = first_dose(across, half) / first_dose(within, half)
        inside = min(math.log2(ratio / 2), math.log2(8 / ratio))
    elif published:  # closer: the larger drop
        inside = min(across[alpha] - within[alpha] for alpha in (0.5, 1.0))
    else:  # closer: a change the other way
        inside = min(-across[alpha] / above_zero(within[alpha]) for alpha in (0.5, 1.0))
    return Measured(inside, means=means)


def above_zero(effect: float) -> float:
    if effect <= 0:
        raise NotRun("a seed's own vector does not move its answers as it asks")
    return effect


@pytest.mark.measurement(PUBLISHED)
def test_published(sharing: Sharing, steered: Steered, judge: Judge) -> None:
    sharing.check_sharing(shared_io=True)
    judge(
        lambda world=steering.uncarried: steered.each_concept(
            partial(margin, steered, world, published=True), anchored=True
        )
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(sharing: Sharing, steered: Steered, judge: Judge) -> None:
    sharing.check_sharing(shared_io=True)
    judge(
        lambda world=steering.uncarried: steered.each_concept(
            partial(margin, steered, world, published=False)
        )
    )
