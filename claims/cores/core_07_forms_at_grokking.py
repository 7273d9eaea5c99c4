"""CORE-07: the modular-addition core forms at grokking.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): a core that is
necessary (without it accuracy is at most twice chance) and sufficient (alone it loses at most
0.001 of the accuracy) is found when held-out accuracy reaches 0.99, and not before.  The control
asks the same while the training answers are memorised.

As published it cannot fail, because all directions together are always necessary and sufficient.
Nor is the rank on held-out questions informative: before grokking none of them is answered
correctly, so keeping or removing directions loses nothing.  Hardened: on training questions,
which are answered correctly at both times, and with fewer than 52 directions, because 52 can hold
any 53 points.
"""

from collections.abc import Callable

import pytest
from jaxtyping import Bool
from torch import Tensor

from polyrot.claim import *
from polyrot.experiments.addition import figures
from polyrot.experiments.addition.controls import cyclic
from polyrot.experiments.addition.models import PROPER, Addition, AdditionModels
from polyrot.experiments.addition.suite import GROKKED, MEMORISED
from polyrot.tasks import modular

CLAIM = Claim(
    "CORE-07",
    "The modular-addition core forms at grokking",
    "arXiv 2602.22600, modular addition",
    {"modular-addition": "epoch about 800"},
    true_in=("addition-circles",),
    false_in=("addition-a-direction-each", "addition-by-heart"),
)
World = Callable[[Addition], AdditionModels]


def grokked(addition: Addition) -> AdditionModels:
    return addition.questions(GROKKED)


def memorising(addition: Addition) -> AdditionModels:
    return addition.questions(MEMORISED)


def planted(addition: Addition) -> AdditionModels:
    return cyclic(len(addition.seeds))


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


def found_core(
    models: AdditionModels, seeds: tuple[int, ...], questions: Bool[Tensor, " _"], below: float
) -> dict[str, Estimate]:
    """Estimate the share of seeds whose necessary and sufficient core has a rank below a limit."""

    def measure(seed: int) -> Measured:
        ranks = models.ranks(seeds.index(seed), questions)
        each = {f"{name} rank of seed {seed}": rank for name, rank in vars(ranks).items()}
        return Measured(float(ranks.operational < below), each=each)

    return {"core": average(seeds, measure)}


@pytest.mark.measurement(PUBLISHED)
def test_published(addition: Addition, judge: Judge) -> None:
    def measure(world: World = grokked) -> dict[str, Estimate]:
        held_out = ~modular.is_training()
        return found_core(world(addition), addition.seeds, held_out, below=float("inf"))

    judge(measure, figures=[lambda _: figures.grokking(addition.curves)])


@pytest.mark.measurement(HARDENED)
def test_hardened(addition: Addition, judge: Judge) -> None:
    def measure(world: World = grokked) -> dict[str, Estimate]:
        return found_core(world(addition), addition.seeds, modular.is_training(), below=PROPER)

    shown = {("grokked", Role.MODELS): grokked, ("memorising", Role.NEGATIVE): memorising}
    judge(
        measure,
        figures=[
            lambda _: figures.ablations({curve: world(addition) for curve, world in shown.items()})
        ],
    )
