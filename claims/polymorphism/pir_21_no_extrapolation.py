"""PIR-21: training on lengths 2-48 does not extrapolate to lengths 50-60.

"Polymorphism Is Rotation" (arXiv 2605.24577, appendix A): models trained on content lengths
2-48 answer about 95% of the depths of sequences of lengths 50-60, those trained on 2-62
99.99%.  Both cohorts here have the same initial weights and recipe; of the short one the last
step is taken, as to select on longer sequences would favour what extrapolates.  The margin is
what is left inside [0.90, 0.98] of the one and above 0.999 of the other; beside it, the short
cohort's accuracy on the lengths it was trained on.
"""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from polyrot.models.cohorts import SHORT_COHORT
from polyrot.models.harvest import predict, real_labels
from polyrot.models.transformer import StackedTransformer
from polyrot.stats.estimate import Estimate, jackknife
from polyrot.suites.suite import Suite
from polyrot.tasks import dyck
from polyrot.tasks.dyck import LabelledSequences
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, Printed, negative, positive
from polyrot.verdict.run import Judge

CLAIM = Claim(
    "PIR-21",
    "Training on lengths 2-48 does not extrapolate",
    "arXiv 2605.24577, appendix A",
    {"dyck3-independent": "0.95; trained on 2-62, 0.9999"},
)
LOW, HIGH, LEAST = 0.90, 0.98, 0.999
SHORT, FULL = "trained on 2-48", "trained on 2-62"
BAR = Bar.above(0.0, f"depth accuracy inside [{LOW}, {HIGH}], and above {LEAST}")
SEQUENCES = 2_048
WRONG = 0.05
"""Share of right answers made wrong where the accuracy is planted."""

Correct = Callable[[Suite, LabelledSequences], tuple[Tensor, Tensor]]
"""Which depths are answered right, `[seed, token]`, by the short and by the full cohort."""


def right(models: StackedTransformer, batch: LabelledSequences) -> Tensor:
    return predict(models, batch)["depth"].argmax(-1) == real_labels(batch)["depth"]


def as_trained(suite: Suite, batch: LabelledSequences) -> tuple[Tensor, Tensor]:
    return right(suite.cohort(SHORT_COHORT), batch), right(suite.models, batch)


def trained_on_all(suite: Suite, batch: LabelledSequences) -> tuple[Tensor, Tensor]:
    full = right(suite.models, batch)
    return full, full


def untrained(suite: Suite, batch: LabelledSequences) -> tuple[Tensor, Tensor]:
    none = right(suite.untrained, batch)
    return none, none


def planted(suite: Suite, batch: LabelledSequences) -> tuple[Tensor, Tensor]:
    """One answer in twenty wrong, and none."""
    draw = torch.rand(len(suite.seeds), int(batch.lengths.sum()), generator=generator())
    return draw >= WRONG, torch.ones_like(draw, dtype=torch.bool)


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(27)


CONTROLS = (
    negative("trained on 2-62", trained_on_all, SHORT),
    negative("untrained seed", untrained),
    positive("planted accuracy", planted),
)
HARDENED = Measurement(
    CLAIM,
    BAR,
    CONTROLS,
    printed={
        "dyck3-independent": (
            Printed((min(0.95 - LOW, HIGH - 0.95),), "accuracy 0.95", (SHORT,)),
            Printed((0.9999 - LEAST,), "accuracy 0.9999", (FULL,)),
        )
    },
)


def beside(suite: Suite) -> dict[str, float]:
    """Accuracy of the short cohort on the lengths that it was trained on."""
    batch = dyck.sample_short(SEQUENCES, rng=np.random.default_rng(4))
    return by_seed(suite, " on 2-48", right(suite.cohort(SHORT_COHORT), batch).double().mean(-1))


def by_seed(suite: Suite, where: str, accuracy: Tensor) -> dict[str, float]:
    return {f"seed {s}{where}": float(a) for s, a in zip(suite.seeds, accuracy, strict=True)}


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    suite.check_sharing(shared_io=False)
    batch = dyck.sample_long(SEQUENCES, rng=np.random.default_rng(3))

    def measure(world: Correct = as_trained) -> dict[str, Estimate]:
        short, full = (answers.double().mean(-1) for answers in world(suite, batch))
        own = beside(suite) if world is as_trained else {}
        margins = {SHORT: torch.minimum(short - LOW, HIGH - short), FULL: full - LEAST}
        return {
            part: jackknife(
                {(s, s): float(m) for s, m in zip(suite.seeds, margins[part], strict=True)},
                details=by_seed(suite, "", accuracy) | (own if part == SHORT else {}),
            )
            for part, accuracy in ((SHORT, short), (FULL, full))
        }

    judge(measure)
