"""PIR-12: one rotation transfers steering vectors.

"Polymorphism Is Rotation" (arXiv 2605.24577) says so in its abstract and tests no rotated
vector.  Here every seed's vectors at `resid_mid.1` are carried into every other seed's basis
by the Procrustes rotation between their activations, and the signed change of the logit margin
is divided by that of the target's own vector.  Vectors and rotations are made of some
sequences, effects are read on others.  Beside it: the vector carried by the best affine map,
and the cosine between the carried vector and the target's own.
"""

import pytest
from torch.nn import functional as F

from polyrot.interventions.steering import CONCEPTS
from polyrot.stats.estimate import Estimate, jackknife
from polyrot.suites import steering
from polyrot.suites.steering import ALPHAS, SteeringWorld, effects
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, negative, positive
from polyrot.verdict.run import Judge

CLAIM = Claim(
    "PIR-12",
    "One rotation transfers steering vectors",
    "arXiv 2605.24577, abstract",
    {"dyck3": "claimed, not measured", "dyck3-independent": "claimed, not measured"},
)
BAR = Bar.at_least(0.8, "signed effect / that of the target's own vector")
CONTROLS = (
    negative("uncarried vector", steering.uncarried),
    negative("random rotation", steering.randomly_rotated),
    negative("random direction", steering.random_direction),
    positive("images in rotated bases", steering.carried_to_images),
)
HARDENED = Measurement(CLAIM, BAR, CONTROLS)


def shares(suite: Suite, world: SteeringWorld) -> dict[str, Estimate]:
    """By vector and dose, the effect as a share of the target's own."""
    estimates = {}
    for concept in CONCEPTS:
        by_alpha: list[dict[tuple[int, int], float]] = [{} for _ in ALPHAS]
        columns: list[dict[str, list[float]]] = [{} for _ in ALPHAS]
        for seeds, source, target in steering.targets(suite, anchored=False):
            given, own = effects(suite, world, source, concept, held_out=True)
            by_affine_map = steering.carried_by_affine_map
            affine, affine_own = effects(suite, by_affine_map, source, concept, held_out=True)
            made = steering.trial(suite, world, source, concept, held_out=True)
            target_own = steering.own_vectors(suite, made.activations, concept, held_out=True)
            cosine = F.cosine_similarity(made.vectors[target], target_own[target], dim=0)
            for i in range(len(ALPHAS)):
                reference = float(own.margin[i, target])
                by_alpha[i][seeds] = float(given.margin[i, target]) / reference
                figures = {
                    "mean effect, logits": float(given.margin[i, target]),
                    "of the own vector": reference,
                    "drop in accuracy": float(given.drop[i, target]),
                    "by the own vector": float(own.drop[i, target]),
                    "share by an affine map": float(affine.margin[i, target])
                    / float(affine_own.margin[i, target]),
                    "cosine with the own vector": float(cosine),
                }
                for name, figure in figures.items():
                    columns[i].setdefault(name, []).append(figure)
        for i, alpha in enumerate(ALPHAS):
            details = {
                "lowest pair": min(by_alpha[i].values()),
                **{name: sum(column) / len(column) for name, column in columns[i].items()},
            }
            estimates[f"{concept.name}, {alpha:g}"] = jackknife(by_alpha[i], details=details)
    return estimates


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    judge(lambda world=steering.carried: shares(suite, world))
