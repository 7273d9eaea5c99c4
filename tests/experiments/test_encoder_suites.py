"""The suites of the cores paper: from their files, and what they are about."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from polyrot.capabilities import autoencoder_training
from polyrot.errors import NotRun
from polyrot.experiments.addition import suite as modular
from polyrot.experiments.addition import train as addition_train
from polyrot.experiments.addition.models import (
    CHECKPOINTS,
    END,
    END_WITHOUT_DECAY,
    AdditionModels,
)
from polyrot.experiments.chains import suite as markov
from polyrot.experiments.chains import train as chains_train
from polyrot.experiments.chains.models import ChainModels
from polyrot.models.encoder import StackedEncoder, initial_state
from polyrot.models.encoder_cohorts import ENCODER_COHORTS
from polyrot.models.transformer import stack_states
from polyrot.suites.artifacts import SHIPPED, Artifacts, MissingArtifact
from polyrot.suites.loading import load_suite, suite_provenance
from polyrot.suites.registry import applies_to
from polyrot.tasks.markov import ring
from polyrot.tasks.modular import is_training, questions


@pytest.fixture
def small_cohorts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings of seconds, of the same names."""
    for name, epochs in (("markov", 2), (modular.NAME, 3), ("modular-addition-without-decay", 4)):
        cohort = ENCODER_COHORTS[name]
        training = replace(
            cohort.training,
            epochs=epochs,
            evaluate_every=1,
            keep=(1, 2, 3, 4),
            first_epoch=min(1, cohort.training.first_epoch),
        )
        small = replace(cohort.architecture, d_model=8, heads=2, d_mlp=16)
        monkeypatch.setitem(
            ENCODER_COHORTS, name, replace(cohort, architecture=small, training=training)
        )
    recipe = replace(autoencoder_training.SAE_RECIPE, steps=3)
    monkeypatch.setattr(autoencoder_training, "SAE_RECIPE", recipe)
    monkeypatch.setattr(chains_train, "SAE_SEQUENCES", 64)


@pytest.mark.seconds
def test_the_shipped_models_predict_their_chain_as_well_as_can_be() -> None:
    suite = load_suite("markov")
    assert suite.seeds == (0, 100, 200, 300, 400)
    assert suite.sites == ("resid_mid.0", "resid_post.0")
    provenance = suite_provenance("markov")
    # Who knows the chain says that it stays, which it does three times of four.
    stays = ring(4).transition.diagonal()
    assert stays.tolist() == [0.75] * 4
    for accuracy in provenance["lowest accuracy"].values():
        assert accuracy == pytest.approx(0.75, abs=0.01)
    assert set(provenance["compared with"]) == {"markov-5", "markov-6", "markov-two-rows"}
    assert "seed0.safetensors" in provenance["artifacts"]
    for name in ("markov-5", "markov-6", "markov-two-rows"):
        manifest = json.loads((SHIPPED / name / "manifest.json").read_text())
        assert manifest["architecture"]["vocabulary"] == suite.models_of(name).chain.states


@pytest.mark.seconds
def test_activations_are_of_the_same_tokens_at_every_site() -> None:
    suite = load_suite("markov")
    tokens = len(suite.activations.sequence)
    assert tokens == markov.ANALYSIS_SEQUENCES * 31
    for site in suite.sites:
        assert suite.activations.at(site).shape == (5, tokens, 64)
    share = suite.held_out.double().mean()
    assert float(share) == pytest.approx(markov.HELD_OUT_SHARE)
    assert suite.sae(100, "resid_mid.0").d_model == 64
    with pytest.raises(NotRun, match="no autoencoder sae/seed0-resid_post.0-sae3"):
        suite.sae(0, "resid_post.0", 3)


@pytest.mark.seconds
def test_a_core_needs_no_more_than_its_tail() -> None:
    suite = load_suite("markov")
    core = suite.core(100)
    x = suite.activations.at("resid_post.0")[1, :50]
    kept = suite.tail(100)((x.double() @ core.basis(4) @ core.basis(4).mT).float())
    whole = suite.tail(100)(x)
    assert torch.equal(kept.argmax(1), whole.argmax(1))


def test_what_was_not_trained_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(MissingArtifact, match="polyrot train modular-addition"):
        load_suite("modular-addition", artifacts=tmp_path)
    with pytest.raises(MissingArtifact, match="no trained files of markov"):
        load_suite("markov", artifacts=tmp_path)
    assert suite_provenance("modular-addition", tmp_path)["artifacts"] == {}


