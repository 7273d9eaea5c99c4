"""CORE-09: the modular-addition core inflates under weight decay only.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): the core has about 15
dimensions when the model groks and about 60 at the end of training with weight decay, while on a
branch without weight decay, forked after epoch 900, the number does not change.  The rank is the
paper's: the fewest directions that are necessary and sufficient for held-out answers, in seeds
that give these answers.  As published, cores are extracted from held-out questions alone; hardened,
from all questions.

The details give the rank by each criterion, and the final accuracy after removing the number of
directions that were the whole core at grokking.  The negative controls exchange the branches, and
plant cores that keep their size or grow.
"""

from collections.abc import Callable, Sequence

import pytest

from polyrot.claim import *
from polyrot.experiments.addition import figures
from polyrot.experiments.addition.controls import (
    View,
    from_every_question,
    from_held_out,
    planted_cores,
)
from polyrot.experiments.addition.models import (
    END,
    END_WITHOUT_DECAY,
    GROKKED,
    Addition,
    AdditionModels,
)
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

World = Callable[[Addition], list[AdditionModels]]
"""At grokking, at the end with weight decay, and at the end without."""


def ending(*ends: str) -> World:
    return lambda addition: [addition.questions(checkpoint) for checkpoint in (GROKKED, *ends)]


AS_TRAINED = ending(END, END_WITHOUT_DECAY)
BAR = Bar.at_least(LEAST, "rank at the end over that at grokking", scale=Scale.LOG)
PART_BARS = {WITH: BAR, WITHOUT: Bar.at_most(MOST, BAR.quantity, scale=Scale.LOG)}
CONTROLS = (
    negative("decay in neither branch", ending(END_WITHOUT_DECAY, END_WITHOUT_DECAY), WITH),
    negative("decay in both branches", ending(END, END), WITHOUT),
    negative("planted cores of 12 dimensions that keep their size", planted_cores(6, 6, 6), WITH),
    negative("planted cores of 12 dimensions that grow to 30", planted_cores(6, 15, 15), WITHOUT),
    positive("planted cores that grow to 30 with decay alone", planted_cores(6, 15, 6)),
)
PRINTED = {
    "modular-addition": (
        Printed((60 / 15,), "15 to 60", (WITH,)),
        Printed((1.0,), "no change", (WITHOUT,)),
    )
}
PUBLISHED = Measurement(CLAIM, BAR, CONTROLS, published=True, printed=PRINTED, part_bars=PART_BARS)
HARDENED = Measurement(CLAIM, BAR, CONTROLS, printed=PRINTED, part_bars=PART_BARS)


def growth(addition: Addition, times: Sequence[AdditionModels]) -> Estimate:
    """The growth of the rank, averaged over seeds that answer held-out questions at both times."""
    held_out = ~modular.is_training()

    def answers(seed: int) -> bool:
        return all(models.whole(addition.index(seed), held_out) >= MASTERED for models in times)

    def measure(seed: int) -> Measured:
        index = addition.index(seed)
        first, last = (models.ranks(index, held_out) for models in times)
        _, without = times[-1].accuracies(index, held_out)
        also = {"accuracy without as many as at grokking": float(without[first.operational - 1])}
        for criterion in ("operational", "energy", "necessary", "sufficient"):
            also[f"{criterion} rank at grokking"] = getattr(first, criterion)
            also[f"{criterion} rank at the end"] = getattr(last, criterion)
        ratio = last.operational / first.operational
        return Measured(ratio, also, each={f"growth of seed {seed}": ratio})

    answering = [seed for seed in addition.seeds if answers(seed)]
    if not answering:
        raise NotRun(f"no seed answers {MASTERED:.0%} of held-out questions at both times")
    return average(answering, measure)


def by_branch(addition: Addition, world: World, view: View) -> dict[str, Estimate]:
    grokked, *ends = map(view, world(addition))
    return {
        part: growth(addition, (grokked, end))
        for part, end in zip((WITH, WITHOUT), ends, strict=True)
    }


@pytest.mark.measurement(PUBLISHED)
def test_published(addition: Addition, judge: Judge) -> None:
    judge(lambda world=AS_TRAINED: by_branch(addition, world, from_held_out))


@pytest.mark.measurement(HARDENED)
def test_hardened(addition: Addition, judge: Judge) -> None:
    judge(
        lambda world=AS_TRAINED: by_branch(addition, world, from_every_question),
        figures=[lambda _: figures.inflation(addition.curves)],
    )
