"""CORE-09: the modular-addition core inflates under weight decay only.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): the core has about 15
dimensions when the model groks and about 60 at the end of training with weight decay, while a
branch without it, forked after epoch 900, keeps them.  The rank is the paper's: the fewest
directions that are necessary and sufficient for held-out answers, of seeds that give them.

What each criterion asks by itself stands beside it, and how accurate a model is in the end without
as many directions as were all that it needed at grokking.  The controls change the branches'
places.
"""

from collections.abc import Callable

import pytest

from polyrot.errors import NotRun
from polyrot.experiments.addition.models import AdditionModels, Ranks, cyclic
from polyrot.experiments.addition.suite import END, END_WITHOUT_DECAY, GROKKED
from polyrot.experiments.chains import figures as core_figures
from polyrot.models.encoder_training import MASTERED
from polyrot.stats.estimate import Estimate, beside, over_seeds
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
    true_in=("addition-inflates",),
    false_in=("addition-circles", "addition-inflates-anyway"),
)
WITH, WITHOUT = "with weight decay", "without weight decay"
LEAST, MOST = 2.0, 1.3
BAR = Bar.at_least(
    0.0, f"growth of the rank above {LEAST:g} with weight decay, below {MOST} without"
)

Times = tuple[AdditionModels, AdditionModels, AdditionModels]
"""At grokking, at the end with weight decay, and at the end without."""
World = Callable[[Suite], Times]


def as_trained(suite: Suite) -> Times:
    grokked, end, without = (suite.questions(t) for t in (GROKKED, END, END_WITHOUT_DECAY))
    return grokked, end, without


def decay_in_neither(suite: Suite) -> Times:
    """The branch without weight decay, in the place of that with it."""
    grokked, without = suite.questions(GROKKED), suite.questions(END_WITHOUT_DECAY)
    return grokked, without, without


def decay_in_both(suite: Suite) -> Times:
    """The branch with weight decay, in the place of that without it."""
    return suite.questions(GROKKED), suite.questions(END), suite.questions(END)


def planted(suite: Suite) -> Times:
    """Six frequencies, fifteen, and six again."""
    few, many = (cyclic(len(suite.seeds), frequencies=count) for count in (6, 15))
    return few, many, few


HARDENED = Measurement(
    CLAIM,
    BAR,
    (
        negative("decay in neither branch", decay_in_neither, WITH),
        negative("decay in both branches", decay_in_both, WITHOUT),
        positive("planted cores of 12 and 30 dimensions", planted),
    ),
    printed={"modular-addition": (Printed((60 / 15 - LEAST,), "15 to 60", (WITH,)),)},
)


def cores(suite: Suite, models: AdditionModels) -> dict[int, Ranks]:
    """What the core of every seed needs that answers held-out questions."""
    found = {}
    for index, seed in enumerate(suite.seeds):
        if models.whole(index, ~modular.is_training()) >= MASTERED:
            found[seed] = models.ranks(index, ~modular.is_training())
    return found


def left(suite: Suite, models: AdditionModels, first: dict[int, Ranks]) -> dict[int, float]:
    """Accuracy without as many directions as the core once had."""
    removed = {
        seed: models.accuracies(suite.index(seed), ~modular.is_training())[1] for seed in first
    }
    return {seed: float(removed[seed][own.operational - 1]) for seed, own in first.items()}


def details(first: dict[int, Ranks], last: dict[int, Ranks]) -> dict[str, float]:
    """Every criterion's rank, at both times."""
    found: dict[str, float] = {}
    for which in ("operational", "energy", "necessary", "sufficient"):
        for when, ranks in (("at grokking", first), ("at the end", last)):
            own = {seed: float(getattr(rank, which)) for seed, rank in ranks.items()}
            found |= beside(f"{which} rank {when}", over_seeds(own))
    return found


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        grokked, with_decay, without = world(suite)
        first = cores(suite, grokked)
        estimates = {}
        for part, end, inside in (
            (WITH, with_decay, lambda growth: growth - LEAST),
            (WITHOUT, without, lambda growth: MOST - growth),
        ):
            last = cores(suite, end)
            both = {seed: own for seed, own in first.items() if seed in last}
            if not both:
                raise NotRun(f"no seed answers {MASTERED:.0%} of held-out questions at both times")
            growth = {s: last[s].operational / own.operational for s, own in both.items()}
            left_over = over_seeds(left(suite, end, both))
            estimates[part] = over_seeds(
                {seed: inside(own) for seed, own in growth.items()},
                details=details(first, last)
                | beside("accuracy without as many as at grokking", left_over),
            )
        return estimates

    judge(measure, figures=lambda estimates: core_figures.inflation(suite.curves))
