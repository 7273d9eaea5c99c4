"""CORE-01 to CORE-10 seen to hold where they are true and to fail where they are false."""

from functools import lru_cache
from itertools import combinations

import claim_runs
import pytest
import torch

from polyrot import load_suite
from polyrot.cores.comparison import overlap
from polyrot.cores.extraction import extract
from polyrot.cores.gramians import affine
from polyrot.errors import NotRun
from polyrot.experiments.addition import figures
from polyrot.experiments.addition.models import END, GROKKED, MEMORISED, AdditionModels
from polyrot.experiments.addition.worlds import AdditionWorld
from polyrot.experiments.chains import controls, planted
from polyrot.experiments.chains.planted import D_MODEL, SEEDS
from polyrot.suites.registry import world_name
from polyrot.suites.suite import Suite
from polyrot.tasks import modular
from polyrot.verdict.judge import Verdict
from polyrot.verdict.record import Record

REPLICATED, REFUTED, VACUOUS = Verdict.REPLICATED, Verdict.REFUTED, Verdict.VACUOUS


@lru_cache(maxsize=4)  # a world of a chain has 325 MB
def measured(id: str, on: Suite, which: str = "hardened") -> Record:
    return claim_runs.measured(id, which, on)


@lru_cache(maxsize=2)
def world(name: str) -> Suite:
    return load_suite(world_name(name))


def part(record: Record, name: str):
    (found,) = (part for part in record.parts if part.name == name)
    return found


@pytest.mark.parametrize("id", ["CORE-02", "CORE-06"])
def test_claims_about_chains_are_drawn(id: str) -> None:
    assert not measured(id, world("chain-state")).not_drawn


@pytest.mark.parametrize(
    ("id", "name", "part_name"),
    [
        ("CORE-02", "chain-loud-voice", "core"),
        ("CORE-05", "chain-other-sequences", "first"),
        ("CORE-05", "chain-other-sequences", "third"),
        ("CORE-06", "chain-out-of-order", "0.75 +- 0.25i"),
        ("CORE-06", "chain-out-of-order", "0.50"),
        ("CORE-06", "chain-out-of-order", "R2"),
    ],
)
def test_claims_about_chains_fail_where_they_are_false(id: str, name: str, part_name: str) -> None:
    assert part(measured(id, world(name)), part_name).verdict is REFUTED


def test_a_common_shift_of_the_logits_lowers_r2_of_the_published_core_alone() -> None:
    voice = world("chain-loud-voice")
    assert part(measured("CORE-06", voice, "published"), "R2").estimate.value < 0.8
    assert part(measured("CORE-06", voice, "published"), "0.50").estimate.value < 0.01


def test_an_eigenvalue_of_zero_has_no_relative_error() -> None:
    with pytest.raises(NotRun, match="an eigenvalue of the chain is zero"):
        measured("CORE-06", world("chain-one-bit"))


def test_cores_kept_apart_are_told_from_random_ones() -> None:
    random = part(measured("CORE-04", world("chain-state")), "overlap").estimate
    assert random.value == pytest.approx(1, rel=0.3)
    assert random.details["overlap"] == pytest.approx(3 / D_MODEL, rel=0.3)
    apart = part(measured("CORE-04", world("chain-apart")), "overlap")
    assert apart.estimate.value < 0.01
    (control,) = (c for c in apart.controls if c.kind == "negative")
    assert control.estimate.value == pytest.approx(1, rel=0.05)


def test_the_published_overlap_is_met_by_random_subspaces_of_three_dimensions() -> None:
    record = measured("CORE-04", world("chain-apart"), "published")
    assert record.verdict is VACUOUS
    (control,) = (c for c in record.parts[0].controls if c.kind == "negative")
    assert control.estimate.value == pytest.approx(3 / D_MODEL, rel=0.05)


def test_without_common_shifts_three_dimensions_are_the_most_there_can_be() -> None:
    (found,) = measured("CORE-01", world("chain-state")).parts
    assert found.estimate.value == 0
    (untrained,) = (c for c in found.controls if c.name == "untrained model")
    assert untrained.placement == "inside"
    heard = measured("CORE-01", world("chain-hears-noise"))
    assert heard.parts[0].estimate.value == 0


def test_the_cores_of_planted_controls_are_those_that_were_planted() -> None:
    chains = world("chain-state")
    models = controls.planted_models(chains)
    for seed, core in enumerate(models.cores):
        known = planted.random_bases(controls.PLANTED, seed)[:, :3]
        assert overlap(core.basis(), known) > 0.99
    bases = controls.cores_apart(chains)[0]
    assert max(overlap(a, b) for a, b in combinations(bases, 2)) < 0.001
    many = [planted.bases_apart(controls.PLANTED, seed)[:, :3] for seed in range(30)]
    overlaps = [overlap(a, b) for a, b in combinations(many, 2)]
    assert sum(overlaps) / len(overlaps) < 0.5 * 3 / D_MODEL


def test_what_all_logits_hear_alike_is_no_part_of_the_core() -> None:
    loud, quiet = world("chain-loud-voice").models, world("chain-state").models
    assert [core.rank for core in loud.cores] == [4] * 5
    for own, other in zip(loud.without_common_shift.cores, quiet.cores, strict=True):
        assert own.rank == other.rank == 3
        assert overlap(own.basis(), other.basis()) > 0.9


