"""Training: it learns, seeds do not couple, a killed run continues exactly."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from polyrot.models import resumable, training
from polyrot.models.cohorts import Cohort, train_cohort
from polyrot.models.training import TrainingConfig, evaluate, train
from polyrot.models.transformer import (
    SHARED_IO,
    StackedTransformer,
    TransformerConfig,
    initial_state,
    stack_states,
)

CONFIG = TransformerConfig()
SHORT = TrainingConfig(
    steps=6, batch=16, length_buckets=2, evaluate_every=3, evaluate_sequences=16, bfloat16=False
)


def stack(*seeds: int) -> StackedTransformer:
    return StackedTransformer(CONFIG, stack_states([initial_state(CONFIG, s) for s in seeds]))


def weights(model: StackedTransformer, seed: int) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in model.state(seed).values()])


class Killed(Exception):
    pass


@pytest.mark.training
def test_a_tiny_cohort_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyrot.models.cohorts.FINAL_METRIC_SEQUENCES", 200)
    training = replace(SHORT, steps=150, batch=32, evaluate_every=75, evaluate_sequences=32)
    cohort = Cohort("tiny", seeds=(0, 1), shared_io=True, training=training)
    before = evaluate(stack(0), training, sequences=200, seed=0)[0]["train"]
    trained = train_cohort(cohort, directory=tmp_path)
    for seed in (0, 1):
        after = trained[seed].accuracy["train"]
        assert before["token"] < 0.2
        assert after["token"] > 0.9
        assert after["valid"] > 0.8
        assert after["depth"] > before["depth"] + 0.1
        assert trained[seed].best_step in (75, 150)
    for name in SHARED_IO:
        assert torch.equal(trained[0].best[name], trained[1].best[name])
    moved = [n for n in trained[0].best if not torch.equal(trained[0].best[n], trained[1].best[n])]
    assert len(moved) == len(trained[0].best) - len(SHARED_IO)


@pytest.mark.training
def test_a_seed_trains_the_same_in_any_stack(tmp_path: Path) -> None:
    # Clipping and batches are per seed; bucket widths may differ, rounding with them.
    alone, together = stack(3), stack(2, 3)
    train(alone, [3], SHORT, checkpoint=tmp_path / "alone.pt")
    train(together, [2, 3], SHORT, checkpoint=tmp_path / "together.pt")
    torch.testing.assert_close(weights(alone, 0), weights(together, 1), rtol=1e-3, atol=1e-4)
    assert not torch.allclose(weights(together, 0), weights(together, 1), atol=1e-2)


@pytest.mark.training
def test_a_killed_run_continues_where_it_stopped(tmp_path: Path) -> None:
    whole = stack(0)
    expected = train(whole, [0], SHORT, checkpoint=tmp_path / "whole.pt")

    def kill(share: float, what: str) -> None:
        if what.startswith("step 4 of 6"):
            raise Killed

    broken = stack(0)
    with pytest.raises(Killed):
        train(broken, [0], SHORT, checkpoint=tmp_path / "broken.pt", progress=kill)
    steps: list[int] = []
    resumed = stack(0)
    result = train(
        resumed,
        [0],
        SHORT,
        checkpoint=tmp_path / "broken.pt",
        progress=lambda share, what: steps.append(round(share * SHORT.steps)),
    )
    assert steps == [5, 6]
    assert torch.equal(weights(resumed, 0), weights(whole, 0))
    assert result.best_step == expected.best_step
    for name, tensor in expected.half_way[0].items():
        assert torch.equal(result.half_way[0][name], tensor)


@pytest.mark.training
def test_a_run_killed_within_an_update_makes_no_step_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = stack(0)
    train(whole, [0], SHORT, checkpoint=tmp_path / "whole.pt")
    steps = []

    def kill(*arguments: object) -> None:
        steps.append(1)
        if len(steps) == 4:
            raise Killed

    checkpoint = tmp_path / "broken.pt"
    monkeypatch.setattr(resumable, "CHECKPOINT_SECONDS", 0.0)
    handle = register_optimizer_step_post_hook(kill)
    try:
        with pytest.raises(Killed):
            train(stack(0), [0], SHORT, checkpoint=checkpoint)
    finally:
        handle.remove()
    resumed = stack(0)
    train(resumed, [0], SHORT, checkpoint=checkpoint)
    assert torch.equal(weights(resumed, 0), weights(whole, 0))


@pytest.mark.training
def test_a_run_killed_before_an_update_loses_no_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gradients = training._gradients
    checkpoint = tmp_path / "broken.pt"

    def kill(model: StackedTransformer, seeds: list[int], step: int, *more: object) -> float:
        loss = gradients(model, seeds, step, *more)
        if step == 4:
            raise Killed
        return loss

    with monkeypatch.context() as patch:
        patch.setattr(training, "_gradients", kill)
        with pytest.raises(Killed):
            train(stack(0), [0], SHORT, checkpoint=checkpoint)
    made: list[int] = []
    train(
        stack(0),
        [0],
        SHORT,
        checkpoint=checkpoint,
        progress=lambda share, what: made.append(round(share * SHORT.steps)),
    )
    assert made == [5, 6]


def test_the_rate_warms_up_and_falls_to_two_percent() -> None:
    config = TrainingConfig(steps=10_000)
    assert config.rate(0) == pytest.approx(3e-3 / 500)
    assert config.rate(500) == pytest.approx(3e-3)
    assert config.rate(9_999) == pytest.approx(0.02 * 3e-3, rel=1e-3)


def test_frozen_tensors_stay_and_the_rest_moves(tmp_path: Path) -> None:
    model = stack(0)
    model.freeze(SHARED_IO)
    before = model.state(0)
    train(model, [0], SHORT, checkpoint=tmp_path / "c.pt")
    after = model.state(0)
    for name in before:
        assert torch.equal(before[name], after[name]) == (name in SHARED_IO)


def test_two_back_is_another_task(tmp_path: Path) -> None:
    config = replace(SHORT, task="two-back")
    result = train(stack(0), [0], config, checkpoint=tmp_path / "c.pt")
    model = StackedTransformer(CONFIG, stack_states(result.best))
    assert set(evaluate(model, config, sequences=16, seed=0)[0]) == {"train"}
    assert set(evaluate(model, config, sequences=16, seed=0)[0]["train"]) == {"token"}


@pytest.mark.training
def test_the_last_steps_weights_are_kept_where_that_is_asked(tmp_path: Path) -> None:
    model = stack(0, 1)
    checkpoint = tmp_path / "last.pt"
    result = train(model, [0, 1], replace(SHORT, last=True), checkpoint=checkpoint)
    assert result.best_step == [SHORT.steps] * 2
    for i in (0, 1):
        assert all(torch.equal(result.best[i][n], t) for n, t in model.state(i).items())
