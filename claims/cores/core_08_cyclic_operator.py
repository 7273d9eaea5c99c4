"""CORE-08: the modular-addition core is a cyclic operator.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): at grokking, one linear
map sends the mean core coordinates of every answer to the next answer's, with R2 near 1 and
eigenvalues near the unit circle.  But any 53 points in 52 dimensions or more are sent anywhere by
some map, and the shift of 53 points has all 53rd roots of unity as eigenvalues: then the ring is
automatic.  Hardened: R2 is of edges between answers that the fit never saw, and cores of rank
52 or more do not count.
"""

from collections.abc import Callable

import pytest
import torch

from polyrot.cores.shift import Shift, random_shift
from polyrot.experiments.addition.models import PROPER, AdditionModels, cyclic
from polyrot.experiments.addition.suite import GROKKED, MEMORISED
from polyrot.experiments.chains import figures as core_figures
from polyrot.stats.estimate import Estimate, beside, over_seeds
from polyrot.suites.suite import Suite
from polyrot.tasks import modular
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, Printed, negative, positive
from polyrot.verdict.figure import Figure, Role
from polyrot.verdict.run import Judge

CLAIM = Claim(
    "CORE-08",
    "It is a cyclic operator",
    "arXiv 2602.22600, modular addition",
    {"modular-addition": "R2 to 1"},
    true_in=("addition-circles",),
    false_in=(
        "addition-a-direction-each",
        "addition-by-heart",
        "addition-scattered-15",
        "addition-scattered-60",
    ),
)
RING, R2 = "ring share", "R2"
LEAST = {RING: 0.9, R2: 0.99}

World = Callable[[Suite], list[tuple[Shift, int]]]
"""The shift of every seed with the rank of its core."""


def shifts(models: AdditionModels) -> list[tuple[Shift, int]]:
    """In the smallest core without which held-out answers are gone, as published."""
    ranks = [
        models.ranks(index, ~modular.is_training()).necessary for index in range(len(models.weight))
    ]
    return [(models.shift(index, rank), rank) for index, rank in enumerate(ranks)]


def grokked(suite: Suite) -> list[tuple[Shift, int]]:
    return shifts(suite.questions(GROKKED))


def memorising(suite: Suite) -> list[tuple[Shift, int]]:
    return shifts(suite.questions(MEMORISED))


def random_points(dimensions: int) -> World:
    def world(suite: Suite) -> list[tuple[Shift, int]]:
        return [
            (random_shift(modular.MODULUS, dimensions, seed=seed), dimensions)
            for seed in range(len(suite.seeds))
        ]

    return world


def planted(suite: Suite) -> list[tuple[Shift, int]]:
    return shifts(cyclic(len(suite.seeds)))


CONTROLS = (
    negative("the memorising phase", memorising),
    negative("random points in 15 dimensions", random_points(15)),
    negative("random points in 40 dimensions", random_points(40)),
    negative("random points in 60 dimensions", random_points(60)),
    positive("a planted cyclic core", planted),
)
PRINTED = {"modular-addition": (Printed((1 - LEAST[R2],), "R2 to 1", (R2,)),)}
PUBLISHED = Measurement(
    CLAIM,
    Bar.at_least(0.0, f"ring share above {LEAST[RING]}, and R2 above {LEAST[R2]}"),
    CONTROLS,
    published=True,
    printed=PRINTED,
)
HARDENED = Measurement(
    CLAIM,
    Bar.at_least(0.0, f"ring share above {LEAST[RING]}, and held-out R2 above {LEAST[R2]}"),
    CONTROLS,
)


def margins(suite: Suite, found: list[tuple[Shift, int]], *, hardened: bool) -> dict[str, Estimate]:
    values: dict[str, dict[int, float]] = {RING: {}, R2: {}}
    beside_them: dict[str, dict[int, float]] = {"rank": {}, "modes": {}, "R2 of all edges": {}}
    for seed, (shift, rank) in zip(suite.seeds, found, strict=True):
        if hardened and rank >= PROPER:
            values[RING][seed] = values[R2][seed] = 0.0
            continue
        values[RING][seed] = shift.ring_share
        values[R2][seed] = shift.r2_held_out if hardened else shift.r2
        beside_them["rank"][seed] = float(rank)
        beside_them["modes"][seed] = float(len(shift.modes))
        beside_them["R2 of all edges"][seed] = shift.r2
    details: dict[str, float] = {}
    for name, by_seed in beside_them.items():
        details |= beside(name, over_seeds(by_seed)) if by_seed else {}
    return {
        part: over_seeds(
            {seed: value - LEAST[part] for seed, value in by_seed.items()},
            details=beside(part, over_seeds(by_seed)) | details,
        )
        for part, by_seed in values.items()
    }


@pytest.mark.measurement(PUBLISHED)
def test_published(suite: Suite, judge: Judge) -> None:
    def measure(world: World = grokked) -> dict[str, Estimate]:
        return margins(suite, world(suite), hardened=False)

    judge(measure, figures=lambda estimates: [core_figures.operator(suite.curves)])


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    def measure(world: World = grokked) -> dict[str, Estimate]:
        return margins(suite, world(suite), hardened=True)

    judge(measure, figures=lambda estimates: near_the_circle(suite))


def near_the_circle(suite: Suite) -> list[Figure]:
    worlds: dict[tuple[str, Role], World] = {
        ("grokked", Role.MODELS): grokked,
        ("memorising", Role.NEGATIVE): memorising,
        ("random points in 60 dimensions", Role.BESIDE): random_points(60),
    }
    values = {
        drawn: [shift.eigenvalues for shift, _ in world(suite)] for drawn, world in worlds.items()
    }
    turns = 2 * torch.pi * torch.arange(modular.MODULUS).double() / modular.MODULUS
    roots = torch.polar(torch.ones_like(turns), turns)
    return [
        core_figures.eigenvalues(
            {("roots of unity", Role.NULL): [roots], **values},
            caption="Of the least-squares map from every answer's mean coordinates to the next "
            "answer's, every seed.",
        )
    ]
