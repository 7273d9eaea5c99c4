"""Where the models lie: the levels at which an interval is called inside or outside a bar."""

from collections.abc import Mapping

from polyrot.stats.estimate import Estimate
from polyrot.stats.looks import level_at
from polyrot.verdict.bar import Bar, Placement

INSIDE_LEVEL = 0.05
"""One-sided, at each part: if all must be inside, no correction is needed (Berger 1982,
doi:10.1080/00401706.1982.10487790)."""
OUTSIDE_LEVEL = 0.025
"""One-sided, over all parts together: one of them refutes (Holm 1979)."""


def place_parts(bars: Mapping[str, Bar], estimates: Mapping[str, Estimate]) -> dict[str, Placement]:
    """Place the models' estimates, each in its bar, at levels that are spent over the looks."""
    placed = dict.fromkeys(estimates, Placement.STRADDLES)
    # In shares of the level at the part's own look, as parts may have different numbers of seeds.
    shares = {
        part: bars[part].p_outside(estimate) / _level(estimate, OUTSIDE_LEVEL)
        for part, estimate in estimates.items()
    }
    for tested, part in enumerate(sorted(shares, key=shares.__getitem__)):
        if not shares[part] * (len(shares) - tested) <= 1:
            break
        placed[part] = Placement.OUTSIDE
    for part, estimate in estimates.items():
        if bars[part].p_inside(estimate) <= _level(estimate, INSIDE_LEVEL):
            placed[part] = Placement.INSIDE
    return placed


def _level(estimate: Estimate, level: float) -> float:
    return level if estimate.seeds is None else level_at(estimate.seeds, level)
