"""CORE-01 to CORE-10 seen to hold where they are true and to fail where they are false."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import planted_cores as planted
import pytest
from planted_cores import PlantedAddition, PlantedChains, PlantedDelays

from polyrot.catalogue import load_module
from polyrot.cores.comparison import overlap
from polyrot.missing import NotRun
from polyrot.suites import core_figures
from polyrot.suites.chains import ChainModels
from polyrot.suites.questions import cyclic
from polyrot.suites.suite import Suite
from polyrot.tasks.markov import ring
from polyrot.verdict.judge import Verdict
from polyrot.verdict.record import Record
from polyrot.verdict.run import run

CLAIMS = Path(__file__).parent.parent / "claims/cores"
REPLICATED, REFUTED, VACUOUS = Verdict.REPLICATED, Verdict.REFUTED, Verdict.VACUOUS


@lru_cache
def module_of(id: str):
    (path,) = CLAIMS.glob(f"{id.lower().replace('-', '_')}_*.py")
    return load_module(path)


@lru_cache
def measured(id: str, on: Suite, which: str = "hardened") -> Record:
    """Run a claim's own test function, with a judge that returns the record."""
    records = []

    def judge(measure: Callable[..., object], **options: object) -> None:
        measurement = getattr(module_of(id), which.upper())
        records.append(run(measurement, measure, suite="planted", **options))

    getattr(module_of(id), f"test_{which}")(on, judge)
    (record,) = records
    return record


@lru_cache
def chains(make: Callable[..., ChainModels], *arguments: object) -> PlantedChains:
    return PlantedChains(make(ring(4), *arguments))


def part(record: Record, name: str):
    (found,) = (part for part in record.parts if part.name == name)
    return found


@pytest.mark.parametrize("id", ["CORE-02", "CORE-03", "CORE-05", "CORE-06"])
def test_claims_about_chains_hold_of_models_that_know_the_state(id: str) -> None:
    record = measured(id, chains(planted.knows_the_state))
    assert record.verdict is REPLICATED, record.reason
    assert not record.not_drawn


@pytest.mark.parametrize(
    ("id", "make", "part_name"),
    [
        ("CORE-02", planted.needs_its_mean, "core"),
        ("CORE-02", planted.hears_a_loud_voice, "core"),
        ("CORE-03", planted.hears_a_loud_voice, "core"),
        ("CORE-05", planted.of_other_sequences, "first"),
        ("CORE-05", planted.of_other_sequences, "third"),
        ("CORE-06", planted.out_of_order, "0.75 +- 0.25i"),
        ("CORE-06", planted.out_of_order, "0.50"),
        ("CORE-06", planted.out_of_order, "R2"),
    ],
)
def test_claims_about_chains_fail_where_they_are_false(id: str, make, part_name: str) -> None:
    assert part(measured(id, chains(make)), part_name).verdict is REFUTED


def test_cores_kept_apart_are_told_from_random_ones() -> None:
    apart = chains(planted.knows_the_state, planted.disjoint_bases)
    assert measured("CORE-04", apart).verdict is REPLICATED
    random = measured("CORE-04", chains(planted.knows_the_state))
    assert random.verdict is REFUTED
    # 3 / 32 on average: above the published bar of 64 dimensions
    assert part(random, "overlap").estimate.details["mean overlap"] == pytest.approx(
        3 / 32, rel=0.3
    )


def test_the_published_overlap_of_random_subspaces_is_that_of_nothing() -> None:
    record = measured("CORE-04", chains(planted.knows_the_state), "published")
    (control,) = (c for c in record.parts[0].controls if c.name == "independent random subspaces")
    assert control.estimate.value == pytest.approx(3 / planted.D_MODEL, rel=0.3)


def test_three_dimensions_are_told_from_four() -> None:
    assert measured("CORE-01", chains(planted.knows_the_state), "published").verdict is REPLICATED
    assert measured("CORE-01", chains(planted.reads_noise_too), "published").verdict is REFUTED


def test_without_common_shifts_three_dimensions_are_the_most_there_can_be() -> None:
    record = measured("CORE-01", chains(planted.knows_the_state))
    assert record.verdict is VACUOUS
    assert "untrained model" in record.reason
    heard = measured("CORE-01", chains(planted.reads_noise_too))
    assert heard.parts[0].estimate.value == 1


