"""PIR-21: training on lengths 2-48 does not extrapolate to lengths 50-60.

"Polymorphism Is Rotation" (arXiv 2605.24577, appendix A): on sequences of lengths 50-60,
models trained on content lengths 2-48 predict the depth at about 95% of tokens, models trained
on 2-62 at 99.99%.  Both cohorts here have the same initial weights and recipe.  The short
cohort's last step is taken, because selecting on longer sequences would favour models that
extrapolate.  The margins are how far its accuracy is inside [0.90, 0.98], and how far that of
the other cohort is above 0.999.  Also reported: the short cohort's accuracy on the lengths that
it was trained on.
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
BAR = Bar.above(0.0, f"depth accuracy inside [{LOW}, {HIGH}], and above {LEAST}")
SEQUENCES = 2_048

World = Callable[[DyckModels, LabelledSequences], tuple[Tensor, Tensor]]
"""Which depths are correct, `[seed, token]`, by the short and by the full cohort."""


def correct(models: StackedTransformer, batch: LabelledSequences) -> Tensor:
    return predict(models, batch)["depth"].argmax(-1) == real_labels(batch)["depth"]


def as_trained(dyck: DyckModels, batch: LabelledSequences) -> tuple[Tensor, Tensor]:
    return correct(dyck.cohort(SHORT_COHORT), batch), correct(dyck.models, batch)


def trained_on_all(dyck: DyckModels, batch: LabelledSequences) -> tuple[Tensor, Tensor]:
    full = correct(dyck.models, batch)
    return full, full


def untrained(dyck: DyckModels, batch: LabelledSequences) -> tuple[Tensor, Tensor]:
    before = correct(dyck.untrained, batch)
    return before, before


CONTROLS = (
    negative("trained on 2-62", trained_on_all, SHORT),
    negative("untrained seed", untrained),
    positive("planted accuracy", controls.planted_answers),
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


def accuracy(answers: Tensor) -> list[float]:
    """Share of correct answers, by seed."""
    shares: list[float] = answers.double().mean(-1).tolist()
    return shares


@pytest.mark.measurement(HARDENED)
def test_hardened(dyck: DyckModels, judge: Judge) -> None:
    dyck.check_sharing(shared_io=False)
    batch = sample_long(SEQUENCES, rng=np.random.default_rng(3))

    def measure(world: World = as_trained) -> dict[str, Estimate]:
        short, full = map(accuracy, world(dyck, batch))
        details = {SHORT: on_trained_lengths(dyck)} if world is as_trained else {}

        def margins(seed: int) -> dict[str, Measured]:
            a, b = short[dyck.index(seed)], full[dyck.index(seed)]
            inside, above = min(a - LOW, HIGH - a), b - LEAST
            return {
                SHORT: Measured(inside, each={f"seed {seed}": a}),
                FULL: Measured(above, each={f"seed {seed}": b}),
            }

        return average_by_part(dyck.seeds, margins, details=details)

    judge(measure)


def on_trained_lengths(dyck: DyckModels) -> dict[str, float]:
    """Accuracy of the short cohort on lengths 2-48."""
    batch = sample_short(SEQUENCES, rng=np.random.default_rng(4))
    shares = accuracy(correct(dyck.cohort(SHORT_COHORT), batch))
    return {f"seed {s} on 2-48": share for s, share in zip(dyck.seeds, shares, strict=True)}
