"""What would decide an undecided part: how many seeds, and what besides seeds."""

import numpy as np
import pytest
from scipy import stats

from polyrot.stats.estimate import Estimate, over_seeds
from polyrot.stats.looks import LOOKS
from polyrot.verdict.bar import Bar, Placement
from polyrot.verdict.levels import place_parts
from polyrot.verdict.undecided import Cause, Help, seeds_wanted, wants_seeds

BAR = Bar.at_least(0.0, "score")


def five(errors: float, **known: object) -> Estimate:
    """An estimate of five seeds, so many standard errors from the bar."""
    half = float(stats.t.ppf(0.975, 4))
    return Estimate(errors, errors - half, errors + half, "seed", 5, "by hand", **known)


def test_seeds_are_wanted_up_to_the_next_look_at_which_they_would_do() -> None:
    wanted = [seeds_wanted(BAR, five(errors), 1, 0.5) for errors in (8.0, 2.0, 1.2, 0.1)]
    assert wanted[:2] == [9, 12]
    assert 12 < wanted[2] <= 30
    assert wanted[3] is None
    for errors in (4.0, 1.5, -4.0, -2.0):
        even, likely = (seeds_wanted(BAR, five(errors), 1, chance) for chance in (0.5, 0.8))
        assert even <= likely
    # More parts, and so a stricter level, if it is to be refuted.
    assert seeds_wanted(BAR, five(-2.0), 1, 0.8) < seeds_wanted(BAR, five(-2.0), 40, 0.8)


@pytest.mark.parametrize("errors", [2.5, -3.0])
def test_the_seeds_wanted_decide_as_often_as_they_say(errors: float) -> None:
    wanted = seeds_wanted(BAR, five(errors), 1, 0.8)
    earlier = max(look for look in LOOKS if look < wanted)
    rng = np.random.default_rng(0)
    expected = Placement.INSIDE if errors > 0 else Placement.OUTSIDE
    shares = {}
    for seeds in (wanted, earlier):
        values = errors + 5**0.5 * rng.standard_normal((2_000, seeds))
        found = [over_seeds(dict(enumerate(map(float, v)))) for v in values]
        shares[seeds] = np.mean([place_parts({"": BAR}, {"": e})[""] is expected for e in found])
    assert shares[earlier] < 0.8 < shares[wanted] + 0.03


def test_an_anchor_stays_while_seeds_are_added() -> None:
    anchored = Estimate(2.0, 1.0, 3.0, "seed", 4, "by hand", anchor=0)
    assert seeds_wanted(BAR, anchored, 1, 0.5) > anchored.n + 1


def test_what_has_no_interval_says_what_it_lacks() -> None:
    alone = over_seeds({0: 1.0})
    found = wants_seeds(BAR, alone, 1)
    assert (found.cause, found.help) == (Cause.NO_INTERVAL, Help.SEEDS)
    unmeasured = Estimate(1.0, -np.inf, np.inf, "seed", 5, "no interval: in 1 of 5 seeds")
    assert wants_seeds(BAR, unmeasured, 1).help is Help.INSTRUMENT
    draws = Estimate(0.0, -1.0, 1.0, "null draw", 100, "by hand")
    assert wants_seeds(BAR, draws, 1).advice == "more of the unit: null draw"
