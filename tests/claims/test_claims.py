"""Every claim seen to fail where it is false and to hold where it is true.

The measurements are those of the claim modules themselves, run on planted suites.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import planted_models
import pytest
from claim_runs import by_interval, claim_module, measured
from torch import Tensor

from polyrot.capabilities import steering
from polyrot.capabilities.steering import Steered, SteeringWorld
from polyrot.catalogue import load_module
from polyrot.experiments.dyck import components
from polyrot.experiments.dyck.steering import DyckSteered
from polyrot.interventions.steering import CONCEPTS, Concept
from polyrot.stats.average import average
from polyrot.stats.estimate import Estimate
from polyrot.suites.loading import load_suite
from polyrot.suites.registry import applies_to, world_name, worlds
from polyrot.suites.suite import Suite
from polyrot.symmetry import search
from polyrot.verdict.bar import Placement
from polyrot.verdict.judge import Verdict
from polyrot.verdict.record import Record, read_verdict
from polyrot.verdict.run import run

ROOT = Path(__file__).parents[2]
CLAIMS = ROOT / "claims" / "polymorphism"
HARDENED, PUBLISHED = "hardened", "published"


@pytest.fixture(autouse=True)
def few_sequences_and_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for worlds that are true or false by construction."""
    monkeypatch.setattr(components, "INTEGRATED_SEQUENCES", 4)
    monkeypatch.setattr(components, "EFFECT_SEQUENCES", 64)
    monkeypatch.setattr(components, "MEAN_SEQUENCES", 512)
    monkeypatch.setattr(search, "MAX_SWEEPS", 10)
    monkeypatch.setattr("polyrot.verdict.run.place_parts", by_interval)
    for id in ("PIR-01", "PIR-16", "PIR-19", "PIR-21"):
        monkeypatch.setattr(claim_module(id), "SEQUENCES", 64)


@lru_cache
def suite(make: Callable[..., Suite], *arguments: object, **options: object) -> Suite:
    return make(*arguments, **options)


def fooled(record: Record) -> set[str]:
    """Controls that did not do what they must, in any part."""
    return {c.name for part in record.parts for c in part.controls if not c.behaved}


def same_function() -> Suite:
    return suite(planted_models.same_function)


def different_functions() -> Suite:
    return suite(planted_models.different_functions)


def one_trained() -> Suite:
    return suite(planted_models.one_trained)


def one_trained_apart() -> Suite:
    return suite(planted_models.one_trained, shares_io=False)


def one_trained_rotated() -> Suite:
    return suite(planted_models.one_trained_rotated)


def nearly_linear() -> Suite:
    return suite(planted_models.nearly_linear)


def blind_to_depth() -> Suite:
    return suite(planted_models.blind_to_depth)


def rotated_cohort() -> Suite:
    return suite(planted_models.rotated_cohort)


def extrapolating() -> Suite:
    return suite(planted_models.extrapolating)


def not_extrapolating() -> Suite:
    return suite(planted_models.not_extrapolating)


def thirds_of_a_turn() -> Suite:
    return suite(planted_models.thirds_of_a_turn)


def aligned_in_part() -> Suite:
    return suite(planted_models.aligned_in_part)


TRUE = [
    ("PIR-01", PUBLISHED, same_function),
    ("PIR-01", HARDENED, same_function),
    ("PIR-12", HARDENED, one_trained_rotated),
    ("PIR-18", HARDENED, different_functions),
    ("PIR-19", HARDENED, one_trained),
    ("PIR-21", HARDENED, not_extrapolating),
]

FALSE = [
    ("PIR-01", PUBLISHED, different_functions),
    ("PIR-01", HARDENED, different_functions),
    ("PIR-11", HARDENED, one_trained),
    ("PIR-13", HARDENED, one_trained_apart),
    ("PIR-15", HARDENED, nearly_linear),
    ("PIR-16", HARDENED, different_functions),
    ("PIR-17", PUBLISHED, same_function),
    ("PIR-17", HARDENED, same_function),
    ("PIR-18", HARDENED, same_function),
    ("PIR-19", HARDENED, blind_to_depth),
    ("PIR-20", HARDENED, rotated_cohort),
    ("PIR-21", PUBLISHED, extrapolating),
    ("PIR-21", HARDENED, extrapolating),
]

# Where the published measurement cannot tell a true claim from a false one, a control
# must say so: no world makes these REPLICATED.
EXPOSED = [
    ("PIR-13", PUBLISHED, one_trained_rotated, {"random direction"}),
    ("PIR-15", PUBLISHED, one_trained, {"untrained seed"}),
    ("PIR-15", HARDENED, one_trained, {"untrained seed"}),
]


@pytest.mark.parametrize(("id", "which", "world"), TRUE)
def test_replicated_where_it_is_true(id: str, which: str, world: Callable[[], Suite]) -> None:
    record = measured(id, which, world())
    assert record.verdict is Verdict.REPLICATED, record.reason


@pytest.mark.parametrize(("id", "which", "world"), FALSE)
def test_refuted_where_it_is_false(id: str, which: str, world: Callable[[], Suite]) -> None:
    record = measured(id, which, world())
    assert record.verdict is Verdict.REFUTED, record.reason


@pytest.mark.parametrize(("id", "which", "world", "by"), EXPOSED)
def test_a_control_exposes_what_cannot_fail(
    id: str, which: str, world: Callable[[], Suite], by: set[str]
) -> None:
    record = measured(id, which, world())
    assert record.verdict is Verdict.VACUOUS
    assert fooled(record) == by