def test_what_all_logits_hear_alike_is_no_part_of_the_core() -> None:
    loud = planted.hears_a_loud_voice(ring(4))
    assert [core.rank for core in loud.cores] == [4] * 5
    for own, quiet in zip(
        loud.without_common_shift.cores, planted.knows_the_state(ring(4)).cores, strict=True
    ):
        assert own.rank == quiet.rank == 3
        assert overlap(own.basis(), quiet.basis()) > 0.9


def test_a_core_says_what_it_was_of() -> None:
    record = measured("CORE-01", chains(planted.knows_the_state), "published")
    details = record.parts[0].estimate.details
    assert [details[f"rank of seed {seed}"] for seed in planted.SEEDS] == [3] * 5
    assert details["energy of 3 directions"] == pytest.approx(1)
    one_bit = planted.knows_one_bit()
    assert [core.rank for core in one_bit.cores] == [1] * 5


@lru_cache
def addition(**times) -> PlantedAddition:
    return PlantedAddition(**times)


def test_a_core_that_forms_at_grokking() -> None:
    assert measured("CORE-07", addition()).verdict is REPLICATED
    # As published nothing can fail: no held-out answer is right before.
    assert measured("CORE-07", addition(), "published").verdict is VACUOUS


def test_a_core_that_does_not_form_at_grokking() -> None:
    by_heart = PlantedAddition(grokked=planted.lookup(3))
    assert measured("CORE-07", by_heart).verdict is REFUTED


def test_a_core_that_was_there_before() -> None:
    assert measured("CORE-07", PlantedAddition(memorised=cyclic(3))).verdict is VACUOUS


def test_a_cyclic_operator() -> None:
    assert measured("CORE-08", addition()).verdict is REPLICATED
    # Points in 60 dimensions form a ring whatever they are.
    assert measured("CORE-08", addition(), "published").verdict is VACUOUS
    assert measured("CORE-08", PlantedAddition(grokked=planted.lookup(3))).verdict is REFUTED


def test_a_core_that_inflates_under_decay_alone() -> None:
    grown = PlantedAddition(end=cyclic(3, frequencies=15))
    assert measured("CORE-09", grown).verdict is REPLICATED
    still = measured("CORE-09", addition())
    assert part(still, "with weight decay").verdict is REFUTED
    assert part(still, "without weight decay").placement == "inside"
    both = PlantedAddition(
        end=cyclic(3, frequencies=15), end_without_decay=cyclic(3, frequencies=15)
    )
    assert part(measured("CORE-09", both), "without weight decay").verdict is REFUTED


@pytest.mark.parametrize(
    ("power", "verdict"), [(-1.0, REPLICATED), (-0.6, REFUTED), (-1.5, REFUTED), (0.0, REFUTED)]
)
def test_how_delays_go_with_the_decay(power: float, verdict: Verdict) -> None:
    record = measured("CORE-10", PlantedDelays(power))
    assert record.verdict is verdict, record.reason
    assert record.parts[0].estimate.value == pytest.approx(power, abs=0.05)
    assert record.parts[0].estimate.n == 12
    assert not record.not_drawn
    for estimate in [record.parts[0].estimate, *(c.estimate for c in record.parts[0].controls)]:
        assert {type(value) for value in estimate.details.values()} <= {int, float}  # for JSON


def test_where_repetitions_did_not_grok_nothing_is_decided() -> None:
    record = measured("CORE-10", PlantedDelays(-1.0, missing=5))
    assert record.verdict is Verdict.INCONCLUSIVE
    assert "repetitions did not grok: 5 of 12 at 0.3" in record.reason
    (part,) = record.parts
    assert part.estimate.details["grokked at 0.3"] == 7
    assert part.estimate.n == 12


def test_a_sweep_that_never_grokked_is_not_run() -> None:
    suite = PlantedDelays(-1.0)
    suite.delays = {decay: [None] * 12 for decay in suite.delays}
    with pytest.raises(NotRun, match="no repetition of the sweep grokked at three decays"):
        measured("CORE-10", suite)
    assert core_figures.delays(suite.delays) == []


def test_a_model_that_does_not_answer_has_no_core_that_could_inflate() -> None:
    forgot = PlantedAddition(end=planted.lookup(3))
    with pytest.raises(NotRun, match="no seed answers 99% of held-out questions at both times"):
        measured("CORE-09", forgot)
