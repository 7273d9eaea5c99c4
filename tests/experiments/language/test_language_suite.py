"""Suites of language models: what they measure."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from language_suites import changed, load, reason
from planted_language import D

from polyrot.capabilities import controls as worlds
from polyrot.capabilities.autoencoder_training import NOISE
from polyrot.experiments.language.activations import read_sites
from polyrot.experiments.language.checkpoints import Run, runs
from polyrot.experiments.language.suite_file import Models
from polyrot.interventions.places import FINAL_NORM
from polyrot.models import hub, sources
from polyrot.models.hub import Checkpoint
from polyrot.sae.recipe import SAEConfig
from polyrot.sae.training import train_saes
from polyrot.suites.loading import suite_provenance


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
