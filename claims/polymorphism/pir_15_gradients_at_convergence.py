"""PIR-15: attribution patching fails at convergence, integrated gradients do not.

"Polymorphism Is Rotation" (arXiv 2605.24577), Bars C and Pr within a seed: over the components
(8 heads and 2 MLPs), the effects of mean ablation correlate with integrated gradients (32
points) at r > 0.99 and with attribution patching at r < 0.9.  Integrated gradients are
complete: with enough points they equal the effect of the ablation, in any model.  The control
shows it: a correlation that is as high before training, when there is nothing to explain,
follows from calculus and says nothing about the model.
"""

import pytest
from torch import Tensor

from polyrot.bars import correlation
from polyrot.capabilities import components as effects
from polyrot.capabilities.components import ATTRIBUTED, INTEGRATED, Components
from polyrot.capabilities.figures import predicted_effects
from polyrot.claim import *

CLAIM = Claim(
    "PIR-15",
    "Integrated gradients predict ablations, attribution patching does not",
    "arXiv 2605.24577, within-seed Bars C and Pr",
    {
        "dyck3": "IG r >= 0.9995; AP r -0.63 to 0.59",
        "pythia-70m": "IG r 0.98; AP r 0.05 (seed 1)",
    },
)
LEAST, MOST = 0.99, 0.9
HARDENED = Measurement(
    CLAIM,
    Bar.above(0.0, f"r of IG - {LEAST}, and {MOST} - r of attribution patching"),
    (
        negative("untrained seed", effects.untrained, INTEGRATED),
        positive("linear model", effects.linear, INTEGRATED),
        negative("linear model", effects.linear, ATTRIBUTED),
        positive("of other components", effects.other_components, ATTRIBUTED),
    ),
    printed={
        "dyck3": (
            Printed(
                (0.9996 - LEAST, 0.9997 - LEAST),
                "seed 0: r 0.9996 (Bar C), 0.9997 (Pr)",
                (INTEGRATED,),
            ),
            Printed(
                tuple(MOST - r for r in (-0.218, -0.194, -0.632, 0.110, 0.585)),
                "r of seeds 0 to 4",
                (ATTRIBUTED,),
            ),
        ),
        "pythia-70m": (
            Printed((0.98 - LEAST,), "r 0.98, seed 1", (INTEGRATED,)),
            Printed((MOST - 0.05,), "r 0.05, seed 1", (ATTRIBUTED,)),
        ),
    },
)


def margin(components: Components, part: str, predicted: Tensor, measured: Tensor) -> Estimate:
    """How far inside its bar a predictor's correlation is, averaged over seeds."""
    r = dict(zip(components.seeds, correlation(predicted, measured).tolist(), strict=True))

    def of_seed(seed: int) -> Measured:
        inside = r[seed] - LEAST if part == INTEGRATED else MOST - r[seed]
        return Measured(inside, each={f"r of seed {seed}": r[seed]})

    return average(r, of_seed)


@pytest.mark.measurement(HARDENED)
def test_hardened(components: Components, judge: Judge) -> None:
    judge(
        lambda world=effects.trained: {
            part: margin(components, part, *both) for part, both in world(components).items()
        },
        figures=[lambda _: [predicted_effects(effects.trained(components))]],
    )
