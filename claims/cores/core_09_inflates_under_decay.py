"""CORE-09: the modular-addition core inflates under weight decay only.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): the core has about 15
dimensions when the model groks and about 60 at the end of training with weight decay, while on a
branch without weight decay, forked after epoch 900, the number does not change.  The rank is the
paper's: the fewest directions that are necessary and sufficient for held-out answers, in seeds
that give these answers.

The details give the rank by each criterion, and the final accuracy after removing the number of
directions that were the whole core at grokking.  The controls exchange the branches.
"""

from collections.abc import Callable

import pytest

from polyrot.claim import *
from polyrot.experiments.addition import figures
from polyrot.experiments.addition.controls import cyclic
from polyrot.experiments.addition.models import Addition, AdditionModels
from polyrot.experiments.addition.suite import END, END_WITHOUT_DECAY, GROKKED
from polyrot.models.encoder_training import MASTERED
from polyrot.tasks import modular

CLAIM = Claim(
    "CORE-09",
    "The core inflates under weight decay only",
    "arXiv 2602.22600, modular addition",
    {"modular-addition": "about 15 to about 60; without weight decay no change"},
    true_in=("addition-inflates",),
    false_in=("addition-circles", "addition-inflates-anyway"),
)
WITH, WITHOUT = "with weight decay", "without weight decay"
LEAST, MOST = 2.0, 1.3

Times = list[AdditionModels]
"""At grokking, at the end with weight decay, and at the end without."""
World = Callable[[Addition], Times]


def at(*checkpoints: str) -> World:
    return lambda addition: [addition.questions(checkpoint) for checkpoint in checkpoints]


def planted(addition: Addition) -> Times:
    """Six frequencies, then fifteen with weight decay and still six without."""
    few, many = (cyclic(len(addition.seeds), frequencies=count) for count in (6, 15))
    return [few, many, few]


AS_TRAINED = at(GROKKED, END, END_WITHOUT_DECAY)
HARDENED = Measurement(
    CLAIM,
    Bar.at_least(
        0.0, f"growth of the rank above {LEAST:g} with weight decay, below {MOST} without"
    ),
    (
        negative(
            "decay in neither branch", at(GROKKED, END_WITHOUT_DECAY, END_WITHOUT_DECAY), WITH
        ),
        negative("decay in both branches", at(GROKKED, END, END), WITHOUT),
        positive("planted cores of 12 and 30 dimensions", planted),
    ),
    printed={"modular-addition": (Printed((60 / 15 - LEAST,), "15 to 60", (WITH,)),)},
)


def growth(
    seeds: tuple[int, ...],
    grokked: AdditionModels,
    end: AdditionModels,
    margin: Callable[[float], float],
) -> Estimate:
    """Average a margin of the growth over seeds that answer held-out questions at both times."""
    held_out = ~modular.is_training()

    def answers(seed: int) -> bool:
        index = seeds.index(seed)
        return all(models.whole(index, held_out) >= MASTERED for models in (grokked, end))

    def measure(seed: int) -> Measured:
        index = seeds.index(seed)
        first, last = (models.ranks(index, held_out) for models in (grokked, end))
        _, without = end.accuracies(index, held_out)
        accuracy = float(without[first.operational - 1])
        also = {"accuracy without as many as at grokking": accuracy}
        for criterion in ("operational", "energy", "necessary", "sufficient"):
            also[f"{criterion} rank at grokking"] = getattr(first, criterion)
            also[f"{criterion} rank at the end"] = getattr(last, criterion)
        return Measured(margin(last.operational / first.operational), also)

    answering = [seed for seed in seeds if answers(seed)]
    if not answering:
        raise NotRun(f"no seed answers {MASTERED:.0%} of held-out questions at both times")
    return average(answering, measure)


@pytest.mark.measurement(HARDENED)
def test_hardened(addition: Addition, judge: Judge) -> None:
    def measure(world: World = AS_TRAINED) -> dict[str, Estimate]:
        grokked, end, end_without = world(addition)
        return {
            WITH: growth(addition.seeds, grokked, end, lambda ratio: ratio - LEAST),
            WITHOUT: growth(addition.seeds, grokked, end_without, lambda ratio: MOST - ratio),
        }

    judge(measure, figures=[lambda _: figures.inflation(addition.curves)])
