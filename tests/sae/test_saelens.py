"""Autoencoders of the real SAELens: trained there, carried here, and read there again."""

import json
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from planted_saes import ACTIVATIONS, decided, normal, planted_sae
from safetensors.torch import load_file, save_file
from torch import Tensor

import polyrot as pr
from polyrot.sae.recipe import BatchTopK, LearnedThresholds, Rule, SAEConfig
from polyrot.sae.training import initial_weights, train_saes

with warnings.catch_warnings():
    # TransformerLens, which SAELens brings, imports a module that it has itself deprecated.
    warnings.filterwarnings("ignore", "The 'utils' module has been deprecated")
    import sae_lens
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.activation_scaler import ActivationScaler

D_IN, D_SAE, BATCH = 16, 64, 256
TRAINED = {
    "standard": (sae_lens.StandardTrainingSAE, sae_lens.StandardTrainingSAEConfig),
    "topk": (sae_lens.TopKTrainingSAE, sae_lens.TopKTrainingSAEConfig),
    "jumprelu": (sae_lens.JumpReLUTrainingSAE, sae_lens.JumpReLUTrainingSAEConfig),
    "batchtopk": (sae_lens.BatchTopKTrainingSAE, sae_lens.BatchTopKTrainingSAEConfig),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "standard": {"l1_coefficient": 0.5},
    "topk": {"k": 6},
    "jumprelu": {"l0_coefficient": 0.02, "jumprelu_bandwidth": 0.5},
    "batchtopk": {"k": 6},
}


def batches(seed: int) -> Iterator[Tensor]:
    """Sums of a few of 32 directions, about a mean that is not zero."""
    directions = normal(2 * D_IN, D_IN, seed=0)
    generator = torch.Generator().manual_seed(seed)
    while True:
        on = torch.rand(BATCH, 2 * D_IN, generator=generator) < 0.1
        yield (on * torch.rand(BATCH, 2 * D_IN, generator=generator)) @ directions + 1


def train(
    name: str, *, steps: int = 300, checkpoint: Path | None = None, **settings: Any
) -> sae_lens.TrainingSAE:
    """Train with SAELens's own trainer; leave a checkpoint of half way where asked to."""
    torch.manual_seed(0)
    model, config = TRAINED[name]
    sae = model(config(d_in=D_IN, d_sae=D_SAE, **SETTINGS[name], **settings))
    recipe = SAETrainerConfig(
        total_training_samples=steps * BATCH,
        train_batch_size_samples=BATCH,
        lr=5e-3,
        lr_end=5e-3,
        n_checkpoints=1 if checkpoint else 0,
        checkpoint_path=str(checkpoint) if checkpoint else None,
        n_batches_for_norm_estimate=10,
    )
    return sae_lens.SAETrainer(recipe, sae, batches(seed=1)).fit()


def assert_reads_alike(folder: Path, x: Tensor) -> pr.SAE:
    """SAELens and this library compute the same from the same directory, to 1e-5."""
    theirs, ours = sae_lens.SAE.load_from_disk(folder), pr.SAE.load(folder)
    x = decided(ours, x)
    with torch.no_grad():
        latents, reconstruction = theirs.encode(x), theirs(x)
    assert bool((latents > 0).any())
    torch.testing.assert_close(ours.encode(x), latents, rtol=0, atol=1e-5)
    torch.testing.assert_close(ours.decode(latents), reconstruction, rtol=0, atol=1e-5)
    return ours


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.training
def test_trained_there_carried_here_read_there(name: str, tmp_path: Path) -> None:
    train(name).save_inference_model(tmp_path / "trained")
    x = next(batches(seed=2))
    sae = assert_reads_alike(tmp_path / "trained", x)
    latents = sae.encode(x)
    assert pr.ev(sae.decode(latents), x) > 0.7
    assert 1 < float((latents > 0).sum(1).float().mean()) < D_SAE / 2
    # Its activation is no ornament: without it more features fire.
    without = replace(sae, activation=pr.ReLU()).encode(x)
    assert bool((without > 0).sum() > (latents > 0).sum()) == (name != "standard")

    y = x.double() @ pr.haar.sample(D_IN, seed=0, group="O") - 3
    fit = pr.align(x, y, group="O")
    carried = fit.carry_sae(sae)
    carried.save(tmp_path / "carried")
    assert_reads_alike(tmp_path / "carried", fit.apply(x).float())
    x = decided(sae, x)
    theirs = sae_lens.SAE.load_from_disk(tmp_path / "carried")
    with torch.no_grad():
        latents, reconstruction = theirs.encode(fit.apply(x)), theirs(fit.apply(x))
    torch.testing.assert_close(latents, sae.encode(x), rtol=0, atol=1e-5)
    by_rotation = fit.apply(sae.decode(sae.encode(x))).float()
    torch.testing.assert_close(reconstruction, by_rotation, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["standard", "topk", "jumprelu"])
