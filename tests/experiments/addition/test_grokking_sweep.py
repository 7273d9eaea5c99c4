"""The sweep of weight decays: what is trained, how delays are read, and its file."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from polyrot.experiments.addition import sweep
from polyrot.models import grokking_sweep
from polyrot.models.encoder_training import History
from polyrot.models.grokking_sweep import DECAYS, delays, sweep_cohort
from polyrot.suites.artifacts import MissingArtifact


def history() -> History:
    """The first repetition groks, the second does not, the others at once."""
    return History(
        epochs=[5, 10, 15, 20],
        training=[[0.5, 1.0] + [1.0] * 10, [1.0, 1.0] + [1.0] * 10] + [[1.0] * 12] * 2,
        held_out=[[0.0, 0.0] + [1.0] * 10] * 3 + [[0.99, 0.98] + [1.0] * 10],
        seconds=3.0,
    )


def test_a_delay_is_from_mastering_to_grokking_in_steps() -> None:
    # 1,404 training questions in batches of 512: three steps an epoch.
    assert delays(1.0, history()) == [30, None] + [15] * 10


def test_decays_differ_in_nothing_else() -> None:
    first, *others = (sweep_cohort(decay) for decay in DECAYS)
    assert (len(first.seeds), first.architecture.layers) == (12, 1)
    for decay, cohort in zip(DECAYS[1:], others, strict=True):
        assert cohort.training == replace(first.training, weight_decay=decay)
        assert (cohort.seeds, cohort.architecture) == (first.seeds, first.architecture)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    sweep.write_sweep(tmp_path, dict.fromkeys(DECAYS, history()), command="a test")
    read = sweep.read_sweep(tmp_path)
    assert list(read) == list(DECAYS)
    assert read[0.3] == delays(0.3, history())
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["training seconds"] == 18
    assert manifest["training"]["weight_decay"] == list(DECAYS)
    with pytest.raises(MissingArtifact, match="polyrot train"):
        sweep.read_sweep(tmp_path / "nothing")


@pytest.mark.training
def test_training_ends_once_every_repetition_has_grokked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(decay: float):
        cohort = sweep_cohort(decay)
        training = replace(cohort.training, epochs=4, evaluate_every=2, enough=-1.0)
        architecture = replace(cohort.architecture, d_model=8, heads=2, d_mlp=8)
        return replace(cohort, seeds=(0, 1), architecture=architecture, training=training)

    monkeypatch.setattr(grokking_sweep, "sweep_cohort", small)
    seen: list[str] = []
    found = grokking_sweep.train_sweep(
        directory=tmp_path, progress=lambda share, what: seen.append(what)
    )
    assert [history.epochs for history in found.values()] == [[2]] * 6
    assert seen[0].startswith("grokking-sweep-3: models, epoch 1 of 4")
    assert seen[-1].startswith("grokking-sweep-0.3: models, epoch 2 of 4")
