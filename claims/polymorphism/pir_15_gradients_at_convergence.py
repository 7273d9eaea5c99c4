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
from polyrot.stats.estimate import Estimate, jackknife
from polyrot.suites import components, figures
from polyrot.suites.components import ATTRIBUTED, INTEGRATED, Compared
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, negative, positive
from polyrot.verdict.run import Judge

CLAIM = Claim(
    "PIR-15",
    "Integrated gradients predict ablations, attribution patching does not",
    "arXiv 2605.24577, within-seed Bars C and Pr",
    {"dyck3": "IG r >= 0.9995; AP r -0.63 to 0.59"},
)
LEAST, MOST = 0.99, 0.9
BAR = Bar.above(0.0, f"r of IG - {LEAST}, and {MOST} - r of attribution patching")
CONTROLS = (
    negative("untrained seed", components.untrained, INTEGRATED),
    positive("linear model", components.linear, INTEGRATED),
    negative("linear model", components.linear, ATTRIBUTED),
    positive("of other components", components.other_components, ATTRIBUTED),
)
HARDENED = Measurement(CLAIM, BAR, CONTROLS)


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
