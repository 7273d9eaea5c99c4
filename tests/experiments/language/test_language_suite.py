"""Suites of language models: what they measure and what they refuse."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import planted_language
import pytest
import torch
import transformers
from planted_language import D, change, saved, write_images, write_independent

from polyrot.capabilities import controls as worlds
from polyrot.capabilities.autoencoder_training import NOISE
from polyrot.capabilities.steering import Steered
from polyrot.experiments.dyck.suite import DyckModels
from polyrot.experiments.language.activations import read_sites
from polyrot.experiments.language.checkpoints import Run, runs
from polyrot.experiments.language.suite import LanguageSuite
from polyrot.experiments.language.suite_file import Models
from polyrot.interventions.places import FINAL_NORM
from polyrot.models import hub, sources
from polyrot.models.hub import Checkpoint
from polyrot.sae.recipe import SAEConfig
from polyrot.sae.training import train_saes
from polyrot.suites.loading import load_suite, suite_provenance
from polyrot.verdict.run import NotRun


def load(file: Path) -> LanguageSuite:
    suite = load_suite(str(file))
    assert isinstance(suite, LanguageSuite)
    return suite


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def independent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_independent(tmp_path_factory.mktemp("independent"))


@pytest.fixture
def folder(independent: Path, tmp_path: Path) -> Path:
    """A copy of a suite's folder, to be damaged."""
    return shutil.copytree(independent.parent, tmp_path / "copy")


def changed(folder: Path, *changes: tuple[str, str], more: str = "") -> Path:
    """Change the suite file of a folder."""
    return change(folder / "independent.toml", *changes, more=more)


def reason(file: Path, use: Callable[[LanguageSuite], object] = lambda suite: None) -> str:
    """Why something is not run of a suite, read anew."""
    for known in (hub.architecture, hub.skeleton, hub.identity):
        known.cache_clear()
    with pytest.raises(NotRun) as raised:
        use(load(file))
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_suite_is_what_its_file_says(images: Path) -> None:
    suite = load(images)
    assert (suite.name, suite.seeds, suite.d_model) == ("planted", (1, 2, 3), D)
    assert suite.sites == ("resid_pre.0", "resid_post.0", "resid_post.1", "resid_post.2")
    assert suite.late_site == "resid_post.2"
    assert suite.data.analysis.shape == suite.data.sae.shape == (48, 16)
    assert not suite.shares_io
    assert suite.earlier == ("seed{seed}-half",)
    held = suite.activations.sequence[suite.held_out]
    assert len(held) == 12 * 16
    assert not torch.isin(held, suite.activations.sequence[~suite.held_out]).any()
    assert torch.equal(suite.component_tokens[1], suite.data.analysis[:8])


def test_the_seed_stands_wherever_a_file_puts_it(tmp_path: Path) -> None:
    entry = Models(
        seeds=[4, 7],
        hub="org/model-{seed}",
        revision="run{seed}",
        earlier=["step1", "run{seed}-half"],
        untrained="start{seed}",
    )
    place = "org/model-7"
    assert runs(entry, tmp_path)[1] == Run(
        7,
        Checkpoint(place, "run7"),
        (Checkpoint(place, "step1"), Checkpoint(place, "run7-half")),
        Checkpoint(place, "start7"),
    )
    entry = Models(seed=4, folder="last/{seed}", earlier=["half/{seed}"])
    last, half = (Checkpoint(str(tmp_path / name / "4")) for name in ("last", "half"))
    assert runs(entry, tmp_path) == [Run(4, last, (half,), None)]


@pytest.mark.seconds
def test_activations_are_the_models_own_at_every_stage_of_training(images: Path) -> None:
    suite = load(images)
    stages = {
        "": suite.activations,
        "-half": suite.earlier_activations(0),
        "-start": suite.untrained_activations,
    }
    for suffix, found in stages.items():
        for index, seed in enumerate(suite.seeds):
            place = Checkpoint(str(images.parent / f"seed{seed}{suffix}"))
            direct = read_sites(hub.load(place, torch.float32), suite.data.analysis, suite.sites)
            for site in suite.sites:
                expected = direct[site].flatten(0, 1)
                torch.testing.assert_close(found.at(site)[index], expected)
    before, after = (found.at("resid_post.0") for found in (stages["-half"], stages[""]))
    assert not torch.allclose(before, after, atol=0.01)


def test_without_untrained_checkpoints_they_are_drawn_each_from_its_seed(folder: Path) -> None:
    suite = load(folder / "independent.toml")
    drawn = hub.untrained(Checkpoint(str(folder / "seed2")), 2, torch.float32)
    expected = read_sites(drawn, suite.data.analysis, suite.sites)["resid_post.1"]
    found = suite.untrained_activations.at("resid_post.1")
    torch.testing.assert_close(found[1], expected.flatten(0, 1))
    assert not torch.allclose(found[0], found[1])


def test_the_author_s_variant_of_the_last_site_is_had_by_its_name(folder: Path) -> None:
    file = changed(
        folder, ("[tokens]", 'sites = ["resid_pre.0", "resid_pre.2", "final_norm"]\n[tokens]')
    )
    suite = load(file)
    assert suite.sites == ("resid_pre.0", "resid_post.1", FINAL_NORM)
    model = suite.language_model(2)
    with torch.inference_mode():
        hidden = model(input_ids=suite.data.analysis, output_hidden_states=True).hidden_states
    found = suite.activations.at(suite.late_site)[1]
    torch.testing.assert_close(found, hidden[-1].flatten(0, 1))


