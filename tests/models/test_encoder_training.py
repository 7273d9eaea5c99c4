"""Encoder training: it learns, seeds do not couple, a killed run continues exactly."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from polyrot.models import encoder_training, resumable
from polyrot.models.encoder import EncoderConfig, PlainEncoder, StackedEncoder, initial_state
from polyrot.models.encoder_training import (
    EncoderTraining,
    Examples,
    History,
    accuracy,
    kept_file,
    kept_states,
    predictions,
    train_encoders,
)
from polyrot.models.transformer import State, stack_states

CONFIG = EncoderConfig(d_model=16, heads=2, d_mlp=32, vocabulary=3, context=8)
SHORT = EncoderTraining(epochs=6, batch=8, learning_rate=1e-2, weight_decay=0.1, evaluate_every=2)


def counting(count: int, *, seed: int) -> Examples:
    """Each next number is one more, modulo three, or two more: the first two numbers tell."""
    rng = np.random.default_rng(seed)
    start, step = rng.integers(3, size=(count, 1)), rng.integers(1, 3, size=(count, 1))
    numbers = torch.from_numpy((start + step * np.arange(6)) % 3)
    return Examples(numbers[:, :-1], numbers[:, 2:])


TRAINING, HELD_OUT = counting(30, seed=0), counting(20, seed=1)


def epoch_of(what: str) -> int:
    """The epoch that a report of progress is of: `epoch 3 of 6  ...`."""
    return int(what.split()[1])


def stack(*seeds: int, config: EncoderConfig = CONFIG) -> StackedEncoder:
    return StackedEncoder(config, stack_states([initial_state(config, s) for s in seeds]))


def weights(model: StackedEncoder, seed: int) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in model.state(seed).values()])


def trained(
    checkpoint: Path, *seeds: int, config: EncoderTraining = SHORT, **options: object
) -> tuple[StackedEncoder, History]:
    model = stack(*seeds)
    return model, train_encoders(
        model, seeds, config, TRAINING, HELD_OUT, checkpoint=checkpoint, **options
    )


def without_key_bias(state: State) -> torch.Tensor:
    """All that has a gradient: a key's bias moves all scores of a row alike.

    Its gradient is a rounding error, which Adam makes as large a step of as of any other.
    """
    name, d = "layers.0.self_attn.in_proj_bias", CONFIG.d_model
    changed = state | {name: torch.cat([state[name][:d], state[name][2 * d :]])}
    return torch.cat([changed[name].flatten() for name in CONFIG.shapes()])


class Killed(Exception):
    pass


def test_a_tiny_cohort_learns(tmp_path: Path) -> None:
    config = replace(SHORT, epochs=20)
    before = accuracy(stack(0, 1), HELD_OUT)
    model, history = trained(tmp_path / "c.pt", 0, 1, config=config)
    assert float(before.max()) < 0.7
    assert history.epochs == list(range(2, 21, 2))
    assert min(history.held_out[-1]) == 1
    assert history.held_out[-1] == accuracy(model, HELD_OUT).tolist()
    assert history.training[-1] == accuracy(model, TRAINING).tolist()
    assert history.memorised == next(
        epoch for epoch, a in zip(history.epochs, history.training, strict=True) if min(a) >= 0.99
    )
    assert history.seconds > 0


def test_accuracy_is_of_the_last_positions(tmp_path: Path) -> None:
    model = stack(0, 1)
    logits, _ = model(HELD_OUT.tokens.expand(2, -1, -1))
    for answers in (4, 1):
        examples = Examples(HELD_OUT.tokens, HELD_OUT.targets[:, -answers:])
        right = logits[:, :, -answers:].argmax(-1) == examples.targets
        assert accuracy(model, examples).tolist() == pytest.approx(
            right.double().mean((1, 2)).tolist()
        )
        found = predictions(model, examples.tokens.expand(2, -1, -1), answers=answers)
        torch.testing.assert_close(found, logits[:, :, -answers:], rtol=0, atol=1e-6)


@pytest.mark.training
def test_a_seed_trains_the_same_in_any_stack(tmp_path: Path) -> None:
    together, history = trained(tmp_path / "together.pt", 3, 4, 5)
    for i, seed in enumerate((3, 4, 5)):
        alone, own = trained(tmp_path / f"{seed}.pt", seed)
        found, expected = (without_key_bias(m.state(k)) for m, k in ((together, i), (alone, 0)))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
        assert [a[i] for a in history.training] == [a[0] for a in own.training]
    assert not torch.allclose(weights(together, 0), weights(together, 1), atol=1e-2)


def test_a_step_is_adamw_on_the_mean_loss_of_pytorchs_model(tmp_path: Path) -> None:
    config = replace(SHORT, epochs=2)
    without_dropout = replace(CONFIG, dropout=0.0)
    model = stack(7, config=without_dropout)
    train_encoders(model, [7], config, TRAINING, HELD_OUT, checkpoint=tmp_path / "c.pt")
    plain = PlainEncoder(without_dropout)
    plain.load_state_dict(initial_state(without_dropout, 7))
    optimizer = torch.optim.AdamW(plain.parameters(), lr=1e-2, weight_decay=0.1)
    for epoch in (0, 1):
        order = np.random.Generator(np.random.SFC64([7, epoch])).permutation(30)
        for rows in torch.from_numpy(order).split(8):
            logits = plain(TRAINING.tokens[rows])[:, -4:]
            optimizer.zero_grad()
            F.cross_entropy(logits.flatten(0, 1), TRAINING.targets[rows].flatten()).backward()
            optimizer.step()
    found, expected = (without_key_bias(state) for state in (model.state(0), plain.state_dict()))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_an_epoch_shows_every_example_once_in_an_order_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbered = Examples(
        torch.cartesian_prod(*[torch.arange(3)] * 3), torch.zeros(27, 1, dtype=torch.int64)
    )
    shown: list[torch.Tensor] = []

    def spied(model: StackedEncoder, tokens: torch.Tensor, *, answers: int) -> torch.Tensor:
        if model.training and torch.is_grad_enabled():
            shown.append(tokens @ torch.tensor([9, 3, 1]))
        return predictions(model, tokens, answers=answers)

    monkeypatch.setattr(encoder_training, "predictions", spied)
    config = replace(SHORT, epochs=2)
    train_encoders(stack(0, 1), (0, 1), config, numbered, numbered, checkpoint=tmp_path / "c.pt")
    assert [batch.shape[1] for batch in shown] == [8, 8, 8, 3] * 2
    orders = [torch.cat(shown[4 * epoch : 4 * epoch + 4], dim=1) for epoch in (0, 1)]
    rows = [tuple(order[seed].tolist()) for order in orders for seed in (0, 1)]
    assert all(sorted(row) == list(range(27)) for row in rows)
    assert len({*rows, tuple(range(27))}) == 5


def test_a_killed_run_continues_where_it_stopped(tmp_path: Path) -> None:
    whole, expected = trained(tmp_path / "whole.pt", 0, 1)

    def kill(share: float, what: str) -> None:
        if epoch_of(what) == 3:
            raise Killed

    checkpoint = tmp_path / "broken.pt"
    with pytest.raises(Killed):
        trained(checkpoint, 0, 1, progress=kill)
    epochs: list[int] = []
    resumed, history = trained(
        checkpoint, 0, 1, progress=lambda share, what: epochs.append(epoch_of(what))
    )
    assert epochs == [4, 5, 6]
    for seed in (0, 1):
        assert torch.equal(weights(resumed, seed), weights(whole, seed))
    assert history.epochs == expected.epochs == [2, 4, 6]
    assert (history.training, history.held_out) == (expected.training, expected.held_out)


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_a_run_killed_within_an_epoch_makes_no_step_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    whole, _ = trained(tmp_path / "whole.pt", 0)
    monkeypatch.setattr(resumable, "CHECKPOINT_SECONDS", seconds)
    checkpoint = tmp_path / "broken.pt"

    def kill(*arguments: object) -> torch.Tensor:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(encoder_training, "accuracy", kill)  # after the second epoch's steps
        with pytest.raises(Killed):
            trained(checkpoint, 0)
    assert checkpoint.exists() == (seconds == 0)
    epochs: list[int] = []
    resumed, _ = trained(checkpoint, 0, progress=lambda share, what: epochs.append(epoch_of(what)))
    assert epochs == ([2, 3, 4, 5, 6] if seconds == 0 else [1, 2, 3, 4, 5, 6])
    assert torch.equal(weights(resumed, 0), weights(whole, 0))


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first, _ = trained(tmp_path / "c.pt", 0)
    epochs: list[int] = []
    again, history = trained(
        tmp_path / "c.pt", 0, progress=lambda share, what: epochs.append(epoch_of(what))
    )
    assert epochs == []
    assert torch.equal(weights(again, 0), weights(first, 0))
    assert history.epochs == [2, 4, 6]


def test_dropout_drops_its_share_and_scales_the_rest() -> None:
    drop = encoder_training._Dropout(0.1, [np.random.default_rng(0), np.random.default_rng(1)])
    for shape in ((2, 50, 40, 30), (2 * 50 * 4, 30, 30)):
        ones = torch.ones(shape)
        masked = drop(ones)
        dropped = float((masked == 0).double().mean())
        # Of 120,000 and more: four standard errors are 0.0035.
        assert dropped == pytest.approx(0.1, abs=0.0035)
        kept = masked[masked != 0]
        assert float(kept.min()) == float(kept.max()) == pytest.approx(1 / 0.9, rel=1e-4)
        assert float(masked.double().mean()) == pytest.approx(1, abs=0.004)
        assert not torch.equal(masked, drop(ones))


def test_dropout_masks_are_a_seeds_own_in_any_stack() -> None:
    def drop(seeds: tuple[int, ...]) -> encoder_training._Dropout:
        return encoder_training._Dropout(0.5, [np.random.default_rng(seed) for seed in seeds])

    x = torch.ones(3, 4, 5, 6)
    together, alone = drop((1, 2, 3)), drop((2,))
    for _ in range(2):
        masks = together(x)
        assert torch.equal(masks[1:2], alone(x[1:2]))
        assert not torch.equal(masks[0], masks[1])
    # What attention mixes has seeds and sequences on one axis.
    flat = together(torch.ones(3 * 8, 5, 5))
    assert torch.equal(flat[8:16], alone(torch.ones(8, 5, 5)))


def test_nothing_is_dropped_outside_training(tmp_path: Path) -> None:
    model, _ = trained(tmp_path / "c.pt", 0)
    x = torch.ones(2, 3)
    assert model.drop(x) is x
    dropped: list[int] = []

    def kill(share: float, what: str) -> None:
        dropped.append(int((model.drop(torch.ones(1, 10_000)) == 0).sum()))

    model = stack(0)
    train_encoders(
        model, [0], SHORT, TRAINING, HELD_OUT, checkpoint=tmp_path / "d.pt", progress=kill
    )
    assert dropped == [0] * 6


def test_without_dropout_another_model_is_trained(tmp_path: Path) -> None:
    with_dropout, _ = trained(tmp_path / "a.pt", 0)
    config = replace(CONFIG, dropout=0.0)
    without = stack(0, config=config)
    train_encoders(without, [0], SHORT, TRAINING, HELD_OUT, checkpoint=tmp_path / "b.pt")
    assert not torch.allclose(weights(with_dropout, 0), weights(without, 0), atol=1e-2)


@pytest.mark.training
def test_weights_are_kept_after_the_epochs_asked_for_the_milestones_and_the_last(
    tmp_path: Path,
) -> None:
    config = replace(SHORT, epochs=21, evaluate_every=2, keep=(1, 3, 40))
    checkpoint = tmp_path / "c.pt"
    seen: dict[int, list[torch.Tensor]] = {}
    model = stack(0, 1)

    def look(share: float, what: str) -> None:
        seen[epoch_of(what)] = [weights(model, i) for i in (0, 1)]

    history = train_encoders(
        model, (0, 1), config, TRAINING, HELD_OUT, checkpoint=checkpoint, progress=look
    )
    assert history.epochs == [*range(2, 21, 2), 21]
    assert history.memorised is not None
    assert history.grokked is not None
    epochs = {1, 3, history.memorised, history.grokked, 21}
    assert {p.name for p in tmp_path.iterdir()} == {
        "c.pt",
        *(f"c-epoch{epoch}.pt" for epoch in epochs),
    }
    for epoch in epochs:
        kept = kept_states(checkpoint, epoch)
        found = [torch.cat([t.flatten() for t in state.values()]) for state in kept]
        assert all(torch.equal(a, b) for a, b in zip(found, seen[epoch], strict=True))
        assert set(kept[0]) == set(CONFIG.shapes())


def test_milestones_are_the_first_at_which_every_seed_has_mastered() -> None:
    history = History(
        epochs=[5, 10, 15, 20],
        training=[[0.5, 1.0], [0.99, 0.995], [1.0, 1.0], [1.0, 1.0]],
        held_out=[[0.1, 0.1], [0.2, 1.0], [0.9899, 1.0], [1.0, 0.99]],
    )
    assert (history.memorised, history.grokked) == (10, 20)
    history.held_out[-1][1] = 0.98
    assert history.grokked is None
    assert History().memorised is None


def test_training_ends_where_every_seed_is_good_enough(tmp_path: Path) -> None:
    config = replace(SHORT, epochs=60, enough=0.9)
    checkpoint = tmp_path / "c.pt"
    _, history = trained(checkpoint, 0, 1, config=config)
    assert history.epochs[-1] < 60
    assert min(history.held_out[-1]) >= 0.9
    assert all(min(accuracies) < 0.9 for accuracies in history.held_out[:-1])
    assert kept_file(checkpoint, history.epochs[-1]).exists()
    epochs: list[int] = []
    trained(
        checkpoint, 0, 1, config=config, progress=lambda share, what: epochs.append(epoch_of(what))
    )
    assert epochs == []


def test_a_remark_is_of_the_worst_seed(tmp_path: Path) -> None:
    remarks: list[str] = []
    _, history = trained(
        tmp_path / "c.pt",
        0,
        1,
        progress=lambda share, what: remarks.append(what.partition("  ")[2]),
    )
    low, held_out = min(history.training[-1]), min(history.held_out[-1])
    assert remarks[0] == ""
    assert (
        remarks[-1] == f"lowest accuracy {low:.1%} on training, {held_out:.1%} on held-out examples"
    )
