"""Worlds of known truth made of Dyck models, and what each seed is measured on."""

import numpy as np
import pytest
import torch

import polyrot as pr
from polyrot.capabilities.pairs import Pair
from polyrot.experiments.dyck import boundary, components, controls, weights
from polyrot.experiments.dyck.suite import TrainedSuite
from polyrot.models.harvest import predict, real_labels
from polyrot.tasks import dyck


@pytest.fixture(scope="module")
def independent() -> TrainedSuite:
    suite = pr.load_suite("dyck3-independent")
    assert isinstance(suite, TrainedSuite)
    return suite


def test_models_that_see_nothing_after_length_48_repeat_their_answer(
    independent: TrainedSuite,
) -> None:
    batch = dyck.sample_long(16, rng=np.random.default_rng(0))
    cut, whole = controls.cut_answers(independent, batch)
    labels = real_labels(batch)["depth"]
    answers = predict(independent.models, batch)["depth"].argmax(-1)
    torch.testing.assert_close(whole, answers == labels)
    first = 0
    for length in batch.lengths.tolist():
        of_sequence = slice(first, first + length)
        torch.testing.assert_close(cut[:, of_sequence][:, :49], whole[:, of_sequence][:, :49])
        repeated = answers[:, first + 48 : first + 49] == labels[of_sequence][48:]
        torch.testing.assert_close(cut[:, of_sequence][:, 48:], repeated)
        first += length


def test_a_pair_of_one_cohort_is_beside_its_counterpart(independent: TrainedSuite) -> None:
    cohorts = boundary.as_trained(independent)
    both = boundary.stream_pairs(independent, cohorts, (100, 102), "resid_post.1")
    for pair in both:
        assert pair.seeds == (100, 102)
        assert pair.source.shape == pair.target.shape == (len(independent.held_out), 64)
    assert torch.equal(both[0].source, independent.activations.at("resid_post.1")[0])
    assert not torch.equal(both[1].source, both[0].source)
    free, _ = boundary.stream_pairs(independent, cohorts, (100, 102), "resid_post.1", free=True)
    fixed = len(independent.shared_coordinates)
    assert fixed > 0
    assert free.d_model == 64 - fixed


def test_worlds_of_cohorts_are_what_they_say(independent: TrainedSuite) -> None:
    def pairs(world: boundary.CohortWorld) -> tuple[Pair, Pair]:
        cohorts = world(independent)
        return boundary.stream_pairs(independent, cohorts, (100, 101), "resid_mid.0")

    same, as_well = pairs(boundary.against_itself)
    assert torch.equal(same.target, as_well.target)
    _, single = pairs(boundary.one_model)
    torch.testing.assert_close(single.source, single.target)
    _, shuffled = pairs(boundary.shuffled_tokens)
    assert shuffled.alignment.ev < 0.1
    rotated = boundary.rotated_bases(independent)
    batch = dyck.sample_short(8, rng=np.random.default_rng(0))
    for head, logits in predict(rotated.independent, batch).items():
        torch.testing.assert_close(
            logits, predict(rotated.shared, batch)[head], rtol=1e-3, atol=1e-3
        )


def test_every_seed_has_batches_of_its_own(
    independent: TrainedSuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(components, "EFFECT_SEQUENCES", 8)
    monkeypatch.setattr(components, "MEAN_SEQUENCES", 16)
    components.subject.cache_clear()
    counts = []
    for i, (model, means, batches) in enumerate(independent.batches()):
        assert model.seeds == 1
        assert torch.equal(model.weight("W_E")[0], independent.models.weight("W_E")[i])
        assert {mean.shape[0] for mean in means.values()} == {1}
        counts += [sum(inputs.counted for inputs in batch) for batch in batches]
    components.subject.cache_clear()
    assert len(counts) == 5 * components.BATCHES
    assert len(set(counts)) > components.BATCHES


def test_a_longer_unembedding_differs_by_what_was_planted(independent: TrainedSuite) -> None:
    pair = weights.scaled(independent, 100, 101)
    by_variance = weights.scaled_by_variance(independent, 100, 101)
    source = pair.source["W_U_tok"].double()
    planted = (pair.target["W_U_tok"].double() - source).square().mean()
    relative = (by_variance.target["W_U_tok"].double() - source).square().mean()
    assert float(planted) == pytest.approx(weights.PLANTED, rel=1e-4)
    assert float(relative / source.var(correction=0)) == pytest.approx(weights.PLANTED, rel=1e-4)
