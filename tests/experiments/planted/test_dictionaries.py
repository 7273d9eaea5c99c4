"""Suites of dictionaries: what is trained is written, read, and found again."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from polyrot.errors import NotRun
from polyrot.experiments.planted import samples as dictionary_samples
from polyrot.experiments.planted import suite as dictionaries
from polyrot.experiments.planted import train as dictionary_build
from polyrot.experiments.planted.constructed import planted_dictionary
from polyrot.experiments.planted.plan import (
    COEFFICIENTS,
    DIMENSIONS,
    FULL,
    RANKS,
    SHAPES,
    STARTS,
    SUBSPACE,
    SUBSPACES,
    Experiment,
    plan,
)
from polyrot.experiments.planted.samples import COUNTS, DEGREES
from polyrot.experiments.planted.suite import DictionarySuite
from polyrot.experiments.planted.train import build_dictionaries, weights_file
from polyrot.progress import silent
from polyrot.sae.activations import GroupTopK, JumpReLU, TopK
from polyrot.sae.metrics import squared_error
from polyrot.sae.recipe import BatchTopK, SAEConfig
from polyrot.suites.artifacts import MissingArtifact
from polyrot.suites.loading import load_suite, suite_provenance
from polyrot.suites.registry import train_suite
from polyrot.tasks.subspaces import Features, gaussian, random_bases


def features(seed: int) -> Features:
    bases = random_bases((2, 2), 8, seed, orthogonal=True)
    return Features(bases, (gaussian,) * 2, 1, (1.0, 1.0))


def small(name: str) -> dict[str, Experiment]:
    """Experiments of the same names, trained in a moment."""
    recipe = SAEConfig(columns=8, steps=4, batch=16, activation=GroupTopK(1, 2))
    batch = replace(recipe, activation=BatchTopK(2))
    return {
        SHAPES: Experiment(features, {SUBSPACE: recipe, "BatchTopK": batch}, (0, 1), 64),
        RANKS: Experiment(features, {"0": replace(recipe, steps=5)}, (0, 1), 64, decoders=True),
        STARTS: Experiment(features, {SUBSPACE: recipe}, (0, 1), 64, starts=3, polished=True),
    }


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (dictionary_build, dictionaries):
        monkeypatch.setattr(module, "plan", small)
    monkeypatch.setattr(
        dictionary_build, "samples_needed", lambda work, progress: {"2": [16, None]}
    )
    said: list[str] = []
    build_dictionaries(
        SUBSPACES,
        tmp_path / SUBSPACES,
        work=tmp_path,
        command="a test",
        progress=lambda share, what: said.append(what.rpartition(", ")[2]),
    )
    assert "trained earlier" not in said
    return tmp_path


def test_what_is_built_is_read(built: Path) -> None:
    suite = DictionarySuite(SUBSPACES, built / SUBSPACES)
    assert suite.seeds == (0, 1)
    first, second = suite.dictionaries(SHAPES, SUBSPACE)
    assert (first.seed, second.seed) == (0, 1)
    assert isinstance(first.sae.activation, GroupTopK)
    assert first.sae.W_dec.dtype == torch.float32
    assert torch.equal(first.sae.W_dec, first.sae.W_dec.half().float())
    assert not torch.equal(first.sae.W_dec, second.sae.W_dec)
    (batch, _) = suite.dictionaries(SHAPES, "BatchTopK")
    assert isinstance(batch.sae.activation, JumpReLU)
    assert suite.samples == {2: [16, None]}
    (decoder, _) = suite.decoders("0")
    assert decoder.blocks.shape == (4, 2, 8)
    assert torch.equal(
        first.held_out(9).x, suite.dictionaries(SHAPES, "BatchTopK")[0].held_out(9).x
    )
    with pytest.raises(NotRun, match="has no dimensions"):
        suite.dictionaries(DIMENSIONS, SUBSPACE)


def test_starts_are_by_seed_and_those_that_are_polished_start_at_the_planted_solution(
    built: Path,
) -> None:
    suite = DictionarySuite(SUBSPACES, built / SUBSPACES)
    assert [own.seed for own in suite.dictionaries(STARTS, SUBSPACE)] == [0, 0, 0, 1, 1, 1]
    for own in suite.dictionaries(STARTS, SUBSPACE, polished=True):
        planted = planted_dictionary(own.features, own.sae)
        x = own.held_out().x
        # Four small steps away: as good, and far better than where random weights get.
        assert squared_error(own.sae, x) < 1.2 * squared_error(planted, x)
    for own in suite.dictionaries(STARTS, SUBSPACE):
        assert squared_error(own.sae, own.held_out().x) > 0.1


def test_a_second_build_takes_what_was_trained(built: Path) -> None:
    said: list[str] = []
    before = (built / SUBSPACES / "manifest.json").read_text()
    build_dictionaries(
        SUBSPACES,
        built / SUBSPACES,
        work=built,
        command="a test",
        progress=lambda share, what: said.append(what.rpartition(", ")[2]),
    )
    assert set(said) == {"trained earlier"}
    after = (built / SUBSPACES / "manifest.json").read_text()
    assert json.loads(before)["files"] == json.loads(after)["files"]


def test_retraining_goes_to_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, built: Path
) -> None:
    monkeypatch.setenv("POLYROT_CACHE", str(tmp_path / "cache"))
    said: list[str] = []

    train_suite(
        SUBSPACES, command="a test", device="cpu", progress=lambda share, what: said.append(what)
    )
    assert (tmp_path / "cache/artifacts" / SUBSPACES / weights_file(RANKS, "0")).is_file()
    assert any("ranks, 0, step 5 of 5" in text for text in said)


def test_what_was_never_trained_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLYROT_CACHE", str(tmp_path))
    with pytest.raises(MissingArtifact, match="polyrot train subspaces-full"):
        load_suite(FULL)
    assert suite_provenance(FULL) == {"seeds": [], "artifacts": {}}


def test_the_shipped_dictionaries_are_those_of_the_plan() -> None:
    suite = load_suite(SUBSPACES)
    hashes = suite_provenance(SUBSPACES)["artifacts"]
    for title, experiment in plan(SUBSPACES).items():
        for arm, recipe in experiment.arms.items():
            assert weights_file(title, arm) in hashes
            if title == RANKS:
                assert len(suite.decoders(arm)) == len(experiment.seeds)
                continue
            own = suite.dictionaries(title, arm)
            assert len(own) == experiment.starts * len(experiment.seeds)
            assert own[0].sae.features == recipe.features(own[0].features.d_model)
    assert list(suite.samples) == list(dictionary_samples.DIMS)


def test_the_sizes_of_the_paper_are_there_to_be_trained() -> None:
    full = plan(FULL)
    assert full[DIMENSIONS].arms[SUBSPACE].columns == 4_096
    assert full[DIMENSIONS].features(0).dims == tuple(
        dim for dim in (1, 2, 3, 4, 6, 8, 12, 16) for _ in range(32)
    )
    assert full[DIMENSIONS].arms["TopK"].activation == TopK(64)
    assert full[RANKS].arms["100"].columns == 2_560
    assert list(full[RANKS].arms) == [f"{own:g}" for own in COEFFICIENTS]
    assert len(full[RANKS].features(0).bases) == 256


def test_fewer_tokens_are_looked_for_below_the_first_that_are_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[tuple[int, int]]] = []
    enough = {0: 100, 1: 17, 2: 10**6, 3: 16, 4: 1_000}

    def angles(dim, runs, work, progress):
        asked.append(list(runs))
        return [DEGREES if count >= enough[r] else DEGREES + 1 for r, count in runs]

    monkeypatch.setattr(dictionary_samples, "_angles", angles)
    monkeypatch.setattr(dictionary_samples, "REPETITIONS", len(enough))
    found = dictionary_samples._needed(2, tmp_path, silent)
    assert len(asked[0]) == len(enough) * len(COUNTS)
    # A number that is enough, and at most a quarter of an octave above the least, by rounding.
    assert found[2] is None
    for repetition, least in enough.items():
        if repetition != 2:
            assert least <= found[repetition] <= max(1.2 * least, COUNTS[0])


def test_the_angles_of_a_sweep_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        dictionary_samples, "RECIPE", replace(dictionary_samples.RECIPE, steps=2, batch=8)
    )
    said: list[str] = []
    runs = [(0, 16), (1, 32)]
    for _ in range(2):
        found = dictionary_samples._angles(2, runs, tmp_path, lambda share, what: said.append(what))
        assert len(found) == 2
        assert all(0 <= angle <= 90 for angle in found)
    assert said == ["step 1 of 2", "step 2 of 2", "trained earlier"]