@pytest.mark.usefixtures("small_cohorts")
def test_a_chain_is_trained_rounded_and_written(tmp_path: Path) -> None:
    steps: list[str] = []
    built = chains_train.build_encoder_suite(
        "markov",
        tmp_path / "markov",
        work=tmp_path,
        command="a test",
        progress=lambda share, what: steps.append(what),
    )
    assert Artifacts.open(tmp_path / "markov").manifest == json.loads(json.dumps(built.manifest))
    assert built.model(0)["lm_head.bias"].dtype == torch.float16
    assert len([file for file in built.hashes if file.endswith("sae_weights.safetensors")]) == 10
    assert {what.partition(":")[0] for what in steps} == {"markov"}
    suite = load_suite("markov", artifacts=tmp_path)
    assert suite.activations.at("resid_post.0").shape[-1] == 8
    with pytest.raises(NotRun, match="no trained files of markov-6"):
        suite.models_of("markov-6")


@pytest.mark.usefixtures("small_cohorts")
def test_addition_is_written_at_four_times(tmp_path: Path, monkeypatch) -> None:
    # So short a training masters nothing: call its second epoch grokking.
    from polyrot.models.encoder_training import History

    monkeypatch.setattr(History, "memorised", 1)
    monkeypatch.setattr(History, "grokked", 2)
    folder = tmp_path / modular.NAME
    addition_train.build_modular_suite(folder, work=tmp_path, command="a test")
    suite = load_suite(modular.NAME, artifacts=tmp_path)
    for checkpoint in CHECKPOINTS:
        models = suite.questions(checkpoint)
        assert models.activations.shape == (3, 53 * 53, 8)
    end, other = (suite.questions(t).weight for t in (END, END_WITHOUT_DECAY))
    assert not torch.equal(end, other)
    curves = suite.curves[modular.NAME]
    assert curves["accuracy"]["epoch"] == [1, 2, 3]
    assert curves["cores"]["epoch"] == [1, 2, 3]
    assert suite.curves["modular-addition-without-decay"]["accuracy"]["epoch"] == [2, 3, 4]
    (seed, *_) = curves["cores"]["seeds"][0]
    assert {"energy", "necessary", "sufficient", "R2", "R2 held out"} <= set(seed)
    assert suite.held_out.sum() == int(modular.HELD_OUT_SHARE * 53 * 53)
    assert suite.core(1).directions.shape == (8, 8)
    assert suite.sae(2, modular.SITE).d_model == 8
    with pytest.raises(NotRun, match="no trained files of grokking-sweep"):
        _ = suite.delays


@pytest.mark.usefixtures("small_cohorts")
def test_a_training_that_never_groks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="never reached 99%"):
        addition_train.build_modular_suite(tmp_path / "x", work=tmp_path, command="a test")


def test_states_are_those_that_the_unembedding_reads() -> None:
    config = ENCODER_COHORTS["markov"].architecture
    models = StackedEncoder(config, stack_states([initial_state(config, s) for s in (1, 2)]))
    chain = ChainModels.of(ring(4), models, sequences=8)
    states = ring(4).sample(8, seed=1_999)
    with torch.inference_mode():
        logits, _ = models(states[:, :-1].expand(2, -1, -1))
    right = (logits[1, chain.held_out].argmax(-1) == states[chain.held_out, 1:]).double().mean()
    assert chain.accuracy(1) == pytest.approx(float(right))
    assert chain.accuracy(1, lambda x: 0 * x) != chain.accuracy(1)


@pytest.mark.seconds
def test_questions_are_answered_as_the_models_answer_them() -> None:
    config = ENCODER_COHORTS[modular.NAME].architecture
    models = StackedEncoder(config, stack_states([initial_state(config, s) for s in (1, 2)]))
    asked = AdditionModels.of(models)
    with torch.inference_mode():
        logits, _ = models(questions().expand(2, -1, -1))
    right = logits[1, :, -1].argmax(-1) == asked.answers
    kept, removed = asked.accuracies(1, is_training())
    assert float(kept[-1]) == pytest.approx(float(right[is_training()].double().mean()))
    assert float(removed[-1]) <= 2 / 53


@pytest.mark.parametrize(
    ("claim", "suite", "about"),
    [
        ("CORE-01", "markov", True),
        ("CORE-07", "markov", False),
        ("PIR-05", "markov", True),
        ("PIR-01", "markov", False),
        ("CORE-01", "dyck3", False),
        ("X-01", "dyck3", True),
        ("X-01", "markov", True),
        ("X-02", "dyck3-independent", True),
        ("X-02", "markov", False),
        ("X-02", "world:haar", True),
        ("CORE-07", "modular-addition", True),
        ("CORE-11", "agreement", True),
        ("PIR-05", "agreement", False),
        ("CORE-11", "gpt2", True),
        ("SASA-08", "textlm", True),
        ("SASA-08", "gpt2-small", True),
        ("SASA-08", "dyck3", False),
        ("SASA-08", "world:haar", False),
        ("CORE-01", "world:haar", False),
        ("PIR-05", "world:haar", True),
        ("ETH-01", "markov", True),
        ("ETH-01", "world:haar", True),
        ("CORE-01", "published:somewhere", True),
    ],
)
def test_suites_are_about_their_claims(claim: str, suite: str, about: bool) -> None:
    assert applies_to(claim, suite) is about
