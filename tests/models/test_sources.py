"""Models by where they come from: loaded once a process, within what may stay loaded."""

from pathlib import Path

import planted_language
import pytest
import torch

from polyrot.models import sources as module
from polyrot.models.hub import Checkpoint
from polyrot.models.sources import ModelSource, loaded


def source(folder: Path, seed: int, drawn: int | None = None) -> ModelSource:
    planted_language.saved(planted_language.neox(seed), folder)
    return ModelSource(Checkpoint(str(folder)), torch.float32, drawn=drawn)


@pytest.fixture(autouse=True)
def _nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_kept", {})


@pytest.fixture
def three(tmp_path: Path) -> list[ModelSource]:
    return [source(tmp_path / str(seed), seed) for seed in (1, 2, 3)]


def test_a_model_is_loaded_once(three: list[ModelSource]) -> None:
    a, b = loaded(three[:2])
    assert loaded([three[1]]) == [b]
    assert loaded(three[:2]) == [a, b]
    assert loaded([three[0], three[0]]) == [a, a]
    assert not torch.equal(a.get_output_embeddings().weight, b.get_output_embeddings().weight)


def test_what_was_unused_for_longest_goes_first(
    three: list[ModelSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_BYTES", 2 * three[0].bytes)
    a, b = loaded(three[:2])
    assert loaded([three[0]]) == [a]
    (c,) = loaded([three[2]])
    assert list(module._kept.values()) == [a, c]
    assert loaded(three[:1]) == [a]
    assert loaded([three[1]]) != [b]


def test_what_is_asked_for_together_is_held_together(
    three: list[ModelSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_BYTES", 0)
    assert len({id(model) for model in loaded(three)}) == 3
    (last,) = loaded(three[2:])
    assert list(module._kept.values()) == [last]


def test_weights_that_were_written_anew_are_loaded_anew(tmp_path: Path) -> None:
    first = source(tmp_path, 1)
    (before,) = loaded([first])
    source(tmp_path, 2)
    (after,) = loaded([first])
    assert not torch.equal(
        before.get_output_embeddings().weight, after.get_output_embeddings().weight
    )


def test_a_source_says_what_it_takes_and_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = source(tmp_path / "model", 1)
    (model,) = loaded([own])
    assert own.bytes == sum(p.numel() * 4 for p in model.parameters())
    monkeypatch.chdir(tmp_path)
    relative = ModelSource(Checkpoint("model"), torch.float32)
    assert relative.anywhere.checkpoint == own.checkpoint
    hub = ModelSource(Checkpoint("some/model", "main"), torch.float32)
    assert hub.anywhere == hub


def test_a_drawn_model_is_that_of_its_seed(tmp_path: Path) -> None:
    drawn = source(tmp_path, 1, drawn=5)
    trained = ModelSource(drawn.checkpoint, torch.float32)
    a, b = loaded([drawn, trained])
    again = drawn.load()
    for x, y in zip(a.parameters(), again.parameters(), strict=True):
        assert torch.equal(x, y)
    assert not torch.equal(a.get_output_embeddings().weight, b.get_output_embeddings().weight)