def test_a_directory_written_in_the_midst_of_training_is_read(name: str, tmp_path: Path) -> None:
    trained = train(name, steps=50)
    trained.save_model(tmp_path)
    # There a TopK autoencoder still has the norms of its decoder, and selects by them.
    norms = trained.W_dec.norm(dim=1)
    assert not torch.allclose(norms, torch.ones_like(norms), atol=0.1)
    assert_reads_alike(tmp_path, next(batches(seed=2)))


@pytest.mark.parametrize("name", ["standard", "topk"])
def test_the_scale_of_a_checkpoints_inputs_is_folded(name: str, tmp_path: Path) -> None:
    train(name, steps=50, checkpoint=tmp_path, normalize_activations="expected_average_only_in")
    (folder,) = tmp_path.iterdir()
    scaler = ActivationScaler()
    scaler.load(folder / "activation_scaler.json")
    assert scaler.scaling_factor is not None
    assert abs(scaler.scaling_factor - 1) > 0.1
    theirs, ours = sae_lens.SAE.load_from_disk(folder), pr.SAE.load(folder)
    x = decided(ours, next(batches(seed=2)))
    with torch.no_grad():
        reconstruction = scaler.unscale(theirs(scaler.scale(x)))
    torch.testing.assert_close(ours.decode(ours.encode(x)), reconstruction, rtol=0, atol=1e-5)
    # The fold is the one that SAELens makes when training ends, down to the latents.
    theirs.fold_activation_norm_scaling_factor(scaler.scaling_factor)
    with torch.no_grad():
        torch.testing.assert_close(ours.encode(x), theirs.encode(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("apply_b_dec_to_input", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_what_is_written_here_reads_alike(
    activation: str, apply_b_dec_to_input: bool, dtype: torch.dtype, tmp_path: Path
) -> None:
    sae = planted_sae(activation, dtype=dtype, apply_b_dec_to_input=apply_b_dec_to_input)
    sae.save(tmp_path)
    x = normal(50, sae.d_model, seed=7)
    again = pr.SAE.load(tmp_path)
    assert torch.equal(again.encode(x), sae.encode(x))
    assert again.W_dec.dtype == dtype
    theirs = sae_lens.SAE.load_from_disk(tmp_path)
    with torch.no_grad():
        latents = theirs.encode(x)
        reconstruction = theirs(x)
    torch.testing.assert_close(again.encode(x), latents)
    torch.testing.assert_close(again.decode(latents), reconstruction)


def test_half_precision_stays_half(tmp_path: Path) -> None:
    sae = planted_sae("jumprelu", dtype=torch.bfloat16)
    sae.save(tmp_path)
    again = pr.SAE.load(tmp_path)
    x = normal(50, sae.d_model, seed=7)
    assert torch.equal(again.encode(x), sae.encode(x))
    assert again.encode(x).dtype == torch.bfloat16
    assert sae_lens.SAE.load_from_disk(tmp_path).W_enc.dtype == torch.bfloat16


FLAT = {
    "d_in": 8,
    "d_sae": 24,
    "dtype": "torch.float32",
    "model_name": "gpt2-small",
    "hook_point": "blocks.8.hook_resid_pre",
}


@pytest.mark.parametrize(
    ("activation", "keys"),
    [
        ("relu", {"normalize_activations": False}),
        ("relu", {"architecture": "standard", "activation_fn_str": "relu"}),
        ("relu", {"apply_b_dec_to_input": False, "normalize_activations": None}),
        ("topk", {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 5}}),
        ("topk", {"activation_fn": "topk", "activation_fn_kwargs": {"k": 5}}),
        ("topk", {"architecture": "topk", "activation_fn_kwargs": {"k": 5}}),
        ("jumprelu", {"architecture": "jumprelu", "activation_fn_str": "relu"}),
    ],
)
def test_configs_of_older_versions_are_read(
    activation: str, keys: dict[str, Any], tmp_path: Path
) -> None:
    planted_sae(activation, dtype=torch.float32).save(tmp_path)
    state = load_file(tmp_path / "sae_weights.safetensors")
    save_file(state | {"scaling_factor": torch.ones(24)}, tmp_path / "sae_weights.safetensors")
    (tmp_path / "cfg.json").write_text(json.dumps(FLAT | keys))
    sae = assert_reads_alike(tmp_path, normal(200, 8, seed=7))
    assert type(sae.activation).__name__.lower() == activation
    assert sae.metadata["model_name"] == "gpt2-small"
    assert "d_in" not in sae.metadata


def test_metadata_travels(tmp_path: Path) -> None:
    config = sae_lens.StandardSAEConfig(d_in=4, d_sae=8)
    config.metadata.hook_name = "blocks.0.hook_resid_post"
    sae_lens.StandardSAE(config).save_model(tmp_path / "theirs")
    pr.SAE.load(tmp_path / "theirs").save(tmp_path / "ours")
    metadata = sae_lens.SAE.load_from_disk(tmp_path / "ours").cfg.metadata
    assert metadata.hook_name == "blocks.0.hook_resid_post"
    assert metadata.sae_lens_version == sae_lens.__version__


@pytest.mark.parametrize(
    ("activation", "change", "message"),
    [
        ("relu", {"architecture": "temporal"}, "architecture='standard' or 'topk' or 'jumprelu'"),
        ("relu", {"architecture": None}, "but got architecture=None; no other can be read"),
        ("relu", {"activation_fn_str": "tanh-relu"}, "activation_fn='relu' .* got .*'tanh-relu'"),
        ("jumprelu", {"activation_fn_str": "topk"}, "no other activation of .*'jumprelu' can"),
        ("relu", {"normalize_activations": "layer_norm"}, "got .*'layer_norm'; its factor"),
        ("relu", {"normalize_activations": "constant_norm_rescale"}, "differs between tokens"),
        ("relu", {"normalize_activations": "covariance_whitening"}, "or is not stored"),
        (
            "relu",
            {"normalize_activations": "expected_average_only_in"},
            "scaling_factor in .*activation_scaler.json but got None.*fold the scale",
        ),
        ("relu", {"normalize_activations": True}, "fold the scale"),
        ("relu", {"reshape_activations": "hook_z"}, "got .*'hook_z'; give it .* concatenated"),
        ("relu", {"apply_b_dec_to_input": 1}, "True or False in .* got apply_b_dec_to_input=1"),
        ("topk", {"rescale_acts_by_decoder_norm": "yes"}, "rescale_acts_by_decoder_norm='yes'"),
        ("relu", {"dtype": "int8"}, "dtype='float32' or .* got dtype='int8'"),
        ("relu", {"d_in": "8"}, "d_in to be a whole number from 1 in .* got d_in='8'"),
        ("relu", {"d_sae": 0}, "d_sae to be a whole number from 1 in .* got d_sae=0"),
        ("relu", {"d_sae": 25}, r"W_enc of shape \(8, 25\) in .* but got \(8, 24\)"),
        ("topk", {"k": 25}, "k to be a whole number from 1 up to 24 in .* but got k=25"),
        ("topk", {"k": 5.0}, "got k=5.0"),
        ("topk", {"k": True}, "got k=True"),
        ("relu", {"architecture": "topk"}, "got k=None"),
        ("relu", {"architecture": "jumprelu"}, r"\['threshold'\] are missing"),
        ("jumprelu", {"architecture": "standard"}, r"\['threshold'\] are unknown"),
    ],
)
def test_a_config_that_is_not_understood_is_refused(
    activation: str, change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    planted_sae(activation).save(tmp_path)
    file = tmp_path / "cfg.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(ValueError, match=message) as refusal:
        pr.SAE.load(tmp_path)
    assert str(tmp_path) in str(refusal.value)


def test_an_old_hook_z_is_refused_by_its_name_alone(tmp_path: Path) -> None:
    planted_sae("relu").save(tmp_path)
    flat = {**FLAT, "hook_point": "blocks.0.attn.hook_z"}
    (tmp_path / "cfg.json").write_text(json.dumps(flat))
    assert sae_lens.SAE.load_from_disk(tmp_path).cfg.reshape_activations == "hook_z"
    with pytest.raises(ValueError, match="reshape_activations='hook_z'"):
        pr.SAE.load(tmp_path)


def test_architectures_of_saelens_that_are_none_of_the_three_are_refused(tmp_path: Path) -> None:
    train("batchtopk", steps=2).save_model(tmp_path / "batchtopk")
    with pytest.raises(ValueError, match="got architecture='batchtopk'.*save_inference_model"):
        pr.SAE.load(tmp_path / "batchtopk")
    gated = sae_lens.GatedSAE(sae_lens.GatedSAEConfig(d_in=4, d_sae=8))
    gated.save_model(tmp_path / "gated")
    with pytest.raises(ValueError, match="or 'grouptopk' in .* but got architecture='gated'"):
        pr.SAE.load(tmp_path / "gated")


def test_a_fine_tunings_factors_are_refused(tmp_path: Path) -> None:
    planted_sae("relu").save(tmp_path)
    file = tmp_path / "sae_weights.safetensors"
    save_file(load_file(file) | {"scaling_factor": torch.full((24,), 2.0)}, file)
    with pytest.raises(ValueError, match=r"\['scaling_factor'\] are unknown"):
        pr.SAE.load(tmp_path)


@pytest.mark.parametrize(
    "rule",
    [
        pr.ReLU(),
        pr.TopK(6),
        BatchTopK(6),
        BatchTopK(6, prefixes=(0.25, 0.5, 1.0)),
        LearnedThresholds(0.02, start=0.1),
    ],
    ids=["ReLU", "TopK", "BatchTopK", "Matryoshka", "LearnedThresholds"],
)
@pytest.mark.training
def test_what_is_trained_here_reads_alike(rule: Rule, tmp_path: Path) -> None:
    x = torch.cat([batch for batch, _ in zip(batches(seed=2), range(4), strict=False)])
    config = SAEConfig(expansion=4, steps=200, batch=BATCH, learning_rate=5e-3, activation=rule)
    train_saes([x], [config])[0].save(tmp_path)
    assert_reads_alike(tmp_path, x)


def test_groups_come_back_and_saelens_does_not_mistake_them(tmp_path: Path) -> None:
    x = next(batches(seed=2))
    config = SAEConfig(expansion=3, steps=20, batch=64, activation=pr.GroupTopK(2, 4))
    (sae,) = train_saes([x], [config])
    replace(sae, metadata=config.recipe()).save(tmp_path)
    again = pr.SAE.load(tmp_path)
    assert again.activation == pr.GroupTopK(2, 4)
    assert again.metadata["activation"] == {"kind": "GroupTopK", "groups": 2, "rank": 4}
    assert torch.equal(again.encode(x), sae.encode(x))
    with pytest.raises(Exception, match="grouptopk"):
        sae_lens.SAE.load_from_disk(tmp_path)


@pytest.mark.parametrize(("key", "value"), [("groups", 0), ("rank", 5), ("rank", None)])
def test_groups_that_do_not_fit_are_refused(key: str, value: int | None, tmp_path: Path) -> None:
    weights = initial_weights(SAEConfig(expansion=3), 16)
    pr.SAE(**weights, activation=pr.GroupTopK(2, 4)).save(tmp_path)
    config = json.loads((tmp_path / "cfg.json").read_text())
    (tmp_path / "cfg.json").write_text(json.dumps(config | {key: value}))
    with pytest.raises(ValueError, match=key):
        pr.SAE.load(tmp_path)