def test_the_search_as_released_takes_a_rotation_for_a_difference_of_weights() -> None:
    record = measured("PIR-20", PUBLISHED, rotated_cohort())
    by_name = {part.name: part for part in record.parts}
    as_released, repaired = (
        by_name[f"{which}, independent / shared"] for which in ("as released", "repaired")
    )
    turned, mended = (
        {c.name: c.estimate.value for c in part.controls}["shared, in rotated bases"]
        for part in (as_released, repaired)
    )
    # Their weights differ by symmetries alone.
    assert turned > 5 > mended


def test_every_direction_inverts_between_bases_that_point_apart() -> None:
    record = measured("PIR-13", HARDENED, thirds_of_a_turn())
    for part in record.parts:
        assert part.placement is Placement.INSIDE, part.reason


def test_weights_that_align_in_part_are_seen_to() -> None:
    record = measured("PIR-17", HARDENED, aligned_in_part())
    for part in record.parts:
        assert part.placement is Placement.INSIDE, part.reason


def test_seeds_short_of_the_papers_accuracy_decide_nothing_about_its_divergence() -> None:
    undertrained = planted_models.different_functions()
    undertrained.lowest_accuracy = 0.9998
    record = measured("PIR-01", PUBLISHED, undertrained)
    assert record.verdict is Verdict.INCONCLUSIVE
    assert "99.99%" in record.reason
    assert "99.980%" in record.reason


def test_steering_is_refuted_where_the_rotation_carries_nothing() -> None:
    module, steered = claim_module("PIR-12"), one_trained_rotated().get(Steered)
    for wrong in (steering.uncarried, steering.randomly_rotated):

        def measure(world: SteeringWorld = wrong) -> dict[str, Estimate]:
            return steered.each_concept(
                partial(module.smaller_share, steered, world), ordered=False
            )

        record = run(module.HARDENED, measure, suite="planted")
        assert record.verdict is Verdict.REFUTED, record.reason
        assert all(part.placement is Placement.OUTSIDE for part in record.parts)


def test_a_vector_that_moves_no_seed_as_it_asks_leaves_its_own_part_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    depth = next(concept for concept in CONCEPTS if concept.name == "depth")
    backwards = replace(depth, name="backwards", asked=lambda label: label - 1)
    monkeypatch.setattr(DyckSteered, "concepts", (depth, backwards))
    record = measured("PIR-12", HARDENED, one_trained_rotated())
    good, open_part = record.parts
    assert good.verdict is Verdict.REPLICATED
    assert open_part.verdict is Verdict.INCONCLUSIVE
    assert open_part.reason == (
        "no interval: in 10 of 10 pairs the target's own vector does not move its answers as it "
        "asks"
    )
    assert (record.verdict, record.reason) == (
        Verdict.INCONCLUSIVE,
        f"backwards: {open_part.reason}",
    )
    assert Record.from_json(record.to_json()).to_json() == record.to_json()


def test_one_unmoved_seed_takes_the_interval_and_leaves_the_other_shares(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on, smaller_share = one_trained_rotated(), claim_module("PIR-12").smaller_share
    concept_vectors = DyckSteered.concept_vectors

    def one_reversed(steered: DyckSteered, concept: Concept, *, held_out: bool) -> Tensor:
        vectors = concept_vectors(steered, concept, held_out=held_out).clone()
        vectors[3] *= -1
        return vectors

    depth = next(concept for concept in CONCEPTS if concept.name == "depth")
    concept = replace(depth, name="one reversed")
    monkeypatch.setattr(DyckSteered, "concepts", (concept,))
    monkeypatch.setattr(DyckSteered, "concept_vectors", one_reversed)
    steered = on.get(Steered)
    estimate = average(
        steered.pairs(ordered=False),
        lambda pair: smaller_share(steered, steering.carried, concept, pair),
    )
    assert estimate.method == (
        "no interval: in 4 of 10 pairs the target's own vector does not move its answers as it "
        "asks; the value is of the others"
    )
    assert (estimate.low, estimate.high, estimate.n) == (-math.inf, math.inf, len(on.seeds))
    # Of the 6 pairs without the reversed seed every one does as it is asked.
    assert estimate.value == pytest.approx(1, abs=1e-3)
    assert len(estimate.pairs) == 6
    assert not any("3" in pair for pair in estimate.pairs)
    assert sum(estimate.pairs.values()) / 6 == pytest.approx(estimate.value)
    assert min(estimate.pairs.values()) == estimate.details["lowest pair"]


def test_competitors_stand_beside_the_rotation() -> None:
    record = measured("PIR-05", HARDENED, load_suite(world_name("haar")))
    for part in record.parts:
        details = part.estimate.details
        assert details["permutation"] < part.estimate.value - 0.2
        assert details["identity"] < details["signed-permutation"]
        assert details["affine"] > 0.9


@pytest.mark.parametrize(
    "path", sorted(CLAIMS.parent.glob("*/*_[0-9][0-9]_*.py")), ids=lambda path: path.stem
)
def test_the_worlds_that_a_claim_names_exist_and_are_about_it(path: Path) -> None:
    claim = load_module(path).CLAIM
    named = {*claim.true_in, *claim.false_in}
    assert named <= worlds().keys()
    assert all(applies_to(claim.id, world_name(world)) for world in named)
    assert not set(claim.true_in) & set(claim.false_in)
    # What runs on activations alone has both a truth and an alternative to tell apart.
    assert bool(claim.true_in) == bool(claim.false_in)


@pytest.mark.parametrize("suite", ["dyck3", "dyck3-independent"])
def test_published_numbers_name_parts_that_are_measured(suite: str) -> None:
    records = read_verdict(ROOT / "reports" / suite / "verdict.json").records
    named = {
        (record.id, part)
        for record in records
        for printed in record.printed_numbers
        for part in printed.parts
    }
    measured = {(record.id, part.name) for record in records for part in record.parts}
    assert named
    assert named <= measured
