"""PIR-15: attribution patching fails at convergence, integrated gradients do not.

"Polymorphism Is Rotation" (arXiv 2605.24577), Bars C and Pr within a seed: over the components (8
heads and 2 MLPs), the effects of mean ablation correlate with integrated gradients (32 points) at r
> 0.99 and with attribution patching at r < 0.9.  Published: on one batch, the paper's own for the
Dyck models (integrated gradients on its first 8 sequences), and each step of the integral read at
its end towards the output, as the released code does.  Hardened: the steps are read in the middle,
and attribution patching is measured on several batches of each seed's own, because its r moves by
tenths with the batch: the interval over seeds then contains that.

Integrated gradients are complete: with enough points they equal the effect of the ablation, in any
model.  Untrained models show it: what holds before training, when there is nothing to explain,
says nothing about convergence.  In a linear model both predictors are exact, so that there the
statement about integrated gradients is true and the one about attribution patching false.
Attribution patching of an untrained model is no control: whether it fails there is not known.
"""

from collections.abc import Callable

import pytest

from polyrot.bars import correlation
from polyrot.capabilities import components as effects
from polyrot.capabilities.components import ATTRIBUTED, INTEGRATED, Compared, Components
from polyrot.capabilities.figures import predicted_effects
from polyrot.claim import *

World = Callable[[Components], Compared]
CLAIM = Claim(
    "PIR-15",
    "Integrated gradients predict ablations, attribution patching does not",
    "arXiv 2605.24577, within-seed Bars C and Pr",
    {
        "dyck3": "IG r >= 0.9995; AP r -0.63 to 0.59",
        "pythia-70m": "IG r 0.98; AP r 0.05 (seed 1)",
    },
)
BARS = {
    INTEGRATED: Bar.above(0.99, "r of integrated gradients", scale=Scale.FISHER),
    ATTRIBUTED: Bar.below(0.9, "r of attribution patching", scale=Scale.FISHER),
}
UNREACHABLE = (
    "REPLICATED: integrated gradients are complete, so that they predict ablations in every model, "
    "trained or not"
)
PRINTED = {
    "dyck3": (
        Printed((0.9996, 0.9997), "seed 0: Bar C, Pr", (INTEGRATED,)),
        Printed((-0.218, -0.194, -0.632, 0.110, 0.585), "seeds 0 to 4", (ATTRIBUTED,)),
    ),
    "pythia-70m": (
        Printed((0.98,), "seed 1", (INTEGRATED,)),
        Printed((0.05,), "seed 1", (ATTRIBUTED,)),
    ),
}


LINEAR = (
    positive("linear model", effects.linear, INTEGRATED),
    negative("linear model, whose gradients are exact", effects.linear, ATTRIBUTED),
)
UNTRAINED, OTHERS = "untrained seed", "predictions of other components"
PUBLISHED = Measurement(
    CLAIM,
    BARS[INTEGRATED],
    (
        negative(UNTRAINED, effects.untrained_as_published, INTEGRATED),
        positive(OTHERS, effects.others_as_published, ATTRIBUTED),
        *LINEAR,
    ),
    published=True,
    part_bars=BARS,
    printed=PRINTED,
    unreachable=UNREACHABLE,
)
HARDENED = Measurement(
    CLAIM,
    BARS[INTEGRATED],
    (
        negative(UNTRAINED, effects.untrained, INTEGRATED),
        positive(OTHERS, effects.other_components, ATTRIBUTED),
        *LINEAR,
    ),
    part_bars=BARS,
    printed=PRINTED,
    unreachable=UNREACHABLE,
)


def predicted_well(components: Components, world: World) -> dict[str, Estimate]:
    """By predictor, r over components: the mean over a seed's batches, averaged over seeds."""
    estimates = {}
    for part, (predicted, measured) in world(components).items():
        r = correlation(predicted.flatten(0, 1), measured.flatten(0, 1)).view(len(predicted), -1)
        by_seed = dict(zip(components.seeds, r.tolist(), strict=True))

        def of_seed(seed: int, by_seed: dict[int, list[float]] = by_seed) -> Measured:
            batches = by_seed[seed]
            each = {f"r of seed {seed}": sum(batches) / len(batches)}
            if len(batches) > 1:
                each[f"r of seed {seed}, lowest batch"] = min(batches)
                each[f"r of seed {seed}, highest batch"] = max(batches)
            return Measured(sum(batches) / len(batches), each=each)

        estimates[part] = average(by_seed, of_seed)
    return estimates


@pytest.mark.measurement(PUBLISHED)
def test_published(components: Components, judge: Judge) -> None:
    judge(lambda world=effects.as_published: predicted_well(components, world))


@pytest.mark.measurement(HARDENED)
def test_hardened(components: Components, judge: Judge) -> None:
    judge(
        lambda world=effects.trained: predicted_well(components, world),
        figures=[lambda _: [predicted_effects(effects.trained(components))]],
    )
