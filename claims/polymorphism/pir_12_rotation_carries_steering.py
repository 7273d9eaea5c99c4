"""PIR-12: one rotation transfers steering vectors.

"Polymorphism Is Rotation" (arXiv 2605.24577) says so in its abstract but tests no rotated vector.
Here every seed's vectors at one site (`resid_mid.1` of the Dyck models; of language models the
suite's steering site) are carried into every other seed's basis by the Procrustes rotation between
their activations, with one scale.  The signed change of the logit margin, summed over the doses up
to the one at which the target's vector does most, is divided by that of the target's vector.  Of
both directions of a pair the smaller counts; the bar is on the mean over pairs.  Vectors and
rotations are fitted on some sequences, and effects are measured on others.  Also reported: the
vector carried without the scale, by the best affine map, and by a rotation fitted without the
tokens that the vectors are means over (for *closer* these are all brackets, so that only BOS and
EOS remain); carried less uncarried; the cosine between the carried and the target's vector.  If a
target's vector does not move its answers as it asks, its pairs are left out, and the mean has no
interval.
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
    Bar.at_least(
        0.8, "signed effect / that of the target's vector, the smaller of both directions"
    ),
    CONTROLS,
    figures=(BY_DOSE,),
)
ALSO = {
    "share without the scale": steering.carried_without_scale,
    "share by an affine map": steering.carried_by_affine_map,
    "share by a rotation that saw none of the concept's tokens": steering.carried_unseen,
    "share uncarried": steering.uncarried,
}


def share_of_effect(
    steered: Steered, world: SteeringWorld, concept: Named, pair: SteeredPair
) -> Measured | Unmeasured:
    """The given vector's effect on the target, relative to that of the target's vector."""
    source, target = pair.source, pair.target
    given, by_target = steering.effects(steered, world, source, concept, held_out=True)
    own = by_target.margin[:, target]
    share = steering.share_of_own(given.margin[:, target], own)
    if share is None:
        return Unmeasured("the target's own vector does not move its answers as it asks")
    trial = steering.trial(steered, world, source, concept, held_out=True)
    target_vectors = trial.models.concept_vectors(concept, held_out=True)
    cosine = cosine_similarity(trial.vectors[target], target_vectors[target], dim=0)
    means = {"cosine with the target's vector": float(cosine)}
    for which, effect in (("given", given), ("own", by_target)):
        for i, alpha in enumerate(ALPHAS):
            means[f"{which} at {alpha:g}, logits"] = float(effect.margin[i, target])
            means[f"{which} at {alpha:g}, drop"] = float(effect.drop[i, target])
    if world is steering.carried:
        for name, other in ALSO.items():
            effect, _ = steering.effects(steered, other, source, concept, held_out=True)
            means[name] = steering.share_of_own(effect.margin[:, target], own) or 0.0
        means["share carried less uncarried"] = share - means["share uncarried"]
    return Measured(share, means=means)


def smaller_share(
    steered: Steered, world: SteeringWorld, concept: Named, pair: SteeredPair
) -> Measured | Unmeasured:
    """The smaller share of both directions; the details hold the mean of both."""
    both = []
    for one_way in (pair, pair.reversed):
        found = share_of_effect(steered, world, concept, one_way)
        if isinstance(found, Unmeasured):
            return found
        both.append(found)
    there, back = both
    smaller = min(there.value, back.value)
    means = {name: (there.means[name] + back.means[name]) / 2 for name in there.means}
    means["mean share"] = (there.value + back.value) / 2
    return Measured(smaller, means=means, lowest={"lowest pair": smaller})


@pytest.mark.measurement(HARDENED)
def test_hardened(steered: Steered, judge: Judge) -> None:
    judge(
        lambda world=steering.carried: steered.each_concept(
            partial(smaller_share, steered, world), ordered=False
        )
    )
