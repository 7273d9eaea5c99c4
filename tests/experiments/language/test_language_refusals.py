"""Suites of language models: what they refuse, and how they say it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import planted_language
import pytest
import transformers
from language_suites import changed, load, reason, saved_as
from planted_language import D, saved

from polyrot.capabilities.steering import Steered
from polyrot.errors import NotRun
from polyrot.experiments.dyck.suite import DyckModels
from polyrot.experiments.language.suite import LanguageSuite
from polyrot.suites.loading import suite_provenance


def test_models_of_several_widths_are_not_run(folder: Path) -> None:
    saved_as(folder, "seed2", hidden_size=16)
    expected = "the models of independent differ in width (seed 1: 32, seed 2: 16, seed 3: 32)"
    for use in (lambda s: s.d_model, lambda s: s.activations, lambda s: s.sae(1, s.late_site)):
        assert reason(folder / "independent.toml", use).startswith(expected)


def test_a_model_of_another_family_is_not_run_before_any_weights_are_read(folder: Path) -> None:
    shutil.rmtree(folder / "seed3")
    transformers.MambaConfig(hidden_size=D, num_hidden_layers=1).save_pretrained(folder / "seed3")
    assert reason(folder / "independent.toml") == (
        f"{folder}/seed3 is a MambaForCausalLM; supported model families are GPT-NeoX, GPT-2, Llama"
    )


def test_a_folder_that_is_missing_is_named(folder: Path) -> None:
    shutil.rmtree(folder / "seed3")
    said = reason(folder / "independent.toml")
    assert said == f"there is no folder {folder}/seed3; give one written by save_pretrained"


def test_what_was_not_trained_here_is_named(folder: Path) -> None:
    file = changed(folder, ('folder = "seed{seed}"', 'artifact = "made"'))
    assert reason(file).startswith(f"there is no folder {folder}/made/seed1")
    shutil.copytree(folder / "seed1", folder / "made" / "seed1-half-way")
    for seed in (1, 2, 3):
        shutil.copytree(folder / f"seed{seed}", folder / f"made/seed{seed}")
    suite = load(file)
    assert suite.d_model == D
    assert "no earlier checkpoints" in reason(file, lambda suite: suite.earlier_activations(0))


@pytest.mark.seconds
def test_models_of_several_vocabularies_run_on_tokens_that_all_know(folder: Path) -> None:
    # Published models pad their vocabularies: some to more than others.
    saved(planted_language.llama(5, vocab_size=600), folder / "seed2")
    assert load(folder / "independent.toml").activations.at("resid_pre.0").shape[0] == 3
    saved_as(folder, "seed2", vocab_size=300)
    said = reason(folder / "independent.toml", lambda suite: suite.data)
    assert said.startswith("tokens holds the token ")
    assert said.endswith(f"{folder}/seed2 knows only 300; give tokens of its tokenizer")


def test_tokens_beyond_a_vocabulary_are_not_run(folder: Path) -> None:
    ids = np.arange(100 * 16).reshape(100, 16) % 513
    np.save(folder / "ids.npy", ids)
    file = changed(folder, ('files = ["text.txt"]', 'file = "ids.npy"'))
    assert reason(file, lambda suite: suite.activations) == (
        f"tokens holds the token 512 but {folder}/seed1 knows only 512; give tokens of its "
        "tokenizer"
    )


def test_sequences_longer_than_a_model_takes_are_not_run(folder: Path) -> None:
    file = changed(folder, ("length = 16", "length = 65"), ("sequences = 48", "sequences = 16"))
    assert reason(file, lambda suite: suite.data) == (
        f"tokens has sequences of 65 tokens but {folder}/seed1 takes 64; lower tokens.length"
    )


def test_without_a_tokenizer_or_text_the_mend_is_said(folder: Path) -> None:
    file = folder / "independent.toml"
    (folder / "seed1" / "tokenizer.json").unlink()
    (folder / "seed1" / "tokenizer_config.json").unlink(missing_ok=True)
    said = reason(file, lambda suite: suite.data)
    assert said.startswith(
        f"tokens.tokenizer: {folder}/seed1 has no tokenizer; save one there, name a folder as "
    )
    changed(folder, ("[tokens]", '[tokens]\ntokenizer = "seed2"'))
    assert load(file).data.analysis.shape == (48, 16)
    changed(folder, ("sequences = 48", "sequences = 4800"))
    assert "but 9600 are needed" in reason(file, lambda suite: suite.data)


def test_what_is_missing_is_looked_for_once(folder: Path) -> None:
    """A hub that does not answer is tried for half a minute."""
    file = changed(folder, ("text.txt", "late.txt"))
    suite = load(file)
    for _ in range(2):
        with pytest.raises(NotRun, match="no file matches"):
            _ = suite.data
        shutil.copy(folder / "text.txt", folder / "late.txt")
    assert load(file).data.analysis.shape == (48, 16)


def test_sites_that_no_model_has_are_not_run(folder: Path) -> None:
    file = changed(folder, ("[tokens]", 'sites = ["resid_post.1", "resid_post.3"]\n[tokens]'))
    assert reason(file) == (
        "sites: independent has no resid_post.3; it has resid_pre.0, resid_post.0, resid_post.1, "
        "resid_post.2 and final_norm"
    )


def test_the_sites_of_a_suite_are_those_that_all_its_models_have(folder: Path) -> None:
    saved_as(folder, "seed3", num_hidden_layers=1)
    assert load(folder / "independent.toml").sites == ("resid_pre.0", "resid_post.0")


CONTROLS = '\n[[controls]]\nseeds = [1, 2, 3]\nfolder = "other{seed}"\n'


def late_control(suite: LanguageSuite) -> object:
    return suite.control_sae(2, suite.late_site)


@pytest.mark.seconds
def test_controls_that_are_missing_or_few_are_not_run(folder: Path) -> None:
    file = folder / "independent.toml"
    mend = (
        "models of another task; give some as [[controls]], equal in number and width to its models"
    )
    assert reason(file, late_control) == f"independent names no {mend}"
    for seed in (1, 2, 3):
        saved_as(folder, f"other{seed}")
    changed(folder, more=CONTROLS.replace("[1, 2, 3]", "[1, 2]"))
    assert reason(file, late_control) == f"independent names 2 {mend}"
    changed(folder, ('seeds = [1, 2]\nfolder = "other', 'seeds = [1, 2, 3]\nfolder = "other'))
    late_control(load(file))
    assert suite_provenance(str(file))["controls"].keys() == {"1", "2", "3"}
    saved_as(folder, "other4", hidden_size=16)
    more_than_models = load(
        changed(folder, ('[1, 2, 3]\nfolder = "other', '[1, 2, 3, 4]\nfolder = "other'))
    )
    late_control(more_than_models)  # the fourth is not wanted


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 16}, "has width 16 but the models of independent have 32"),
        ({"num_hidden_layers": 2}, "has no resid_post.2, where independent is measured; list"),
        ({"vocab_size": 300}, "knows only 300; give tokens of its tokenizer"),
        ({"max_position_embeddings": 8}, "takes 8; lower tokens.length"),
    ],
)
@pytest.mark.seconds
def test_other_checkpoints_must_be_as_the_models_are(
    folder: Path, changes: dict[str, int], message: str
) -> None:
    """Models of another task, earlier checkpoints, and checkpoints before training."""
    for seed in (1, 2, 3):
        saved_as(folder, f"other{seed}", **changes)
    more = 'earlier = ["other{seed}"]\nuntrained = "other{seed}"\n' + CONTROLS
    file = changed(folder, more=more)
    uses: list[Callable[[LanguageSuite], object]] = [
        late_control,
        lambda suite: suite.earlier_activations(0),
        lambda suite: suite.untrained_activations,
    ]
    for use in uses:
        said = reason(file, use)
        assert f"{folder}/other1" in said
        assert message in said
    # What needs none of them runs.
    assert load(file).activations.at("resid_post.2").shape == (3, 48 * 16, D)


def test_without_earlier_checkpoints_the_mend_is_said(folder: Path) -> None:
    assert reason(folder / "independent.toml", lambda s: s.checkpoint_pairs(s.late_site)) == (
        "independent has no earlier checkpoints of its models; name them as models.earlier in the "
        "suite file"
    )


def test_a_claim_about_another_task_is_not_run(folder: Path) -> None:
    said = reason(folder / "independent.toml", lambda suite: suite.get(DyckModels))
    assert said == (
        "independent has no models of the Dyck-3 task; "
        "run it with --suite dyck3 or dyck3-independent"
    )


@pytest.mark.parametrize("site", ["final_norm", "resid_post.0"])
def test_steering_acts_in_the_residual_stream_alone(folder: Path, site: str) -> None:
    file = changed(
        folder,
        ("[tokens]", 'sites = ["resid_pre.0", "resid_post.1", "final_norm"]\n[tokens]'),
        ("[steering]", f'[steering]\nsite = "{site}"'),
    )
    expected = f"steering.site: expected one of resid_pre.0, resid_post.1 but got {site}"
    assert reason(file, lambda suite: suite.get(Steered)) == expected
