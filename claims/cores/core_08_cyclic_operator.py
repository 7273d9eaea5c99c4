"""CORE-08: the modular-addition core is a cyclic operator.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): at grokking, one linear
map takes the mean core coordinates of every answer to those of the next answer, with R2 near 1 and
eigenvalues near the unit circle.  But some linear map takes any 53 points in 52 or more dimensions
to any others, and the shift of 53 points has all 53rd roots of unity as eigenvalues: in so many
dimensions the ring is automatic.  Hardened: R2 is measured between answers that the fit did not
see, and cores of rank 52 or more do not count.
"""

from collections.abc import Callable

import pytest
import torch

from polyrot.capabilities.figures import eigenvalues
from polyrot.claim import *
from polyrot.cores.shift import Shift, random_shift
from polyrot.experiments.addition import figures
from polyrot.experiments.addition.controls import cyclic
from polyrot.experiments.addition.models import PROPER, Addition, AdditionModels
from polyrot.experiments.addition.suite import GROKKED, MEMORISED
from polyrot.tasks import modular

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

World = Callable[[Addition], list[tuple[Shift, int]]]
"""The fitted shift of every seed, and the rank of its core."""


def shifts(models: AdditionModels) -> list[tuple[Shift, int]]:
    """In the smallest core that is necessary for held-out answers, as published."""
    held_out = ~modular.is_training()
    ranks = [models.ranks(index, held_out).necessary for index in range(len(models.weight))]
    return [(models.shift(index, rank), rank) for index, rank in enumerate(ranks)]


def grokked(addition: Addition) -> list[tuple[Shift, int]]:
    return shifts(addition.questions(GROKKED))


def memorising(addition: Addition) -> list[tuple[Shift, int]]:
    return shifts(addition.questions(MEMORISED))


def planted(addition: Addition) -> list[tuple[Shift, int]]:
    return shifts(cyclic(len(addition.seeds)))


def random_points(dimensions: int) -> World:
    def world(addition: Addition) -> list[tuple[Shift, int]]:
        return [
            (random_shift(modular.MODULUS, dimensions, seed=index), dimensions)
            for index in range(len(addition.seeds))
        ]

    return world


CONTROLS = (
    negative("the memorising phase", memorising),
    negative("random points in 15 dimensions", random_points(15)),
    negative("random points in 40 dimensions", random_points(40)),
    negative("random points in 60 dimensions", random_points(60)),
    positive("a planted cyclic core", planted),
)
PUBLISHED = Measurement(
    CLAIM,
    Bar.at_least(0.0, f"ring share above {LEAST[RING]}, and R2 above {LEAST[R2]}"),
    CONTROLS,
    published=True,
    printed={"modular-addition": (Printed((1 - LEAST[R2],), "R2 to 1", (R2,)),)},
)
HARDENED = Measurement(
    CLAIM,
    Bar.at_least(0.0, f"ring share above {LEAST[RING]}, and held-out R2 above {LEAST[R2]}"),
    CONTROLS,
)


def margins(shift: Shift, rank: int, *, hardened: bool) -> dict[str, Measured]:
    """How far above their least values the ring share and R2 of a seed are."""
    also = {"rank": rank, "modes": len(shift.modes), "R2 of all edges": shift.r2}
    found = {RING: shift.ring_share, R2: shift.r2_held_out if hardened else shift.r2}
    if hardened and rank >= PROPER:
        also, found = {}, {RING: 0.0, R2: 0.0}
    return {
        part: Measured(value - LEAST[part], also={part: value, **also})
        for part, value in found.items()
    }


def averaged_margins(
    addition: Addition, world: World, *, hardened: bool = False
) -> dict[str, Estimate]:
    found = dict(zip(addition.seeds, world(addition), strict=True))
    return average_by_part(addition.seeds, lambda seed: margins(*found[seed], hardened=hardened))


@pytest.mark.measurement(PUBLISHED)
def test_published(addition: Addition, judge: Judge) -> None:
    judge(
        lambda world=grokked: averaged_margins(addition, world),
        figures=[lambda _: figures.operator(addition.curves)],
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(addition: Addition, judge: Judge) -> None:
    judge(
        lambda world=grokked: averaged_margins(addition, world, hardened=True),
        figures=[lambda _: near_the_circle(addition)],
    )


def near_the_circle(addition: Addition) -> list[Figure]:
    worlds: dict[tuple[str, Role], World] = {
        ("grokked", Role.MODELS): grokked,
        ("memorising", Role.NEGATIVE): memorising,
        ("random points in 60 dimensions", Role.BESIDE): random_points(60),
    }
    found = {
        curve: [shift.eigenvalues for shift, _ in world(addition)]
        for curve, world in worlds.items()
    }
    angles = 2 * torch.pi * torch.arange(modular.MODULUS).double() / modular.MODULUS
    roots = {("roots of unity", Role.NULL): [torch.polar(torch.ones_like(angles), angles)]}
    caption = (
        "Of the least-squares map from every answer's mean coordinates to the next answer's, "
        "every seed."
    )
    return [eigenvalues(roots | found, caption=caption)]
