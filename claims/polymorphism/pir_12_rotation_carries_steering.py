"""PIR-12: one rotation transfers steering vectors.

"Polymorphism Is Rotation" (arXiv 2605.24577) says so in its abstract but tests no rotated
vector.  Here every seed's vectors at one site (`resid_mid.1` of the Dyck models; of language
models the suite's steering site) are carried into every other seed's basis by the Procrustes
rotation between their activations.  The signed change of the logit margin, summed
over alpha 0.5, 1, 2 and 4, is divided by that of the target's vector.  Vectors and rotations are
fitted on some sequences, and effects are measured on others.  The bar is on the mean over all
pairs of seeds.  Also reported: the lowest pair, the vector carried by the best affine map, and the
cosine between the carried and the target's vector.  If a target's vector does not move its answers
as it asks, its pairs are left out, and the mean has no interval.
"""

from functools import partial

import pytest
from torch.nn.functional import cosine_similarity

from polyrot.capabilities import steering
from polyrot.capabilities.steering import ALPHAS, Named, Steered, SteeredPair, SteeringWorld
from polyrot.claim import *

CLAIM = Claim(
    "PIR-12",
    "One rotation transfers steering vectors",
    "arXiv 2605.24577, abstract",
    {"dyck3": "claimed, not measured", "dyck3-independent": "claimed, not measured"},
)
CONTROLS = (
    negative("uncarried vector", steering.uncarried),
    negative("random rotation", steering.randomly_rotated),
    negative("random direction", steering.random_direction),
    positive("images in rotated bases", steering.carried_to_images),
)
GIVEN = "given at {dose:g}, logits"
BY_DOSE = ByDose(
    title="Steering by {part}",
    caption="Effect of another seed's vector on the target, with that of the target's vector for "
    "comparison; mean over pairs of seeds, on held-out sequences.",
    y="change of the logit margin as asked",
    curves=(
        Curve("the target's own", Role.POSITIVE, detail="own at {dose:g}, logits"),
        Curve("carried by the rotation", Role.MODELS, detail=GIVEN),
        *control_curves(CONTROLS[:-1], detail=GIVEN),
    ),
    doses=ALPHAS,
)
HARDENED = Measurement(
    CLAIM,
    Bar.at_least(0.8, "mean over pairs of signed effect / that of the own vector"),
    CONTROLS,
    figures=(BY_DOSE,),
)


def share_of_effect(
    steered: Steered, world: SteeringWorld, concept: Named, pair: SteeredPair
) -> Measured | Unmeasured:
    """The given vector's effect on the target, relative to that of the target's vector."""
    source, target = pair.source, pair.target
    given, by_target = steering.effects(steered, world, source, concept, held_out=True)
    # Summed over doses: a single dose may have no effect, where a vector overshoots.
    whole = float(by_target.margin[:, target].sum())
    if whole <= 0:
        return Unmeasured("the target's own vector does not move its answers as it asks")
    trial = steering.trial(steered, world, source, concept, held_out=True)
    target_vectors = trial.models.concept_vectors(concept, held_out=True)
    cosine = cosine_similarity(trial.vectors[target], target_vectors[target], dim=0)
    means = {"cosine with the own vector": float(cosine)}
    if world is steering.carried:
        by_affine_map = steering.carried_by_affine_map
        affine, _ = steering.effects(steered, by_affine_map, source, concept, held_out=True)
        means["share by an affine map"] = float(affine.margin[:, target].sum()) / whole
    for which, effect in (("given", given), ("own", by_target)):
        for i, alpha in enumerate(ALPHAS):
            means[f"{which} at {alpha:g}, logits"] = float(effect.margin[i, target])
            means[f"{which} at {alpha:g}, drop"] = float(effect.drop[i, target])
    share = float(given.margin[:, target].sum()) / whole
    return Measured(share, means=means, lowest={"lowest pair": share})


@pytest.mark.measurement(HARDENED)
def test_hardened(steered: Steered, judge: Judge) -> None:
    judge(
        lambda world=steering.carried: steered.each_concept(
            partial(share_of_effect, steered, world)
        )
    )
