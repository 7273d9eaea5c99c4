"""CORE-07: the modular-addition core forms at grokking.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): a core that is
necessary (without it accuracy is at most twice chance) and sufficient (alone it loses at most
0.001 of the accuracy) is found when held-out accuracy reaches 0.99, and not before.  The control
asks the same while the training answers are memorised.

As published it cannot fail, because all directions together are always necessary and sufficient.
Before grokking no held-out question is answered correctly, so there the rank means nothing either.
Hardened: on training questions, which are answered correctly at both times, and with fewer than 52
directions, because 52 can hold any 53 points.
"""

from math import inf

import pytest
from torch import Tensor

from polyrot.claim import *
from polyrot.experiments.addition import controls, figures
from polyrot.experiments.addition.models import PROPER, Addition, AdditionModels
from polyrot.tasks import modular

CLAIM = Claim(
    "CORE-07",
    "The modular-addition core forms at grokking",
    "arXiv 2602.22600, modular addition",
    {"modular-addition": "epoch about 800"},
    true_in=("addition-circles",),
    false_in=("addition-a-direction-each", "addition-by-heart"),
)
CONTROLS = (
    negative("the memorising phase", controls.memorising),
    positive("a planted cyclic core", controls.planted_core),
)
PUBLISHED = Measurement(
    CLAIM,
    Bar.at_least(1, "share of seeds with a necessary and sufficient core"),
    CONTROLS,
    published=True,
)
HARDENED = Measurement(
    CLAIM,
    Bar.at_least(1, f"share of seeds with such a core of rank below {PROPER}"),
    CONTROLS,
)


def has_core(
    addition: Addition, models: AdditionModels, questions: Tensor, below: float
) -> dict[str, Estimate]:
    """The share of seeds whose necessary and sufficient core has a rank below a limit."""

    def measure(seed: int) -> Measured:
        ranks = models.ranks(addition.index(seed), questions)
        each = {f"{name} rank of seed {seed}": rank for name, rank in vars(ranks).items()}
        return Measured(float(ranks.operational < below), each=each)

    return {"core": average(addition.seeds, measure)}


@pytest.mark.measurement(PUBLISHED)
def test_published(addition: Addition, judge: Judge) -> None:
    held_out = ~modular.is_training()
    judge(
        lambda world=controls.grokked: has_core(addition, world(addition), held_out, below=inf),
        figures=[lambda _: figures.grokking(addition.curves)],
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(addition: Addition, judge: Judge) -> None:
    training = modular.is_training()
    judge(
        lambda world=controls.grokked: has_core(addition, world(addition), training, below=PROPER),
        figures=[lambda _: figures.ablations(addition)],
    )