def test_a_core_says_what_it_was_of() -> None:
    record = measured("CORE-01", world("chain-state"), "published")
    details = record.parts[0].estimate.details
    assert [details[f"rank of seed {seed}"] for seed in SEEDS] == [3] * 5
    assert details["energy of 3 directions"] == pytest.approx(1)
    assert [core.rank for core in world("chain-one-bit").models.cores] == [1] * 5


class ThatWasThereBefore(AdditionWorld):
    """As the models grok, so they are while they memorise."""

    def questions(self, checkpoint: str) -> AdditionModels:
        return super().questions(GROKKED if checkpoint == MEMORISED else checkpoint)


def test_a_core_that_forms_at_grokking() -> None:
    assert measured("CORE-07", world("addition-circles")).parts[0].estimate.value == 12
    by_heart = measured("CORE-07", world("addition-by-heart"))
    assert by_heart.parts[0].estimate.value >= 52
    (before,) = measured("CORE-07", ThatWasThereBefore("addition-circles")).parts
    (control,) = (c for c in before.controls if c.kind == "negative")
    assert control.estimate.value == 12
    assert control.placement == "inside"


def test_before_grokking_the_first_directions_pass_for_a_core_of_held_out_answers() -> None:
    models = world("addition-by-heart").questions(MEMORISED)
    held_out = ~modular.is_training()
    assert models.whole(0, held_out) < 0.05
    ranks = models.ranks(0, held_out)
    assert ranks.necessary == ranks.sufficient == ranks.energy


def test_a_cyclic_operator() -> None:
    for name in ("by-heart", "scattered-60"):
        record = measured("CORE-08", world(f"addition-{name}"))
        assert part(record, "R2").estimate.high < 0.99
        assert part(record, "ring share").estimate.high < 0.9
    # Points in 52 dimensions or more form a ring whatever they are: so do permuted answers.
    automatic = measured("CORE-08", world("addition-a-direction-each"), "published")
    for found in automatic.parts:
        assert found.estimate.value == pytest.approx(1)
        (permuted,) = (c for c in found.controls if c.name == "answers permuted")
        assert permuted.placement == "inside"


class ThatImproved(AdditionWorld):
    """Scattered at grokking, on circles by twice that epoch."""

    @property
    def after_grokking(self) -> list[AdditionModels]:
        return [world("addition-scattered-15").questions(GROKKED), *super().after_grokking]


def test_of_the_checkpoints_after_grokking_the_best_one_counts() -> None:
    record = measured("CORE-08", ThatImproved("addition-circles"))
    assert part(record, "ring share").estimate.value == 1
    assert part(record, "R2").estimate.value > 0.99


def test_a_core_that_inflates_under_decay_alone() -> None:
    still = measured("CORE-09", world("addition-circles"))
    assert [found.estimate.value for found in still.parts] == [1, 1]
    both = measured("CORE-09", world("addition-inflates-anyway"))
    assert [found.estimate.value for found in both.parts] == [2.5, 2.5]


def test_cores_and_means_can_be_of_held_out_questions_alone() -> None:
    models = world("addition-circles").questions(GROKKED)
    alone = models.from_held_out
    assert alone is models.from_held_out
    held_out = ~modular.is_training()
    expected = extract(
        models.activations[1, held_out], affine(models.weight[1], models.bias[1]), energy=0.99
    )
    assert torch.equal(alone.cores[1].weights, expected.weights)
    z = models.activations[1, held_out] @ expected.basis(12)
    answers = models.answers[held_out]
    assert torch.allclose(alone.means(1, 12)[7], z[answers == 7].mean(0))


@pytest.mark.parametrize(
    ("name", "power", "verdict"),
    [("inverse", -1, REPLICATED), ("root", -0.5, REFUTED), ("square", -2, REFUTED)],
)
def test_how_delays_go_with_the_decay(name: str, power: float, verdict: Verdict) -> None:
    record = measured("CORE-10", world(f"delay-{name}"))
    assert record.verdict is verdict, record.reason
    assert record.parts[0].estimate.value == pytest.approx(power, abs=0.05)
    assert record.parts[0].estimate.n == 12
    assert not record.not_drawn
    for estimate in [record.parts[0].estimate, *(c.estimate for c in record.parts[0].controls)]:
        assert {type(value) for value in estimate.details.values()} <= {int, float}  # for JSON


def test_where_repetitions_did_not_grok_nothing_is_decided() -> None:
    suite = load_suite(world_name("delay-inverse"))
    suite.delays[0.3][:5] = [None] * 5
    record = measured("CORE-10", suite)
    assert record.verdict is Verdict.INCONCLUSIVE
    assert "repetitions did not grok: 5 of 12 at 0.3" in record.reason
    (part,) = record.parts
    assert part.estimate.details["grokked at 0.3"] == 7
    assert part.estimate.n == 12


def test_a_sweep_that_never_grokked_is_not_run() -> None:
    suite = load_suite(world_name("delay-inverse"))
    suite.delays.update({decay: [None] * 12 for decay in suite.delays})
    with pytest.raises(NotRun, match="no repetition of the sweep grokked at three decays"):
        measured("CORE-10", suite)
    assert figures.delays(suite.delays) == []


class ThatForgot(AdditionWorld):
    """In the end it answers training questions alone."""

    def questions(self, checkpoint: str) -> AdditionModels:
        return super().questions(MEMORISED if checkpoint == END else checkpoint)


def test_a_model_that_does_not_answer_has_no_core_that_could_inflate() -> None:
    with pytest.raises(NotRun, match="no seed answers 99% of held-out questions at both times"):
        measured("CORE-09", ThatForgot("addition-circles"))
