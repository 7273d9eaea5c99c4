"""PIR-21: training on lengths 2-48 does not extrapolate to lengths 50-60.

"Polymorphism Is Rotation" (arXiv 2605.24577, appendix A): on sequences of lengths 50-60, models
trained on content lengths 2-48 predict the depth at about 95% of tokens, models trained on 2-62 at
99.99%.  Both cohorts here have the same initial weights and recipe.  The short cohort's last step
is taken, because selecting on longer sequences would favour models that extrapolate.  The margins
are how far its accuracy is inside [0.90, 0.98], and how far that of the other cohort is above
0.999.  Also reported: the short cohort's accuracy on the lengths that it was trained on.
"""

from collections.abc import Callable

import numpy as np
import pytest
from torch import Tensor

from polyrot.claim import *
from polyrot.experiments.dyck import controls
from polyrot.experiments.dyck.suite import DyckModels
from polyrot.models.cohorts import SHORT_COHORT
from polyrot.models.harvest import predict, real_labels
from polyrot.models.transformer import StackedTransformer
from polyrot.tasks.dyck import LabelledSequences, sample_long, sample_short

CLAIM = Claim(
    "PIR-21",
    "Training on lengths 2-48 does not extrapolate",
    "arXiv 2605.24577, appendix A",
    {"dyck3-independent": "0.95; trained on 2-62, 0.9999"},
)
LOW, HIGH, LEAST = 0.90, 0.98, 0.999
SHORT, FULL = "trained on 2-48", "trained on 2-62"
SEQUENCES = 2_048

World = Callable[[DyckModels, LabelledSequences], tuple[Tensor, Tensor]]
"""Which depths are correct, `[seed, token]`, by the short and by the full cohort."""


def correct(models: StackedTransformer, batch: LabelledSequences) -> Tensor:
    return predict(models, batch)["depth"].argmax(-1) == real_labels(batch)["depth"]


def as_trained(dyck: DyckModels, batch: LabelledSequences) -> tuple[Tensor, Tensor]:
    return correct(dyck.cohort(SHORT_COHORT), batch), correct(dyck.models, batch)


HARDENED = Measurement(
    CLAIM,
    Bar.above(0.0, f"depth accuracy inside [{LOW}, {HIGH}], and above {LEAST}"),
    (
        negative("trained on 2-62", lambda dyck, batch: (correct(dyck.models, batch),) * 2, SHORT),
        negative("untrained seed", lambda dyck, batch: (correct(dyck.untrained, batch),) * 2),
        positive("planted accuracy", controls.planted_answers),
    ),
    printed={
        "dyck3-independent": (
            Printed((min(0.95 - LOW, HIGH - 0.95),), "accuracy 0.95", (SHORT,)),
            Printed((0.9999 - LEAST,), "accuracy 0.9999", (FULL,)),
        )
    },
)


@pytest.mark.measurement(HARDENED)
def test_hardened(dyck: DyckModels, judge: Judge) -> None:
    dyck.check_sharing(shared_io=False)
    longer = sample_long(SEQUENCES, rng=np.random.default_rng(3))
    as_in_training = sample_short(SEQUENCES, rng=np.random.default_rng(4))

    def accuracy(answers: Tensor) -> dict[int, float]:
        return dict(zip(dyck.seeds, answers.double().mean(-1).tolist(), strict=True))

    def measure(world: World = as_trained) -> dict[str, Estimate]:
        short, full = map(accuracy, world(dyck, longer))
        details = {}
        if world is as_trained:
            seen = accuracy(correct(dyck.cohort(SHORT_COHORT), as_in_training))
            details = {f"seed {seed} on 2-48": share for seed, share in seen.items()}

        def inside(seed: int) -> Measured:
            a = short[seed]
            return Measured(min(a - LOW, HIGH - a), each={f"seed {seed}": a})

        def above(seed: int) -> Measured:
            return Measured(full[seed] - LEAST, each={f"seed {seed}": full[seed]})

        return {
            SHORT: average(dyck.seeds, inside, details=details),
            FULL: average(dyck.seeds, above),
        }

    judge(measure)
