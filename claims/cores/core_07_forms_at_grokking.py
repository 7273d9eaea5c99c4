"""CORE-07: the modular-addition core forms at grokking.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): a core that is
necessary (without it accuracy is at most twice chance) and sufficient (alone it loses at most
0.001 of the accuracy) is found when held-out accuracy reaches 0.99, and not before.  All directions
together are always necessary and sufficient, so a core counts as found if its rank is below 52: 52
dimensions can hold any 53 points.  The negative control asks the same while the training answers
are memorised.

As published, cores are extracted from held-out questions and asked of the same.  Before grokking
none of these is answered correctly, so that the first directions are found necessary and sufficient
without being either.  Hardened: on training questions, which are answered correctly at both times,
and with cores from all questions.
"""

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
BAR = Bar.below(PROPER, "rank of the smallest necessary and sufficient core", scale=Scale.LOG)
CONTROLS = (
    negative("the memorising phase", controls.memorising),
    positive("a planted cyclic core", controls.planted_core),
)
PUBLISHED = Measurement(CLAIM, BAR, CONTROLS, published=True)
HARDENED = Measurement(CLAIM, BAR, CONTROLS)


def smallest_rank(
    addition: Addition, models: AdditionModels, questions: Tensor
) -> dict[str, Estimate]:
    """The rank of the smallest core that is necessary and sufficient for some questions."""

    def measure(seed: int) -> Measured:
        ranks = models.ranks(addition.index(seed), questions)
        each = {f"{name} rank of seed {seed}": rank for name, rank in vars(ranks).items()}
        return Measured(ranks.operational, each=each)

    return {"core": average(addition.seeds, measure)}


@pytest.mark.measurement(PUBLISHED)
def test_published(addition: Addition, judge: Judge) -> None:
    held_out = ~modular.is_training()
    judge(
        lambda world=controls.grokked: smallest_rank(
            addition, world(addition).from_held_out, held_out
        ),
        figures=[lambda _: figures.grokking(addition.curves)],
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(addition: Addition, judge: Judge) -> None:
    training = modular.is_training()
    judge(
        lambda world=controls.grokked: smallest_rank(addition, world(addition), training),
        figures=[lambda _: figures.ablations(addition)],
    )
