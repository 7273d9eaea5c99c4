"""PIR-15: attribution patching fails at convergence, integrated gradients do not.

"Polymorphism Is Rotation" (arXiv 2605.24577), Bars C and Pr within a seed: over the
components (8 heads and 2 MLPs), integrated gradients with 32 points correlate with the
measured effects of mean ablation at r > 0.99, attribution patching at r < 0.9.  Integrated
gradients are complete: with enough points they are the effect of the ablation, of any
model whatever.  Before training there is nothing to explain; a number that says the same
there is an identity of calculus.
"""

import pytest
from torch import Tensor

from polyrot.bars import correlation
from polyrot.capabilities import components, figures
from polyrot.capabilities.components import ATTRIBUTED, INTEGRATED, Compared
from polyrot.stats.estimate import Estimate, jackknife
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, Printed, negative, positive
from polyrot.verdict.run import Judge

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
BAR = Bar.above(0.0, f"r of IG - {LEAST}, and {MOST} - r of attribution patching")
CONTROLS = (
    negative("untrained seed", components.untrained, INTEGRATED),
    positive("linear model", components.linear, INTEGRATED),
    negative("linear model", components.linear, ATTRIBUTED),
    positive("of other components", components.other_components, ATTRIBUTED),
)
HARDENED = Measurement(
    CLAIM,
    BAR,
    CONTROLS,
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


def margins(suite: Suite, compared: Compared) -> dict[str, Estimate]:
    """How far inside its bar each predictor's correlation is, over seeds."""
    estimates = {}
    for part, (predicted, measured) in compared.items():
        r = correlation(predicted, measured)
        margin: Tensor = r - LEAST if part == INTEGRATED else MOST - r
        values = {(s, s): float(m) for s, m in zip(suite.seeds, margin, strict=True)}
        details = {f"r of seed {s}": float(x) for s, x in zip(suite.seeds, r, strict=True)}
        estimates[part] = jackknife(values, details=details)
    return estimates


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    judge(
        lambda world=components.trained: margins(suite, world(suite)),
        figures=lambda _: [
            figures.against_each_other(
                components.trained(suite),
                name="effects",
                title="Predicted and measured effects",
                caption="A point is a component of a seed: what a gradient says that its ablation "
                "does to the loss, over what it does. On the line both are equal.",
                x="measured effect, nats a token",
                y="predicted effect, nats a token",
            )
        ],
    )
