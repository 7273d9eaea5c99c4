"""Why a part is undecided, and what would decide it."""

import math
from dataclasses import dataclass
from enum import StrEnum

from scipy import stats

from polyrot.stats.estimate import Estimate
from polyrot.stats.looks import LOOKS, level_at
from polyrot.verdict.bar import Bar
from polyrot.verdict.levels import INSIDE_LEVEL, OUTSIDE_LEVEL

MOST_SEEDS = 100
"""Cohorts larger than this are not asked for."""


class Cause(StrEnum):
    """Everything that makes a part INCONCLUSIVE."""

    PROXY = "measured by proxy"
    PRECONDITION = "its precondition is not met"
    NO_INTERVAL = "no interval"
    STRADDLES = "the interval straddles the bar"
    BLIND = "the bar is not met in a positive control"
    TRUE_WORLD = "the bar is not met in a world in which the claim is true"
    UNCLEAR = "a negative control straddles the bar"
    NO_POWER = "no power against a named alternative"
    NOT_CALIBRATED = "the bar is not calibrated in the worlds that the claim names"
    NO_CONTROL = "no control of a kind that the verdict needs"
    ABSENT_CONTROL = "a control that the verdict needs could not run"


class Help(StrEnum):
    """What would decide."""

    SEEDS = "seeds"
    TRAINING = "training"
    INSTRUMENT = "an instrument"
    BAR = "another bar"
    CONTROL = "a control"
    MODELS = "other models"


HELP = {
    Cause.PROXY: Help.TRAINING,
    Cause.PRECONDITION: Help.MODELS,
    Cause.NO_INTERVAL: Help.SEEDS,
    Cause.STRADDLES: Help.SEEDS,
    Cause.BLIND: Help.INSTRUMENT,
    Cause.TRUE_WORLD: Help.BAR,
    Cause.UNCLEAR: Help.INSTRUMENT,
    Cause.NO_POWER: Help.INSTRUMENT,
    Cause.NOT_CALIBRATED: Help.INSTRUMENT,
    Cause.NO_CONTROL: Help.CONTROL,
    Cause.ABSENT_CONTROL: Help.CONTROL,
}


@dataclass(frozen=True)
class Undecided:
    """The cause, and what would help."""

    cause: Cause
    help: Help
    advice: str
    """What would help, in a few words."""
    seeds: tuple[int | None, int | None] | None = None
    """Seeds for an even chance of a verdict, and for 80%; None for more than `MOST_SEEDS`.

    If the value and the spread stay as they are.
    """

    @classmethod
    def by(cls, cause: Cause, advice: str) -> "Undecided":
        return cls(cause, HELP[cause], advice)


def wants_seeds(bar: Bar, estimate: Estimate, parts: int) -> Undecided:
    """Say how many seeds would decide a part whose interval straddles, one of `parts`."""
    if not estimate.has_interval:
        few = estimate.n < 3 and estimate.unit == "seed"
        helps = Help.SEEDS if few else Help.INSTRUMENT
        advice = "at least three seeds" if few else "an instrument that measures every unit"
        return Undecided(Cause.NO_INTERVAL, helps, advice)
    if estimate.seeds is None:
        return Undecided(Cause.STRADDLES, Help.INSTRUMENT, f"more of the unit: {estimate.unit}")
    if estimate.count is not None and (bar.low >= 1 or bar.high <= 0):
        advice = "a counterexample: no number of seeds shows that there is none"
        return Undecided(Cause.STRADDLES, Help.SEEDS, advice)
    even, likely = (seeds_wanted(bar, estimate, parts, chance) for chance in (0.5, 0.8))
    if even is None:
        advice = f"more than {MOST_SEEDS} seeds: the value lies too close to the bar's edge"
    elif likely is None:
        advice = f"about {even} seeds for an even chance, more than {MOST_SEEDS} for 80%"
    else:
        advice = f"about {even} seeds for an even chance, {likely} for 80%"
    return Undecided(Cause.STRADDLES, Help.SEEDS, advice, (even, likely))


def seeds_wanted(bar: Bar, estimate: Estimate, parts: int, chance: float) -> int | None:
    """Find the first look that decides with a given chance, if at most `MOST_SEEDS` are needed.

    Beyond the last look, any number of seeds is one.  It is assumed that the true value is the
    estimate's, and that the standard error falls with the root of the number of units: noncentral
    t, at the level of the look.
    """
    now = estimate.seeds or estimate.n
    for seeds in [*LOOKS, *range(LOOKS[-1] + 1, MOST_SEEDS + 1)]:
        if seeds <= now:
            continue
        units = seeds - (now - estimate.n)
        if _chance(bar, estimate, parts, seeds, units) >= chance:
            return int(seeds)
    return None


def _chance(bar: Bar, estimate: Estimate, parts: int, seeds: int, units: int) -> float:
    inside = bar.holds(estimate.value)
    level = level_at(seeds, INSIDE_LEVEL) if inside else level_at(seeds, OUTSIDE_LEVEL) / parts
    critical = stats.t.isf(level, units - 1)
    errors = distance_in_errors(bar, estimate) * (units / estimate.n) ** 0.5
    chance = float(stats.nct.sf(critical, units - 1, errors))
    return float(errors > critical) if math.isnan(chance) else chance  # it cannot go far out


def distance_in_errors(bar: Bar, estimate: Estimate) -> float:
    """Return the distance of the value from the nearest edge of the bar, in standard errors."""
    inside = bar.holds(estimate.value)
    p = bar.p_inside(estimate) if inside else bar.p_outside(estimate)
    return float(stats.t.isf(p, estimate.n - 1))
