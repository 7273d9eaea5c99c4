"""SASA-01 to SASA-07 seen to hold where they are true and to fail where they are false."""

import math
from collections.abc import Callable
from functools import lru_cache
from inspect import signature
from pathlib import Path

import pytest
import torch

from polyrot.catalogue import load_module
from polyrot.errors import NotRun
from polyrot.experiments.planted import figures as dictionary_figures
from polyrot.experiments.planted.plan import SUBSPACE, SUBSPACES
from polyrot.experiments.planted.suite import Dictionaries, Points, SampleCounts
from polyrot.suites.loading import load_suite
from polyrot.suites.registry import applies_to
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Placement
from polyrot.verdict.figure import Figure

CLAIMS = Path(__file__).parents[2] / "claims/sasa"
INSIDE, OUTSIDE = Placement.INSIDE, Placement.OUTSIDE
CAPABILITIES = {"points": Points, "dictionaries": Dictionaries, "sample_counts": SampleCounts}
"""By the fixture that a claim asks for."""


@lru_cache
def module_of(id: str):
    (path,) = CLAIMS.glob(f"{id.lower().replace('-', '_')}_*.py")
    return load_module(path)


def asked(id: str, suite: Suite, which: str = "hardened"):
    """What a claim's own test asks its judge: the measurement, and the options."""
    found = []

    def judge(measure: Callable[..., object], **options: object) -> None:
        found.append((measure, options))

    test = getattr(module_of(id), f"test_{which}")
    fixture, _ = signature(test).parameters
    test(suite.get(CAPABILITIES[fixture]), judge)
    ((measure, options),) = found
    return getattr(module_of(id), which.upper()), measure, options


@lru_cache
def placements(id: str, world: str, which: str = "hardened") -> set[Placement]:
    """Where the parts of a claim fall in a world."""
    measurement, measure, _ = asked(id, load_suite(f"world:{world}"), which)
    return {measurement.bar_of(part).place(estimate) for part, estimate in measure().items()}


@pytest.mark.parametrize(
    ("id", "world", "which"),
    [
        ("SASA-01", "points-sphere", "hardened"),
        ("SASA-02", "points-sphere", "hardened"),
        ("SASA-04", "dictionary-groups", "hardened"),
        ("SASA-05", "samples-power", "hardened"),
        ("SASA-06", "dictionary-groups", "hardened"),
        ("SASA-06", "dictionary-groups", "published"),
        ("SASA-07", "dictionary-groups", "hardened"),
        ("SASA-07", "dictionary-groups", "published"),
    ],
)
def test_every_part_meets_its_bar_where_the_claim_is_true(id: str, world: str, which: str) -> None:
    assert world in module_of(id).CLAIM.true_in
    assert placements(id, world, which) == {INSIDE}


@pytest.mark.parametrize(
    ("id", "world"),
    [
        ("SASA-01", "points-axes"),
        ("SASA-01", "points-circle"),
        ("SASA-02", "points-axes"),
        ("SASA-03", "dictionary-elsewhere"),
        ("SASA-04", "dictionary-merged"),
        ("SASA-04", "dictionary-elsewhere"),
        ("SASA-05", "samples-exponential"),
        ("SASA-06", "dictionary-split"),
        ("SASA-06", "dictionary-merged"),
        ("SASA-07", "dictionary-split"),
        ("SASA-07", "dictionary-merged"),
    ],
)
def test_a_part_misses_its_bar_where_the_claim_is_false(id: str, world: str) -> None:
    assert world in module_of(id).CLAIM.false_in
    assert OUTSIDE in placements(id, world)


def test_runs_that_end_at_the_planted_solution_are_not_below_it() -> None:
    assert placements("SASA-03", "dictionary-groups") == {INSIDE}


@pytest.mark.parametrize("id", [f"SASA-{number:02d}" for number in range(1, 8)])
def test_a_claim_that_needs_planted_subspaces_says_where_to_find_them(id: str) -> None:
    suite = load_suite("world:delay-flat")
    with pytest.raises(NotRun, match="--suite subspaces"):
        asked(id, suite)[1]()


