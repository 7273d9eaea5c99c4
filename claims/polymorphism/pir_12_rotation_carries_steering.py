"""PIR-12: one rotation transfers steering vectors.

"Polymorphism Is Rotation" (arXiv 2605.24577) says so in its abstract but tests no rotated
vector.  Here every seed's vectors at `resid_mid.1` are carried into every other seed's basis
by the Procrustes rotation between their activations.  The signed change of the logit margin,
summed over alpha 0.5, 1, 2 and 4, is divided by that of the target's own vector.  Vectors and
rotations are fitted on some sequences and effects are measured on others.  The mean over all
pairs of seeds is judged.  Also reported: the lowest pair, the vector carried by the best affine
map, and the cosine between the carried vector and the target's own.  Where the target's own
vector does not move its answers as it asks, there is no share to take, and that vector's part
has no interval.
"""

import math
from dataclasses import replace

import pytest
from torch.nn import functional as F

from polyrot.capabilities import steering
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
    "PIR-12",
    "One rotation transfers steering vectors",
    "arXiv 2605.24577, abstract",
    {"dyck3": "claimed, not measured", "dyck3-independent": "claimed, not measured"},
)
BAR = Bar.at_least(0.8, "mean over pairs of signed effect / that of the own vector")
CONTROLS = (
    negative("uncarried vector", steering.uncarried),
    negative("random rotation", steering.randomly_rotated),
    negative("random direction", steering.random_direction),
    positive("images in rotated bases", steering.carried_to_images),
)
HARDENED = Measurement(CLAIM, BAR, CONTROLS)
GIVEN = "given at {dose:g}, logits"
BY_DOSE = ByDose(
    title="Steering by {part}",
    caption="Effect of another seed's vector on the target, with that of the target's own vector "
    "for comparison; mean over pairs of seeds, on held-out sequences.",
    y="change of the logit margin as asked",
    curves=(
        Curve("the target's own", Role.POSITIVE, detail="own at {dose:g}, logits"),
        Curve("carried by the rotation", Role.MODELS, detail=GIVEN),
        *control_curves(CONTROLS[:-1], detail=GIVEN),
    ),
    doses=ALPHAS,
)


def share_of_effect(
    steered: Steered, world: SteeringWorld, concept: Named, pair: SteeredPair
) -> Measured | None:
    """The given vector's effect relative to the target's own; None if that one has none."""
    target = pair.target
    given, own = effects(steered, world, pair.source, concept, held_out=True)
    # Summed over doses: a single dose may have no effect, where a vector overshoots.
    whole = float(own.margin[:, target].sum())
    if whole <= 0:
        return None
    trial = steering.trial(steered, world, pair.source, concept, held_out=True)
    own_vectors = trial.models.own_vectors(concept, held_out=True)
    cosine = F.cosine_similarity(trial.vectors[target], own_vectors[target], dim=0)
    means = {"cosine with the own vector": float(cosine)}
    if world is steering.carried:
        by_affine_map = steering.carried_by_affine_map
        affine, _ = effects(steered, by_affine_map, pair.source, concept, held_out=True)
        means["share by an affine map"] = float(affine.margin[:, target].sum()) / whole
    for which, curve in (("given", given), ("own", own)):
        for i, alpha in enumerate(ALPHAS):
            means[f"{which} at {alpha:g}, logits"] = float(curve.margin[i, target])
            means[f"{which} at {alpha:g}, drop"] = float(curve.drop[i, target])
    return Measured(float(given.margin[:, target].sum()) / whole, means=means)


def mean_share(steered: Steered, world: SteeringWorld, concept: Named) -> Estimate:
    """Average over pairs; without an interval where a target's own vector has no effect."""
    shares = {p.seeds: share_of_effect(steered, world, concept, p) for p in steered.pairs()}
    found = {seeds: share for seeds, share in shares.items() if share}
    without = len(shares) - len(found)
    why = (
        f"no interval: in {without} of {len(shares)} pairs the target's own vector does not move "
        "its answers as it asks"
    )
    if not found:
        n = len(steered.suite.seeds)
        return Estimate(-math.inf, -math.inf, math.inf, "seed", n, why)
    lowest = min(share.value for share in found.values())
    estimate = average(found, found.__getitem__, details={"lowest pair": lowest})
    if not without:
        return estimate
    why += "; the value is of the others"
    return replace(estimate, low=-math.inf, high=math.inf, n=len(steered.suite.seeds), method=why)


@pytest.mark.measurement(HARDENED)
def test_hardened(steered: Steered, judge: Judge) -> None:
    judge(
        lambda world=steering.carried: {
            concept.name: mean_share(steered, world, concept) for concept in steered.concepts
        },
        figures=[BY_DOSE],
    )
