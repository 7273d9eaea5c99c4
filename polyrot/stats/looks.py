"""Levels for verdicts on cohorts of seeds that grow: few seeds now do not use up later evidence."""

from functools import lru_cache

import numpy as np
from scipy import optimize, stats

LOOKS = (5, 9, 12, 20)
"""The numbers of seeds at which a cohort is judged."""


def level_at(seeds: int, level: float) -> float:
    """Return the one-sided level at a number of seeds, when `level` is spent over all looks.

    O'Brien and Fleming's boundaries (1979, doi:10.2307/2530245): under the null, the sum of the
    evidence so far crosses one constant at any of the looks with probability `level`.  A number
    between two looks has the level of the earlier one; with fewer seeds than at the first look, the
    first one's; with more than at the last, the last one's.

    >>> [round(level_at(seeds, 0.05), 5) for seeds in LOOKS]
    [0.00032, 0.00549, 0.01381, 0.04399]
    """
    look = max((look for look in LOOKS if look <= seeds), default=LOOKS[0])
    return float(stats.norm.sf(_constant(level) / (look / LOOKS[-1]) ** 0.5))


@lru_cache
def _constant(level: float) -> float:
    """Find the constant that the evidence crosses with probability `level`."""
    root: float = optimize.brentq(lambda c: crossing(c) - level, 0.5, 6.0, xtol=1e-10)
    return root


def crossing(constant: float) -> float:
    """Return the probability that a Brownian motion seen at the looks is ever above a constant.

    Its time ends at 1, with the last look.
    """
    nodes, weights = np.polynomial.legendre.leggauss(100)
    grid, weights = constant + 4 * (nodes - 1), 4 * weights
    times = np.array(LOOKS) / LOOKS[-1]
    density = stats.norm.pdf(grid, scale=times[0] ** 0.5)
    for step in np.diff(times):
        density = stats.norm.pdf(grid[:, None] - grid, scale=step**0.5) @ (weights * density)
    return 1 - float(weights @ density)