def test_a_power_is_told_from_an_exponential() -> None:
    preference = module_of("SASA-05").preference
    dims = [2, 3, 4, 6, 8]
    assert preference(dims, [10 * d**2 for d in dims]) > 5
    assert preference(dims, [10 * 2**d for d in dims]) < -5
    # Nothing is left by either: no more is said than rounding allows.
    assert preference(dims, [8] * 5) == 0


def test_what_was_never_found_decides_nothing() -> None:
    module = module_of("SASA-05")
    assert module.missing({2: [4, None], 3: [8, 8]}) == "repetitions found no subspace: 1 of 2 at 2"
    assert module.missing({2: [4, 4]}) == ""
    assert list(module.preferences({2: [4, None], 3: [8, 8], 4: [16, 16]})) == [0]
    with pytest.raises(NotRun, match="no repetition of the sweep"):
        module.preferences({2: [None], 3: [8]})


def test_the_lowest_run_is_judged_and_the_typical_one_is_told() -> None:
    _, measure, _ = asked("SASA-04", load_suite("world:dictionary-groups"))
    (estimate,) = measure().values()
    assert {
        "features found to 5 degrees",
        "typical run: features found to 5 degrees",
    } <= estimate.details.keys()


def test_other_group_dictionaries_are_told_with_the_papers_own() -> None:
    measurement, measure, _ = asked("SASA-06", load_suite(SUBSPACES))
    found = measure()
    assert {name: e.n for name, e in found.items()} == {"groups": 12, "rank": 12}
    for part, estimate in found.items():
        assert estimate.details[f"{part}, {SUBSPACE}"] > 0
    assert str(measurement.bar_of("groups")) == "<= 1.25"
    assert str(measurement.bar_of("rank")) == "<= 0.5"


def test_a_published_covering_number_is_told_with_the_slope_of_a_basis() -> None:
    module = module_of("SASA-01")
    dims = (1, 2, 3, 4)
    assert module.slope(dims, [2**dim for dim in dims]) == pytest.approx(math.log(2))
    assert 0 < module.slope(dims, dims) < math.log(2)


def test_a_coefficient_is_chosen_on_the_first_seed_alone() -> None:
    module = module_of("SASA-07")
    decoders = module.as_trained(load_suite(SUBSPACES))
    found = {
        name: module.matches(seeds[0], module.effective_rank) for name, seeds in decoders.items()
    }
    errors = {name: module.error(matched, 0.0) for name, matched in found.items()}
    assert module.best(decoders, module.effective_rank, 0.0) == min(errors, key=errors.__getitem__)
    first = {name: seeds[:1] for name, seeds in decoders.items()}
    assert module.best(first, module.effective_rank, 0.0) == min(errors, key=errors.__getitem__)


@pytest.mark.parametrize("id", ["SASA-03", "SASA-04", "SASA-05", "SASA-07"])
def test_a_claim_draws_the_picture_that_decides_it(id: str) -> None:
    _, _, options = asked(id, load_suite(SUBSPACES))
    (figure,) = [figure for draw in options["figures"] for figure in draw({})]
    assert isinstance(figure, Figure)
    assert figure.series


def test_the_largest_run_is_drawn_and_so_is_the_planted_solution() -> None:
    figure = dictionary_figures.objectives({0: ([0.4, 0.2], 0.1), 1: ([0.3, 0.1], 0.1)})
    assert figure.series[0].y == pytest.approx((2.0, 4.0))
    assert figure.series[-1].y == (1.0, 1.0)


def test_claims_are_asked_of_the_suites_that_they_are_about() -> None:
    assert applies_to("SASA-05", SUBSPACES)
    assert not applies_to("SASA-05", "dyck3")
    assert not applies_to("PIR-04", SUBSPACES)
    assert applies_to("SASA-02", "world:points-axes")
    assert not applies_to("SASA-02", "world:samples-power")


def test_two_measurements_agree() -> None:
    for id, world in (("SASA-01", "points-axes"), ("SASA-04", "dictionary-elsewhere")):
        first, second = (asked(id, load_suite(f"world:{world}"))[1]() for _ in range(2))
        assert first == second
    assert torch.get_default_dtype() == torch.float32
