"""The levels of verdicts: over parts, over looks, and at the ends of regions."""

import numpy as np
import pytest
from scipy import stats

from polyrot.stats.estimate import Estimate, exact, jackknife, over_seeds, share_of_seeds
from polyrot.stats.looks import LOOKS, crossing, level_at
from polyrot.verdict.bar import Bar, Placement
from polyrot.verdict.levels import INSIDE_LEVEL, OUTSIDE_LEVEL, place_parts

BAR = Bar.at_least(0.0, "score")


def at(errors: float, seeds: int = 20) -> Estimate:
    """An estimate so many standard errors above 0."""
    half = float(stats.t.ppf(0.975, seeds - 1))
    return Estimate(errors, errors - half, errors + half, "seed", seeds, "by hand")


def place(*estimates: Estimate, bar: Bar = BAR) -> list[Placement]:
    named = {str(index): e for index, e in enumerate(estimates)}
    return list(place_parts(dict.fromkeys(named, bar), named).values())


def critical(level: float, seeds: int = 20) -> float:
    return float(stats.t.isf(level_at(seeds, level), seeds - 1))


def test_inside_is_one_sided_at_each_part() -> None:
    # Old rule: two-sided, so that 1.9 errors straddled.
    edge = critical(INSIDE_LEVEL)
    assert edge < 1.9
    assert place(at(edge + 0.01), at(edge + 0.01)) == [Placement.INSIDE] * 2
    assert place(at(edge - 0.01), at(9)) == [Placement.STRADDLES, Placement.INSIDE]


def test_outside_is_corrected_over_the_parts() -> None:
    # Old rule: each part at 0.025, so that one of four by chance refuted the claim.
    alone, of_four, of_three = (
        float(stats.t.isf(level_at(20, OUTSIDE_LEVEL) / parts, 19)) for parts in (1, 4, 3)
    )
    assert place(at(-alone - 0.01)) == [Placement.OUTSIDE]
    assert place(at(-alone - 0.01), *[at(3)] * 3)[0] is Placement.STRADDLES
    assert place(at(-of_four - 0.01), *[at(3)] * 3)[0] is Placement.OUTSIDE
    # Holm: once the first is rejected, three are left.
    assert (
        place(at(-of_four - 0.01), at(-of_three - 0.01), at(3), at(3))[:2]
        == [Placement.OUTSIDE] * 2
    )
    assert (
        place(at(-of_four + 0.01), at(-of_three - 0.01), at(3), at(3))[:2]
        == [Placement.STRADDLES] * 2
    )


@pytest.mark.parametrize("parts", [1, 4])
def test_with_the_truth_at_the_edge_the_errors_are_the_levels(parts: int) -> None:
    rng = np.random.default_rng(parts)
    refuted = replicated = 0
    runs, seeds = 1_000, 20
    for values in rng.standard_normal((runs, parts, seeds)):
        placed = place(*(over_seeds(dict(enumerate(map(float, of_part)))) for of_part in values))
        refuted += Placement.OUTSIDE in placed
        replicated += set(placed) == {Placement.INSIDE}
    # Binomial(1000, 0.0229), three standard deviations.
    assert abs(refuted / runs - level_at(20, OUTSIDE_LEVEL)) < 0.0145
    assert abs(replicated / runs - level_at(20, INSIDE_LEVEL) ** parts) < 0.0195


def test_the_level_is_spent_over_the_looks() -> None:
    for level in (INSIDE_LEVEL, OUTSIDE_LEVEL):
        levels = [level_at(look, level) for look in LOOKS]
        assert levels == sorted(levels)
        assert levels[-1] < level < sum(levels)
        constant = float(stats.norm.isf(levels[-1]))
        assert crossing(constant) == pytest.approx(level, abs=1e-8)
    # Between looks, before the first and after the last.
    assert level_at(3, 0.05) == level_at(5, 0.05) == level_at(8, 0.05)
    assert level_at(50, 0.05) == level_at(20, 0.05)


def test_adding_seeds_until_a_verdict_appears_does_not_raise_the_errors() -> None:
    # Old rule: 5% at each of four looks, 12% in all.
    rng = np.random.default_rng(0)
    runs, appeared = 1_000, 0
    for values in rng.standard_normal((runs, LOOKS[-1])):
        looks = (over_seeds({i: float(v) for i, v in enumerate(values[:n])}) for n in LOOKS)
        appeared += any(place(look) == [Placement.INSIDE] for look in looks)
    assert abs(appeared / runs - INSIDE_LEVEL) < 0.021


