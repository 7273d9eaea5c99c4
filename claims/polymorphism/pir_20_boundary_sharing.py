"""PIR-20: sharing embedding and unembeddings (the boundary) changes the weights, not the rotation.

"Polymorphism Is Rotation" (arXiv 2605.24577): where seeds share nothing, the largest mean squared
difference of any tensor (Bar P) is 6.8 to 8.6; where they share the boundary, it is about 0.5.  It
is largest on the unembeddings.  Each pair of one cohort is compared with its counterpart in the
other: the ratio of their largest differences is at least 5, and the difference of the unembeddings
exceeds that of all other tensors.

Published: from the first seed, by the search as released (from 4 of its 16 starts), which turns the
residual stream the wrong way and so does not align it, and by the same search repaired.  Hardened:
all pairs, by a search with the residual rotation among the symmetries, so that seeds whose weights
differ by a rotation alone count as equal.  And, at every site, the rotation itself: its explained
variance on held-out tokens differs between the cohorts by at most 0.05, its mean trace by at most
1, the standard deviation of a random rotation's trace, on the coordinates that seeds do not share
by construction.
"""

import pytest

from polyrot.claim import *
from polyrot.experiments.dyck import boundary
from polyrot.experiments.dyck.boundary import UNEMBEDDINGS, Cohorts, CohortWorld
from polyrot.experiments.dyck.suite import INTERNAL_SITES, DyckModels
from polyrot.experiments.dyck.weights import align_models, models_as_released

CLAIM = Claim(
    "PIR-20",
    "Boundary sharing changes weights, not the rotation",
    "arXiv 2605.24577, Bar P of both cohorts",
    {"dyck3-independent": "6.8-8.6 against 0.5"},
)
RATIO, LARGEST, EV, TRACE = "independent / shared", "unembeddings / the rest", "EV", "trace"
RELEASED, REPAIRED = "as released", "repaired"
BARS = {
    RATIO: Bar.at_least(5, "largest MSE, independent / shared", scale=Scale.LOG),
    LARGEST: Bar.above(1, "largest MSE, unembeddings / the rest", scale=Scale.LOG),
}
SAME_ROTATION = {
    EV: Bar.between(-0.05, 0.05, "EV of the rotation, independent - shared"),
    TRACE: Bar.between(-1, 1, "mean trace on the free coordinates, independent - shared"),
}
EVS, TRACES = ([f"{site}, {name}" for site in INTERNAL_SITES] for name in (EV, TRACE))
RATIOS, LARGESTS = (
    [f"{which}, {name}" for which in (RELEASED, REPAIRED)] for name in (RATIO, LARGEST)
)
ITSELF, TURNED = "independent against itself", "shared, in rotated bases"
ONE_BOUNDARY, NOISY = "one boundary", "noise on the unembeddings"
PUBLISHED = Measurement(
    CLAIM,
    BARS[RATIO],
    (
        negative(ITSELF, boundary.against_itself, *RATIOS),
        negative(TURNED, boundary.rotated_bases, *RATIOS),
        negative(ONE_BOUNDARY, boundary.one_boundary, *LARGESTS),
        positive(NOISY, boundary.noisy_unembeddings, *RATIOS, *LARGESTS),
    ),
    published=True,
    part_bars=BARS,
    printed={
        "dyck3-independent": (
            Printed(
                (6.8 / 0.580, 8.6 / 0.490),
                "at most so far apart: 6.8 to 8.6 over 0.490 to 0.580",
                (RATIOS[0],),
                ends=True,
            ),
        )
    },
)
HARDENED = Measurement(
    CLAIM,
    BARS[RATIO],
    (
        negative(ITSELF, boundary.against_itself, RATIO),
        negative(TURNED, boundary.rotated_bases, RATIO),
        negative(ONE_BOUNDARY, boundary.one_boundary, LARGEST),
        positive(NOISY, boundary.noisy_unembeddings, RATIO, LARGEST),
        positive("nothing shared in either cohort", boundary.against_itself, *EVS, *TRACES),
        negative("shuffled tokens", boundary.shuffled_tokens, *EVS),
        negative("one model in place of every seed", boundary.one_model, *TRACES),
    ),
    part_bars=BARS | SAME_ROTATION,
)


def of_weights(independent: dict[str, float], shared: dict[str, float]) -> dict[str, Measured]:
    """How differences of weights in one cohort compare with those in the other."""
    ends = max(independent[name] for name in UNEMBEDDINGS)
    rest = max(mse for name, mse in independent.items() if name not in UNEMBEDDINGS)
    largest, in_shared = max(independent.values()), max(shared.values())
    means = {
        "mean largest MSE, independent": largest,
        "mean largest MSE, shared": in_shared,
    }
    return {RATIO: Measured(largest / in_shared, means=means), LARGEST: Measured(ends / rest)}


def as_printed(dyck: DyckModels, cohorts: Cohorts, seeds: tuple[int, int]) -> dict[str, Measured]:
    """Compare a pair with its counterpart by the paper's search, as released and repaired."""
    i, j = map(dyck.index, seeds)
    parts: dict[str, Measured] = {}
    for which, repaired in ((RELEASED, False), (REPAIRED, True)):
        both = (
            models_as_released(models, i, j, repaired=repaired)
            for models in (cohorts.independent, cohorts.shared)
        )
        parts |= {f"{which}, {name}": value for name, value in of_weights(*both).items()}
    return parts


def weights_and_rotation(
    dyck: DyckModels, cohorts: Cohorts, seeds: tuple[int, int]
) -> dict[str, Measured]:
    """Compare a pair with its counterpart: weights up to rotations, and the rotations."""
    i, j = map(dyck.index, seeds)
    both = cohorts.independent, cohorts.shared
    parts = of_weights(*(align_models(m, i, m, j).mse for m in both)) if cohorts.weights else {}
    for site in dyck.sites if cohorts.rotation else ():
        pairs = boundary.stream_pairs(dyck, cohorts, seeds, site)
        evs = [pair.alignment.ev for pair in pairs]
        pairs = boundary.stream_pairs(dyck, cohorts, seeds, site, free=True)
        traces = [float(pair.alignment.rotation.trace()) for pair in pairs]
        for name, (independent, shared) in ((EV, evs), (TRACE, traces)):
            means = {f"mean {name}, independent": independent, f"mean {name}, shared": shared}
            parts[f"{site}, {name}"] = Measured(independent - shared, means=means)
    return parts


@pytest.mark.measurement(PUBLISHED)
def test_published(dyck: DyckModels, judge: Judge) -> None:
    dyck.check_sharing(shared_io=False)

    def measure(world: CohortWorld = boundary.as_trained) -> dict[str, Estimate]:
        cohorts, pairs = world(dyck), dyck.seed_pairs(anchored=True)
        return average_by_part(
            pairs, lambda seeds: as_printed(dyck, cohorts, seeds), anchor=dyck.seeds[0]
        )

    judge(measure)


@pytest.mark.measurement(HARDENED)
def test_hardened(dyck: DyckModels, judge: Judge) -> None:
    dyck.check_sharing(shared_io=False)

    def measure(world: CohortWorld = boundary.as_trained) -> dict[str, Estimate]:
        cohorts, pairs = world(dyck), dyck.seed_pairs(ordered=False)
        return average_by_part(pairs, lambda seeds: weights_and_rotation(dyck, cohorts, seeds))

    judge(measure)
