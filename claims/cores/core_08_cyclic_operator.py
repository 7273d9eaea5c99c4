"""CORE-08: the modular-addition core is a cyclic operator.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): at grokking, one linear
map takes the mean core coordinates of every answer to those of the next answer, with R2 near 1 and
eigenvalues near the unit circle.  But some linear map takes any 53 points in 52 or more dimensions
to any others, and the shift of 53 points has all 53rd roots of unity as eigenvalues: in so many
dimensions the ring is automatic.  Hardened: R2 is measured between answers that the fit did not
see, and cores of rank 52 or more score 0.
"""

import pytest

from polyrot.claim import *
from polyrot.experiments.addition import controls, figures
from polyrot.experiments.addition.controls import Shifts
from polyrot.experiments.addition.models import PROPER, Addition, AdditionModels
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


def shifts(models: AdditionModels) -> Shifts:
    """Of every seed, in the smallest core that is necessary for held-out answers, as published."""
    held_out = ~modular.is_training()
    ranks = [models.ranks(index, held_out).necessary for index in range(len(models.weight))]
    return [(models.shift(index, rank), rank) for index, rank in enumerate(ranks)]


def grokked(addition: Addition) -> Shifts:
    return shifts(controls.grokked(addition))


CONTROLS = (
    negative("the memorising phase", lambda addition: shifts(controls.memorising(addition))),
    negative("random points in 15 dimensions", controls.random_points(15)),
    negative("random points in 40 dimensions", controls.random_points(40)),
    negative("random points in 60 dimensions", controls.random_points(60)),
    positive("a planted cyclic core", lambda addition: shifts(controls.planted_core(addition))),
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


def margins(addition: Addition, fitted: Shifts, *, hardened: bool) -> dict[str, Estimate]:
    """How far above their least values the ring share and R2 are."""

    def measure(seed: int) -> dict[str, Measured]:
        shift, rank = fitted[addition.index(seed)]
        also = {"rank": rank, "modes": len(shift.modes), "R2 of all edges": shift.r2}
        found = {RING: shift.ring_share, R2: shift.r2_held_out if hardened else shift.r2}
        if hardened and rank >= PROPER:
            also, found = {}, {RING: 0.0, R2: 0.0}
        return {
            part: Measured(value - LEAST[part], also={part: value, **also})
            for part, value in found.items()
        }

    return average_by_part(addition.seeds, measure)


@pytest.mark.measurement(PUBLISHED)
def test_published(addition: Addition, judge: Judge) -> None:
    judge(
        lambda world=grokked: margins(addition, world(addition), hardened=False),
        figures=[lambda _: figures.operator(addition.curves)],
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(addition: Addition, judge: Judge) -> None:
    judge(
        lambda world=grokked: margins(addition, world(addition), hardened=True),
        figures=[lambda _: figures.near_the_circle(addition, shifts)],
    )