def test_the_anchor_counts_among_the_seeds_of_a_look() -> None:
    four = Estimate(1.0, 0.5, 1.5, "seed", 4, "by hand", anchor=0)
    assert four.seeds == 5
    assert Estimate(1.0, 0.5, 1.5, "null draw", 4, "by hand").seeds is None


def test_the_two_ends_of_an_equivalence_region_are_tested_apart() -> None:
    region = Bar.between(-1.0, 1.0, "trace")
    edge = 0.3 * critical(INSIDE_LEVEL)

    def spread(value: float) -> Estimate:
        half = 0.3 * float(stats.t.ppf(0.975, 19))
        return Estimate(value, value - half, value + half, "seed", 20, "by hand")

    for sign in (1, -1):
        assert place(spread(sign * (0.99 - edge)), bar=region) == [Placement.INSIDE]
        assert place(spread(sign * (1.01 - edge)), bar=region) == [Placement.STRADDLES]
        assert place(spread(sign * 2.0), bar=region) == [Placement.OUTSIDE]


def test_every_seed_is_refuted_by_a_counterexample_and_never_shown_by_a_sample() -> None:
    every = Bar.at_least(1.0, "share of seeds")
    assert place(share_of_seeds({0: True, 1: True, 2: False}), bar=every) == [Placement.OUTSIDE]
    # Old rule: [1, 1] from three of three, REPLICATED.
    assert place(share_of_seeds(dict.fromkeys(range(30), True)), bar=every) == [Placement.STRADDLES]
    most = Bar.at_least(0.8, "share of seeds")
    assert place(share_of_seeds(dict.fromkeys(range(20), True)), bar=most) == [Placement.INSIDE]
    assert place(share_of_seeds(dict.fromkeys(range(9), True)), bar=most) == [Placement.STRADDLES]


def test_a_control_of_every_seed_is_met_without_a_counterexample() -> None:
    every = Bar.at_least(1.0, "share of seeds")
    # Old rule: [0.48, 1] straddles, so that no positive control could let "every" be refuted.
    assert every.place_control(share_of_seeds(dict.fromkeys(range(5), True))) is Placement.INSIDE
    assert every.place_control(share_of_seeds({0: True, 1: False})) is Placement.OUTSIDE
    most = Bar.at_least(0.8, "share of seeds")
    few = share_of_seeds(dict.fromkeys(range(5), True))
    assert most.place_control(few) is most.place(few) is Placement.STRADDLES


@pytest.mark.parametrize(("value", "expected"), [(0.5, "inside"), (0.49, "outside")])
def test_an_exact_number_lies_where_it_lies_even_at_an_end(value: float, expected: str) -> None:
    number = exact(value, unit="rotation", n=10, method="analytic")
    assert place(number, bar=Bar.at_least(0.5, "p")) == [Placement(expected)]
    assert place(number, bar=Bar.above(0.5, "p")) == [Placement.OUTSIDE]


def test_units_that_agree_decide_as_a_sign_test_does() -> None:
    # Old rule: three seeds that happen to agree were certain.
    for seeds, expected in ((3, "straddles"), (5, "straddles"), (9, "inside"), (12, "inside")):
        same = over_seeds(dict.fromkeys(range(seeds), 1.0))
        assert place(same) == [Placement(expected)]
        assert place(same, bar=Bar.at_most(0.0, "x")) == [
            Placement("straddles" if seeds < 12 else "outside")
        ]


def test_pairs_that_agree_are_half_as_many_as_seeds() -> None:
    same = jackknife({(i, j): 1.0 for i in range(12) for j in range(12) if i != j})
    assert same.p_at_most(0.0) == 0.5**6
    assert over_seeds(dict.fromkeys(range(12), 1.0)).p_at_most(0.0) == 0.5**12
    # Equal values, but for the order in which they are summed.
    assert over_seeds(dict.fromkeys(range(12), 0.01)).p_at_most(0.0) == 0.5**12


def test_a_test_that_cannot_be_made_decides_nothing() -> None:
    with pytest.raises(ValueError, match="at least 2 units"):
        Estimate(0.45, 0.4, 0.6, "core", 1, "by hand", exhaustive=True)
    assert not over_seeds({0: 0.9, 1: 0.9001}).has_interval


def test_a_region_that_every_number_is_in_is_no_bar() -> None:
    for low, high in ((-np.inf, np.inf), (np.nan, 1.0), (1.0, 0.0)):
        with pytest.raises(ValueError, match="some numbers inside, and not all"):
            Bar("score", low, high)
