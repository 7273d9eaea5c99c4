"""CORE-07: the modular-addition core forms at grokking.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): a core that is
necessary (without it answers are right at most twice as often as by chance) and sufficient (alone
it loses at most 0.001 of the accuracy) is found when held-out accuracy reaches 0.99, and not
before.  The control is the same question while the training answers are memorised.

As published it cannot fail: all directions together are always necessary and sufficient.  Nor does
the rank tell on held-out questions: before grokking no such answer is right, so that nothing is
lost by keeping or removing anything.  Hardened: on training questions, which
are right at both times, and with fewer than 52 directions, which hold any 53 points.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from polyrot.experiments.addition.models import PROPER, AdditionModels, cyclic
from polyrot.experiments.addition.suite import GROKKED, MEMORISED
from polyrot.experiments.chains import figures as core_figures
from polyrot.stats.estimate import Estimate, over_seeds
from polyrot.suites.suite import Suite
from polyrot.tasks import modular
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, negative, positive
from polyrot.verdict.figure import Figure, Role
from polyrot.verdict.run import Judge

CLAIM = Claim(
    "CORE-07",
    "The modular-addition core forms at grokking",
    "arXiv 2602.22600, modular addition",
    {"modular-addition": "epoch about 800"},
    true_in=("addition-circles",),
    false_in=("addition-a-direction-each", "addition-by-heart"),
)

World = Callable[[Suite], AdditionModels]


def grokked(suite: Suite) -> AdditionModels:
    return suite.questions(GROKKED)


def memorising(suite: Suite) -> AdditionModels:
    return suite.questions(MEMORISED)


def planted(suite: Suite) -> AdditionModels:
    return cyclic(len(suite.seeds))


CONTROLS = (
    negative("the memorising phase", memorising),
    positive("a planted cyclic core", planted),
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


def found(
    suite: Suite, models: AdditionModels, questions: Tensor, below: float
) -> dict[str, Estimate]:
    ranks = {seed: models.ranks(i, questions) for i, seed in enumerate(suite.seeds)}
    shares = {seed: float(own.operational < below) for seed, own in ranks.items()}
    details = {
        f"{name} rank of seed {seed}": rank
        for seed, own in ranks.items()
        for name, rank in vars(own).items()
    }
    return {"core": over_seeds(shares, details=details)}


@pytest.mark.measurement(PUBLISHED)
def test_published(suite: Suite, judge: Judge) -> None:
    def measure(world: World = grokked) -> dict[str, Estimate]:
        return found(suite, world(suite), ~modular.is_training(), below=float("inf"))

    judge(measure, figures=lambda estimates: core_figures.grokking(suite.curves))


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    def measure(world: World = grokked) -> dict[str, Estimate]:
        return found(suite, world(suite), modular.is_training(), below=PROPER)

    judge(measure, figures=lambda estimates: kept_and_removed(suite))


def kept_and_removed(suite: Suite) -> list[Figure]:
    accuracies: dict[tuple[str, Role], Tensor] = {}
    for when, world, role in (
        ("grokked", grokked, Role.MODELS),
        ("memorising", memorising, Role.NEGATIVE),
    ):
        own = [world(suite).accuracies(i, modular.is_training()) for i in range(len(suite.seeds))]
        accuracies[f"{when}: alone", role] = torch.stack([alone for alone, _ in own])
        accuracies[f"{when}: without", role] = torch.stack([left for _, left in own])
    return [core_figures.ablations(accuracies)]
