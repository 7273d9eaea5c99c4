"""PIR-12: one rotation transfers steering vectors.

"Polymorphism Is Rotation" (arXiv 2605.24577) says so in its abstract and tests no rotated
vector.  Here every seed's vectors at `resid_mid.1` are carried into every other seed's basis
by the Procrustes rotation between their activations.  The signed change of the logit margin,
summed over alpha 0.5, 1, 2 and 4, is divided by that of the target's own vector.  Vectors and
rotations are made of some sequences, effects are read on others.  Beside it: the vector
carried by the best affine map, and the cosine between the carried vector and the target's own.
What is judged is the mean over all pairs of seeds; the lowest pair stands beside it.  Where a
target's own vector does not move its answers as it asks, there is nothing to take a share of,
and that vector's part stays open.
"""

import math

import pytest
from torch.nn import functional as F

from polyrot.capabilities import figures, steering
from polyrot.capabilities.steering import ALPHAS, SteeringWorld, effects
from polyrot.stats.estimate import Estimate, jackknife, pair_name
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, negative, positive
from polyrot.verdict.figure import Figure, Role
from polyrot.verdict.run import MODELS, Judge

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


def shares(suite: Suite, world: SteeringWorld) -> dict[str, Estimate]:
    """By vector, the effect summed over doses as a share of the target's own."""
    estimates = {}
    for concept in suite.steered.concepts:
        values: dict[tuple[int, int], float] = {}
        columns: dict[str, list[float]] = {}
        unmoved: list[tuple[int, int]] = []
        for seeds, source, target in steering.targets(suite, anchored=False):
            given, own = effects(suite, world, source, concept, held_out=True)
            # Summed over doses: a single dose may have no effect, where a vector overshoots.
            whole = float(own.margin[:, target].sum())
            if whole <= 0:
                unmoved.append(seeds)
                continue
            values[seeds] = float(given.margin[:, target].sum()) / whole
            made = steering.trial(suite, world, source, concept, held_out=True)
            target_own = made.models.own_vectors(concept, held_out=True)
            cosine = F.cosine_similarity(made.vectors[target], target_own[target], dim=0)
            figures = {"cosine with the own vector": float(cosine)}
            if world is steering.carried:
                by_affine_map = steering.carried_by_affine_map
                affine, _ = effects(suite, by_affine_map, source, concept, held_out=True)
                figures["share by an affine map"] = float(affine.margin[:, target].sum()) / whole
            for which, curve in (("given", given), ("own", own)):
                for i, alpha in enumerate(ALPHAS):
                    figures[f"{which} at {alpha:g}, logits"] = float(curve.margin[i, target])
                    figures[f"{which} at {alpha:g}, drop"] = float(curve.drop[i, target])
            for name, figure in figures.items():
                columns.setdefault(name, []).append(figure)
        details = {name: sum(column) / len(column) for name, column in columns.items()}
        estimates[concept.name] = mean_share(values, unmoved, details)
    return estimates


def mean_share(
    values: dict[tuple[int, int], float],
    unmoved: list[tuple[int, int]],
    details: dict[str, float],
) -> Estimate:
    """Average shares over pairs; without an interval where targets' own vectors do nothing."""
    if values:
        details = {"lowest pair": min(values.values()), **details}
    if not unmoved:
        return jackknife(values, details=details)
    pairs = len(values) + len(unmoved)
    why = (
        f"no interval: in {len(unmoved)} of {pairs} pairs the target's own vector does not move "
        "its answers as it asks"
    )
    return Estimate(
        sum(values.values()) / len(values) if values else -math.inf,
        -math.inf,
        math.inf,
        "seed",
        len({seed for pair in (*values, *unmoved) for seed in pair}),
        why + ("; the value is of the others" if values else ""),
        details,
        {pair_name(*pair): value for pair, value in values.items()},
    )


def curves(estimates: figures.Worlds) -> list[Figure]:
    given = "given at {dose:g}, logits"
    series = [
        ("the target's own", Role.POSITIVE, MODELS, "own at {dose:g}, logits"),
        ("carried by the rotation", Role.MODELS, MODELS, given),
        *((control.name, Role.NEGATIVE, control.name, given) for control in CONTROLS[:-1]),
    ]
    return [
        figures.by_dose(
            estimates,
            name,
            series,
            ALPHAS,
            name=name,
            title=f"Steering by {name}",
            caption="What another seed's vector does to the target, beside the target's own; mean "
            "over pairs of seeds, on held-out sequences.",
            y="change of the logit margin as asked",
        )
        for name in estimates[MODELS]
    ]


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    judge(lambda world=steering.carried: shares(suite, world), figures=curves)
