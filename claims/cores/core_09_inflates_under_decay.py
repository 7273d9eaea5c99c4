"""CORE-09: the modular-addition core inflates under weight decay only.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): the core has about 15
dimensions when the model groks and about 60 at the end of training with weight decay, while a
branch without it, forked after epoch 900, keeps them.  The rank is the paper's: the fewest
directions that are necessary and sufficient for held-out answers.
"""

from collections.abc import Callable

import pytest

from polyrot.missing import NotRun
from polyrot.stats.estimate import Estimate, beside, over_seeds
from polyrot.suites import core_figures
from polyrot.suites.modular import END, END_WITHOUT_DECAY, GROKKED
from polyrot.suites.questions import QuestionModels, cyclic
from polyrot.suites.suite import Suite
from polyrot.tasks import modular
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, Printed, negative, positive
from polyrot.verdict.run import Judge

CLAIM = Claim(
    "CORE-09",
    "The core inflates under weight decay only",
    "arXiv 2602.22600, modular addition",
    {"modular-addition": "about 15 to about 60; without weight decay no change"},
)
WITH, WITHOUT = "with weight decay", "without weight decay"
LEAST, MOST = 2.0, 1.3
BAR = Bar.at_least(
    0.0, f"growth of the rank above {LEAST:g} with weight decay, below {MOST} without"
)

Times = tuple[QuestionModels, QuestionModels, QuestionModels]
"""At grokking, at the end with weight decay, and at the end without."""
World = Callable[[Suite], Times]


def as_trained(suite: Suite) -> Times:
    grokked, end, without = (suite.questions(t) for t in (GROKKED, END, END_WITHOUT_DECAY))
    return grokked, end, without


def the_other_way(suite: Suite) -> Times:
    """From the end to grokking."""
    grokked, end = suite.questions(GROKKED), suite.questions(END)
    return end, grokked, grokked


def decay_in_both(suite: Suite) -> Times:
    return suite.questions(GROKKED), suite.questions(END), suite.questions(END)


def planted(suite: Suite) -> Times:
    """Six frequencies, fifteen, and six again."""
    few, many = (cyclic(len(suite.seeds), frequencies=count) for count in (6, 15))
    return few, many, few


HARDENED = Measurement(
    CLAIM,
    BAR,
    (
        negative("the other way round", the_other_way, WITH),
        negative("decay in both branches", decay_in_both, WITHOUT),
        positive("planted cores of 12 and 30 dimensions", planted),
    ),
    printed={"modular-addition": (Printed((60 / 15 - LEAST,), "15 to 60", (WITH,)),)},
)


def ranks(suite: Suite, models: QuestionModels) -> dict[int, float]:
    """The rank of every seed's core; not of one that has none."""
    found = {
        seed: models.ranks(index, ~modular.is_training()).operational
        for index, seed in enumerate(suite.seeds)
    }
    return {seed: float(rank) for seed, rank in found.items() if rank is not None}


def growth(first: dict[int, float], last: dict[int, float]) -> dict[int, float]:
    """Of the seeds that have a core at both times."""
    both = {seed: last[seed] / first[seed] for seed in first if seed in last}
    if not both:
        raise NotRun("no seed has a core that is necessary and sufficient at both times")
    return both


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        first, last, without = (ranks(suite, models) for models in world(suite))
        inside = {
            WITH: {seed: times - LEAST for seed, times in growth(first, last).items()},
            WITHOUT: {seed: MOST - times for seed, times in growth(first, without).items()},
        }
        ends = {WITH: last, WITHOUT: without}
        return {
            part: over_seeds(
                margin,
                details=beside("rank at grokking", over_seeds(first))
                | beside("rank at the end", over_seeds(ends[part])),
            )
            for part, margin in inside.items()
        }

    judge(measure, figures=lambda estimates: core_figures.inflation(suite.curves))
