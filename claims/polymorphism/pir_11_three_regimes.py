"""PIR-11: where input and output are shared, steering transfers in three regimes.

"Polymorphism Is Rotation" (arXiv 2605.24577) adds seed 0's vectors, unchanged, at `resid_mid.1`
of the other seeds.  Depth transfers cleanly: at alpha 2 the drop in accuracy is 1.02 times that
in seed 0, here in [0.8, 1.25].  Sticky-invalid transfers in part: it takes about four times the
dose, here 2 to 8 times, for half of seed 0's largest drop.  Closer is "inverted": at alpha 0.5 and
1 accuracy drops more than in seed 0.  The paper reads it at closing brackets, where the vector asks
for no other answer, and divides by seed 0's drop; that is almost 0 and so the bar is on the
difference.  A drop in accuracy has no sign, so it cannot show an inversion.  Hardened: all pairs,
on held-out tokens, the signed change of the logit margin relative to that by the target's vector;
closer is read at opening brackets, which it asks to close, and inverted means at most -0.1.
If a vector does not move the answers of its seed as it asks, there is no ratio: NOT RUN.
"""

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
CLEAN = Bar.between(0.8, 1.25, "effect at alpha 2 across seeds / within")
DOSES = (*ALPHAS, 8.0, 16.0, 32.0)
"""Up to eight times the largest dose within a seed, so that every regime can be recognised."""
PARTIAL = Bar.between(2, 8, "dose across seeds / within, for half the effect", scale=Scale.LOG)
DEPTH, STICKY = "depth", "sticky-invalid"
INVERTED = {0.5: "closer, at 0.5", 1.0: "closer, at 1"}
"""Parts by dose."""
RANDOM = negative("random direction", steering.random_direction)
CONTROLS = (
    RANDOM,
    positive("the target's own vector", steering.target_vector, DEPTH),
    positive(
        "the target's own vector, a quarter as long", steering.target_vector_times(0.25), STICKY
    ),
    positive(
        "the target's own vector, reversed",
        steering.target_vector_times(-1.0),
        *INVERTED.values(),
    ),
)
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
    CLEAN,
    CONTROLS,
    published=True,
    part_bars={STICKY: PARTIAL}
    | dict.fromkeys(INVERTED.values(), Bar.above(0.0, "drop in accuracy across seeds - within")),
    # The paper prints closer's regime as a ratio.
    printed={
        "dyck3": (
            Printed((1.02,), "ratio of the drops", (DEPTH,)),
            Printed((4.0,), "about 4 times the dose", (STICKY,)),
        )
    },
    figures=(BY_DOSE(y="drop in conditional accuracy"),),
)
HARDENED = Measurement(
    CLAIM,
    CLEAN,
    CONTROLS,
    part_bars={STICKY: PARTIAL}
    | dict.fromkeys(
        INVERTED.values(), Bar.at_most(-0.1, "signed effect / that of the target's vector")
    ),
    figures=(BY_DOSE(y="change of the logit margin as asked"),),
)


def regimes(
    steered: Steered, world: SteeringWorld, pair: SteeredPair, *, published: bool
) -> dict[str, Measured]:
    """By part, where the transfer of each vector lies on its regime's axis."""
    parts = {}
    for concept in steered.concepts:
        across, within = curves(steered, world, concept, pair, published=published)
        means = {f"across at {alpha:g}": across[alpha] for alpha in ALPHAS}
        means |= {f"within at {alpha:g}": within[alpha] for alpha in ALPHAS}
        if concept.name == DEPTH:
            measured = {DEPTH: across[2.0] / above_zero(within[2.0])}
        elif concept.name == STICKY:
            half = above_zero(max(within[alpha] for alpha in ALPHAS) / 2)
            measured = {STICKY: first_dose(across, half) / first_dose(within, half)}
        elif published:
            measured = {part: across[dose] - within[dose] for dose, part in INVERTED.items()}
        else:
            measured = {
                part: across[dose] / above_zero(within[dose]) for dose, part in INVERTED.items()
            }
        for part, value in measured.items():
            parts[part], means = Measured(value, means=means), {}  # the curves, once a vector
    return parts


def curves(
    steered: Steered, world: SteeringWorld, concept: Named, pair: SteeredPair, *, published: bool
) -> tuple[dict[float, float], dict[float, float]]:
    """The effect by dose on the target, and that of the vector it is compared with."""
    given, by_target = steering.effects(
        steered, world, pair.source, concept, DOSES, held_out=not published
    )
    if published:  # the paper compares with the source under its vector
        both = given.drop[:, pair.target], by_target.drop[:, pair.source]
    else:  # the target under its vector is on the same scale
        both = given.margin[:, pair.target], by_target.margin[:, pair.target]
    across, within = (dict(zip(DOSES, curve.tolist(), strict=True)) for curve in both)
    return across, within


def above_zero(effect: float) -> float:
    if effect <= 0:
        raise NotRun("a seed's own vector does not move its answers as it asks")
    return effect


@pytest.mark.measurement(PUBLISHED)
def test_published(sharing: Sharing, steered: Steered, judge: Judge) -> None:
    sharing.check_sharing(shared_io=True)
    judge(
        lambda world=steering.uncarried: average_by_part(
            steered.pairs(anchored=True),
            lambda pair: regimes(steered, world, pair, published=True),
            anchor=steered.suite.seeds[0],
        )
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(sharing: Sharing, steered: Steered, judge: Judge) -> None:
    sharing.check_sharing(shared_io=True)
    judge(
        lambda world=steering.uncarried: average_by_part(
            steered.pairs(), lambda pair: regimes(steered, world, pair, published=False)
        )
    )
