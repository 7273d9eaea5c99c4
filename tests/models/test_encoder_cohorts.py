"""Cohorts of encoders: what they are trained on, from which weights, by the papers' recipes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from polyrot.models import encoder_cohorts
from polyrot.models.encoder import EncoderConfig, initial_state
from polyrot.models.encoder_cohorts import (
    CHAINS,
    ENCODER_COHORTS,
    FORK_EPOCH,
    MODULAR,
    WITHOUT_DECAY,
    EncoderCohort,
    train_encoder_cohort,
)
from polyrot.models.encoder_training import (
    EncoderTraining,
    kept_states,
)

TINY = EncoderConfig(d_model=8, heads=2, d_mlp=8, vocabulary=53, context=2)


@pytest.fixture
def cohorts(monkeypatch: pytest.MonkeyPatch) -> tuple[EncoderCohort, EncoderCohort]:
    """Two tiny ones of modular addition; the second forks off after the first's second epoch."""
    training = EncoderTraining(
        epochs=3, batch=512, learning_rate=1e-2, weight_decay=1.0, evaluate_every=3, keep=(2,)
    )
    origin = EncoderCohort("tiny", (0, 1), TINY, training)
    fork = EncoderCohort(
        "fork", (0, 1), TINY, replace(training, epochs=4, first_epoch=2), fork_of="tiny"
    )
    monkeypatch.setattr(encoder_cohorts, "ENCODER_COHORTS", {"tiny": origin, "fork": fork})
    return origin, fork


def test_a_fork_starts_from_the_weights_it_forks_from(
    cohorts: tuple[EncoderCohort, EncoderCohort], tmp_path: Path
) -> None:
    origin, fork = cohorts
    with pytest.raises(FileNotFoundError, match="tiny-.*-epoch2.pt"):
        train_encoder_cohort(fork, directory=tmp_path)
    train_encoder_cohort(origin, directory=tmp_path)
    epochs: list[int] = []
    # Nothing moves where the rate is zero, decay included.
    still = replace(fork, training=replace(fork.training, learning_rate=0.0))
    history = train_encoder_cohort(
        still, directory=tmp_path, progress=lambda share, what: epochs.append(round(4 * share))
    )
    assert epochs == [3, 4]
    assert history.epochs == [3, 4]
    expected = kept_states(origin.checkpoint(tmp_path), 2)
    found = kept_states(still.checkpoint(tmp_path), 4)
    last = kept_states(origin.checkpoint(tmp_path), 3)
    for i in (0, 1):
        assert all(torch.equal(found[i][name], tensor) for name, tensor in expected[i].items())
        assert not all(torch.equal(last[i][name], tensor) for name, tensor in expected[i].items())


def test_a_cohort_starts_from_its_own_seeds_and_is_filed_by_what_determines_it(
    cohorts: tuple[EncoderCohort, EncoderCohort], tmp_path: Path
) -> None:
    origin, _ = cohorts
    still = replace(origin, seeds=(4, 9), training=replace(origin.training, learning_rate=0.0))
    train_encoder_cohort(still, directory=tmp_path)
    for seed, state in zip((4, 9), kept_states(still.checkpoint(tmp_path), 3), strict=True):
        expected = initial_state(TINY, seed)
        assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())
    variants = [
        origin,
        still,
        replace(origin, seeds=(0, 2)),
        replace(origin, architecture=replace(TINY, d_mlp=16)),
        replace(origin, training=replace(origin.training, epochs=4)),
        replace(origin, fork_of="fork"),
    ]
    assert len({variant.checkpoint(tmp_path) for variant in variants}) == len(variants)


@pytest.mark.parametrize("name", CHAINS)
def test_chains_are_predicted_at_every_position(name: str) -> None:
    training, held_out = encoder_cohorts.examples(name)
    for examples, seed in ((training, 0), (held_out, 999)):
        drawn = CHAINS[name].sample(3_000, seed=seed)
        assert torch.equal(examples.tokens, drawn[:, :31])
        assert torch.equal(examples.targets, drawn[:, 1:])
    assert ENCODER_COHORTS[name].architecture.vocabulary == CHAINS[name].states


@pytest.mark.parametrize("name", [MODULAR, WITHOUT_DECAY])
def test_sums_are_predicted_at_the_last_position(name: str) -> None:
    training, held_out = encoder_cohorts.examples(name)
    assert (len(training), len(held_out)) == (1_404, 1_405)
    asked = [tuple(pair) for e in (training, held_out) for pair in e.tokens.tolist()]
    assert sorted(asked) == [(a, b) for a in range(53) for b in range(53)]
    for examples in (training, held_out):
        assert torch.equal(examples.targets, examples.tokens.sum(1, keepdim=True) % 53)


def test_the_recipes_are_the_papers() -> None:
    chain, sums, fork = (ENCODER_COHORTS[name] for name in ("markov", MODULAR, WITHOUT_DECAY))
    assert chain.architecture == EncoderConfig(1, 64, 4, 256, 4, 64, 0.1)
    assert sums.architecture == EncoderConfig(2, 128, 4, 512, 53, 64, 0.1)
    for cohort, epochs, batch, rate, decay in (
        (chain, 40, 64, 1e-4, 0.0),
        (sums, 20_000, 512, 1e-3, 1.0),
        (fork, 20_000, 512, 1e-3, 0.0),
    ):
        own = cohort.training
        assert (own.epochs, own.batch, own.learning_rate) == (epochs, batch, rate)
        assert own.weight_decay == decay
    assert fork.training.first_epoch == FORK_EPOCH == 900
    assert FORK_EPOCH in ENCODER_COHORTS[fork.fork_of].training.keep
    assert fork.seeds == ENCODER_COHORTS[fork.fork_of].seeds
