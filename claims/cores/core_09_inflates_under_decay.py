"""CORE-09: the modular-addition core inflates under weight decay only.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): the core has about 15
dimensions when the model groks and about 60 at the end of training with weight decay, while a
branch without it, forked after epoch 900, keeps them.  The rank is the paper's: the fewest
directions that are necessary and sufficient for held-out answers.  What each criterion asks by
itself stands beside it, and how accurate a model is in the end without as many directions as
were all that it needed at grokking.
"""

from collections.abc import Callable

import pytest

from polyrot.missing import NotRun
from polyrot.stats.estimate import Estimate, beside, over_seeds
from polyrot.suites import core_figures
from polyrot.suites.modular import END, END_WITHOUT_DECAY, GROKKED
from polyrot.suites.questions import QuestionModels, Ranks, cyclic
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


def cores(suite: Suite, models: QuestionModels) -> dict[int, Ranks]:
    """What every seed's core needs."""
    return {
        seed: models.ranks(index, ~modular.is_training()) for index, seed in enumerate(suite.seeds)
    }


def of_cores(found: dict[int, Ranks], which: str) -> dict[int, float]:
    """A rank of every seed's core; not of one that has none."""
    ranks = {seed: getattr(own, which) for seed, own in found.items()}
    return {seed: float(rank) for seed, rank in ranks.items() if rank is not None}


def growth(first: dict[int, float], last: dict[int, float]) -> dict[int, float]:
    """Of the seeds that have a core at both times."""
    both = {seed: last[seed] / first[seed] for seed in first if seed in last}
    if not both:
        raise NotRun("no seed has a core that is necessary and sufficient at both times")
    return both


def left(suite: Suite, models: QuestionModels, first: dict[int, float]) -> dict[int, float]:
    """Accuracy without as many directions as the core once had."""
    removed = {
        seed: models.accuracies(suite.index(seed), ~modular.is_training())[1] for seed in first
    }
    return {seed: float(removed[seed][int(rank) - 1]) for seed, rank in first.items()}


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        grokked, *ends = world(suite)
        first = of_cores(cores(suite, grokked), "operational")
        estimates = {}
        for part, end, sign, limit in zip(
            (WITH, WITHOUT), ends, (1, -1), (LEAST, MOST), strict=True
        ):
            found = cores(suite, end)
            last = of_cores(found, "operational")
            times = growth(first, last)
            details = beside("rank at grokking", over_seeds(first))
            details |= beside("rank at the end", over_seeds(last))
            for which in ("energy", "sufficient"):
                own = of_cores(found, which)
                details |= beside(f"rank at the end, {which}", over_seeds(own)) if own else {}
            left_over = over_seeds(left(suite, end, first))
            details |= beside("accuracy without as many as at grokking", left_over)
            inside = {seed: sign * (own - limit) for seed, own in times.items()}
            estimates[part] = over_seeds(inside, details=details)
        return estimates

    judge(measure, figures=lambda estimates: core_figures.inflation(suite.curves))