@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_some_sequences_are_held_out_and_some_are_not(folder: Path, share: float) -> None:
    suite = load(changed(folder, ("length = 16", f"length = 16\nheld_out = {share}")))
    held = suite.held_out.view(48, 16)
    assert torch.equal(held.all(1), held.any(1))
    assert int(held.all(1).sum()) == max(1, int(share * 48))


def test_a_few_small_models_stay_loaded_and_large_ones_go(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = load(folder / "independent.toml")
    assert suite.language_model(1) is suite.language_model(1)
    monkeypatch.setattr(sources, "KEPT_BYTES", 1)
    first = suite.language_model(1)
    suite.language_model(2)
    assert suite.language_model(1) is not first


def test_the_precision_of_weights_is_the_file_s(folder: Path) -> None:
    suite = load(changed(folder, ("[tokens]", 'dtype = "bfloat16"\n[tokens]')))
    assert next(suite.language_model(1).parameters()).dtype == torch.bfloat16
    assert suite.activations.at("resid_post.0").dtype == torch.float32
    whole = load(folder.parent / "copy" / "independent.toml").activations
    assert torch.equal(whole.at("resid_post.0"), suite.activations.at("resid_post.0"))


@pytest.mark.training
def test_autoencoders_are_trained_on_other_text_than_is_analysed(images: Path) -> None:
    suite = load(images)
    site = suite.late_site
    model = suite.language_model(2)
    data = read_sites(model, suite.data.sae, [site])[site].flatten(0, 1)
    for sae_seed in (0, suite.sae_seed(2)):
        recipe = SAEConfig(expansion=2, l1=1e-5, steps=5, batch=64, seed=sae_seed)
        (expected,) = train_saes([data], [recipe])
        torch.testing.assert_close(suite.sae(2, site, sae_seed).W_enc, expected.W_enc)
    assert suite.sae(2, site).metadata["seed"] == 0
    assert suite.sae(2, site, suite.sae_seed(2)).metadata["seed"] == 2
    other = suite.control_sae(1, site)
    assert not torch.equal(other.W_enc, suite.sae(2, site).W_enc)
    assert not torch.equal(other.W_enc, suite.control_sae(2, site).W_enc)
    noise = [suite.control_sae(index, NOISE).W_enc for index in range(3)]
    assert noise[0].shape == (D, 2 * D)
    assert not torch.equal(noise[0], noise[1])


def test_autoencoders_that_are_there_are_used(folder: Path) -> None:
    suite = load(folder / "independent.toml")
    site = suite.late_site
    for seed in suite.seeds:
        suite.sae(seed, site).save(folder / f"saes/{{x}}/{seed}/{site}/0")
    file = changed(folder, ("[sae]", '[sae]\nfolder = "saes/{x}/{seed}/{site}/{sae_seed}"'))
    given = load(file)
    assert torch.equal(given.sae(2, site).W_enc, suite.sae(2, site).W_enc)
    missing = f"saes/{{x}}/2/{site}/2"
    said = reason(file, lambda suite: suite.sae(2, site, 2))
    assert said.startswith("sae.folder: ")
    assert missing in said
    changed(folder, ("/{sae_seed}", "/0"))
    assert reason(file, lambda suite: suite.sae(2, site, 2)) == (
        "sae.folder names one autoencoder of each model; put {sae_seed} into it if there "
        "are others (0 for the shared seed, then 1, 2, ... for the models in order)"
    )


def test_an_autoencoder_of_another_width_is_not_run(folder: Path) -> None:
    narrow = train_saes([torch.randn(64, 8)], [SAEConfig(expansion=2, steps=1, batch=8)])[0]
    narrow.save(folder / "saes/1/resid_post.2")
    file = changed(folder, ("[sae]", '[sae]\nfolder = "saes/{seed}/{site}"'))
    assert reason(file, lambda suite: suite.sae(1, suite.late_site)) == (
        f"sae.folder: {folder}/saes/1/resid_post.2 has d_model 8 but the models of "
        "independent have d_model 32"
    )


def saved_as(folder: Path, name: str, **changes: Any) -> None:
    shutil.rmtree(folder / name, ignore_errors=True)
    saved(planted_language.llama(5, **changes), folder / name)


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


def test_provenance_covers_all_that_a_file_names(folder: Path) -> None:
    shutil.copytree(folder / "seed3", folder / "half")
    file = changed(
        folder,
        ("seeds = [1, 2, 3]", "seed = 1"),
        ("seed{seed}", "seed1"),
        more='earlier = ["half"]\n[[models]]\nseed = 2\nfolder = "seed2"\nearlier = ["half"]\n',
    )

    def provenance() -> str:
        from polyrot.experiments.language import loading

        hub.identity.cache_clear()
        loading.provenance.cache_clear()
        return json.dumps(suite_provenance(str(file)))

    known = {provenance()}
    for name in ("text.txt", "toward.txt", "half/config.json", "seed2/config.json", file.name):
        (folder / name).write_text((folder / name).read_text() + "\n")
        known.add(provenance())
    assert len(known) == 6
    shutil.rmtree(folder / "half")
    assert provenance() not in known
    # Reports are published: no paths of a machine.
    assert str(folder) not in provenance()


def test_the_rotation_explains_images_and_not_models_drawn_apart(
    images: Path, independent: Path
) -> None:
    """The truth is planted: three bases of one model, or three models."""
    same, apart = load(images), load(independent)
    for site, estimate in same.each_site(lambda pair: pair.alignment.ev).items():
        assert estimate.low > 0.9999, site
    for site, estimate in apart.each_site(lambda pair: pair.alignment.ev).items():
        assert estimate.high < 0.5, site
    for site, estimate in same.each_site(lambda pair: pair.alignment.ev, worlds.untrained).items():
        assert estimate.high < 0.5, site
