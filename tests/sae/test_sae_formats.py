"""Directories of sparsify and dictionary_learning, and every way to spoil a directory.

The directories are written here as those libraries write them, and what is computed from
them is compared with their formulas, written out below in float64 from the stored tensors.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from planted_saes import ACTIVATIONS, D_MODEL, FEATURES, K, normal, planted_sae
from safetensors.torch import load_file, save_file
from torch import Tensor

import polyrot as pr

State = dict[str, Tensor]

LINEAR = {
    "encoder.weight": normal(FEATURES, D_MODEL, seed=1),
    "encoder.bias": normal(FEATURES, seed=2),
    "decoder.weight": normal(D_MODEL, FEATURES, seed=3),
}
MATRICES = {
    # As the library leaves them: views of a transposed matrix.
    "W_enc": normal(FEATURES, D_MODEL, seed=1).T,
    "b_enc": normal(FEATURES, seed=2),
    "W_dec": normal(D_MODEL, FEATURES, seed=3).T,
    "b_dec": normal(D_MODEL, seed=4),
}
BIAS = normal(D_MODEL, seed=4)
ONE_K, ONE_THRESHOLD = torch.tensor(K, dtype=torch.int32), torch.tensor(0.8)
STATES: dict[str, State] = {
    "AutoEncoder": {**LINEAR, "bias": BIAS},
    "AutoEncoderNew": {**LINEAR, "decoder.bias": BIAS},
    "AutoEncoderTopK": {**LINEAR, "b_dec": BIAS, "k": ONE_K, "threshold": ONE_THRESHOLD},
    "BatchTopKSAE": {**LINEAR, "b_dec": BIAS, "k": ONE_K, "threshold": ONE_THRESHOLD},
    "MatryoshkaBatchTopKSAE": {
        **MATRICES,
        "k": ONE_K,
        "threshold": ONE_THRESHOLD,
        "group_sizes": torch.tensor([8, 16]),
    },
    "JumpReluAutoEncoder": {**MATRICES, "threshold": normal(FEATURES, seed=5).abs()},
}


def write_dictionary_learning(folder: Path, kind: str, **changes: Any) -> State:
    trainer = {
        "trainer_class": "ATrainer",
        "dict_class": kind,
        "activation_dim": D_MODEL,
        "dict_size": FEATURES,
        "lm_name": "pythia-70m",
    }
    if "TopK" in kind:
        trainer["k"] = K
    (folder / "config.json").write_text(json.dumps({"trainer": trainer | changes, "buffer": {}}))
    torch.save(STATES[kind], folder / "ae.pt")
    return STATES[kind]


def write_sparsify(folder: Path, **changes: Any) -> State:
    config = {
        "activation": "topk",
        "expansion_factor": 3,
        "normalize_decoder": True,
        "num_latents": 0,
        "k": K,
        "multi_topk": False,
        "skip_connection": False,
        "transcode": False,
        "d_in": D_MODEL,
    }
    (folder / "cfg.json").write_text(json.dumps(config | changes))
    state = {
        "encoder.weight": normal(FEATURES, D_MODEL, seed=1),
        "encoder.bias": normal(FEATURES, seed=2),
        "W_dec": normal(FEATURES, D_MODEL, seed=3),
        "b_dec": BIAS,
    }
    save_file(state, folder / "sae.safetensors")
    return state


def by_formula(kind: str, state: State, x: Tensor) -> tuple[Tensor, Tensor]:
    """Latents and reconstruction as the class of that name computes them, one token at a time."""
    s = {name: tensor.double() for name, tensor in state.items()}
    encoder = s["encoder.weight"] if "encoder.weight" in s else s["W_enc"].T
    encoder_bias = s["encoder.bias"] if "encoder.bias" in s else s["b_enc"]
    decoder = s["decoder.weight"] if "decoder.weight" in s else s["W_dec"].T
    if kind == "sparsify":
        decoder = s["W_dec"].T
    bias = next(s[n] for n in ("bias", "b_dec", "decoder.bias") if n in s)
    latents = []
    for token in x.double():
        origin = 0 if kind in ("AutoEncoderNew", "JumpReluAutoEncoder") else bias
        pre = [
            float(row @ (token - origin) + b) for row, b in zip(encoder, encoder_bias, strict=True)
        ]
        if kind == "AutoEncoder":  # whose loader moves the decoder's norms into the encoder
            pre = [p * float(column.norm()) for p, column in zip(pre, decoder.T, strict=True)]
        last = sorted(pre)[-K]
        if kind in ("AutoEncoderTopK", "sparsify"):
            on = [p >= last for p in pre]
        elif "threshold" in s:
            thresholds = s["threshold"].expand(FEATURES).tolist()
            on = [p > threshold for p, threshold in zip(pre, thresholds, strict=True)]
        else:
            on = [True] * FEATURES
        latents.append([max(p, 0) if o else 0 for p, o in zip(pre, on, strict=True)])
    z = torch.tensor(latents, dtype=torch.float64)
    if kind == "AutoEncoder":
        decoder = decoder / decoder.norm(dim=0)
    return z, z @ decoder.T + bias


def assert_computes(folder: Path, kind: str, state: State) -> pr.SAE:
    sae = pr.SAE.load(folder)
    x = normal(100, D_MODEL, seed=9)
    z, reconstruction = by_formula(kind, state, x)
    assert 0 < float((z > 0).float().mean()) < 0.6
    torch.testing.assert_close(sae.encode(x).double(), z, rtol=0, atol=1e-5)
    torch.testing.assert_close(
        sae.decode(sae.encode(x)).double(), reconstruction, rtol=0, atol=1e-4
    )
    return sae


@pytest.mark.parametrize("kind", STATES)
def test_a_dictionary_computes_what_its_library_does(kind: str, tmp_path: Path) -> None:
    state = write_dictionary_learning(tmp_path, kind)
    sae = assert_computes(tmp_path, kind, state)
    assert sae.metadata["lm_name"] == "pythia-70m"
    assert not any(weight.requires_grad for weight in (sae.W_enc, sae.b_enc, sae.W_dec, sae.b_dec))


def test_a_decoder_of_unit_norm_is_taken_as_it_is(tmp_path: Path) -> None:
    state = write_dictionary_learning(tmp_path, "AutoEncoder")
    unit = state["decoder.weight"] / state["decoder.weight"].norm(dim=0)
    torch.save({**state, "decoder.weight": unit}, tmp_path / "ae.pt")
    sae = pr.SAE.load(tmp_path)
    assert torch.equal(sae.W_dec, unit.T)
    assert torch.equal(sae.W_enc, state["encoder.weight"].T)


def test_a_feature_without_a_direction_falls_silent(tmp_path: Path) -> None:
    state = write_dictionary_learning(tmp_path, "AutoEncoder")
    decoder = state["decoder.weight"].clone()
    decoder[:, 0] = 0
    torch.save({**state, "decoder.weight": decoder}, tmp_path / "ae.pt")
    sae = pr.SAE.load(tmp_path)
    latents = sae.encode(normal(50, D_MODEL, seed=9))
    assert bool((latents[:, 0] == 0).all())
    assert bool(sae.decode(latents).isfinite().all())


def test_a_threshold_that_was_never_set_is_none(tmp_path: Path) -> None:
    state = write_dictionary_learning(tmp_path, "BatchTopKSAE")
    torch.save({**state, "threshold": torch.tensor(-1.0)}, tmp_path / "ae.pt")
    sae = pr.SAE.load(tmp_path)
    x = normal(50, D_MODEL, seed=9)
    pre = (x - state["b_dec"]) @ state["encoder.weight"].T + state["encoder.bias"]
    torch.testing.assert_close(sae.encode(x), pre.relu())


@pytest.mark.parametrize("changes", [{}, {"num_latents": FEATURES}, {"multi_topk": True}])
def test_a_sparse_coder_computes_what_its_library_does(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    state = write_sparsify(tmp_path, **changes)
    assert_computes(tmp_path, "sparsify", state)


def test_what_is_read_from_one_library_is_written_for_another(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    write_dictionary_learning(tmp_path / "theirs", "BatchTopKSAE")
    sae = pr.SAE.load(tmp_path / "theirs")
    sae.save(tmp_path / "ours")
    x = normal(50, D_MODEL, seed=9)
    assert torch.equal(pr.SAE.load(tmp_path / "ours").encode(x), sae.encode(x))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activation": "groupmax"}, "activation='topk' in .* got activation='groupmax'"),
        ({"transcode": True}, "transcode=False in .* got transcode=True; only plain TopK"),
        ({"skip_connection": True}, "got skip_connection=True"),
        ({"signed": True}, "got signed=True"),
        ({"a_later_idea": True}, "got a_later_idea=True"),
        ({"k": 0}, "k to be a whole number from 1 up to 24 .* got k=0"),
        ({"expansion_factor": 4}, r"encoder.weight of shape \(32, 8\) .* got \(24, 8\)"),
        ({"d_in": None}, "got d_in=None"),
    ],
)
def test_a_sparse_coder_that_is_no_topk_autoencoder_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    write_sparsify(tmp_path, **changes)
    with pytest.raises(ValueError, match=message):
        pr.SAE.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dict_class": "GatedAutoEncoder"}, "dict_class='AutoEncoder' or .*'GatedAutoEncoder'"),
        ({"dict_class": None}, "got dict_class=None"),
        ({"dict_size": 23}, r"encoder.weight of shape \(23, 8\) .* got \(24, 8\)"),
        ({"activation_dim": "8"}, "got activation_dim='8'"),
        ({"k": 6}, "Expected k=6 as in .*config.json but got k=5 in .*ae.pt"),
        ({"k": 25}, "from 1 up to 24 .* got k=25"),
    ],
)
def test_a_dictionary_that_is_not_understood_is_refused(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    write_dictionary_learning(tmp_path, "AutoEncoderTopK", **changes)
    with pytest.raises(ValueError, match=message):
        pr.SAE.load(tmp_path)


class Payload:
    """What a hostile file would have run by whoever unpickles it."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return exec, (f"import pathlib; pathlib.Path({str(self.proof)!r}).touch()",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_hostile_pickle_is_refused_and_not_run(zipped: bool, tmp_path: Path) -> None:
    proof = tmp_path / "it-ran"
    state = write_dictionary_learning(tmp_path, "AutoEncoder")
    torch.save(
        {**state, "bias": Payload(proof)},
        tmp_path / "ae.pt",
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(ValueError, match="to hold tensors and nothing else .* none of it was run"):
        pr.SAE.load(tmp_path)
    assert not proof.exists()
    # The payload works: read without care, it runs.
    torch.load(tmp_path / "ae.pt", weights_only=False)
    assert proof.exists()


@pytest.mark.parametrize("content", [[torch.zeros(2)], {"bias": 3}, torch.zeros(2)])
def test_a_torch_file_of_something_else_is_refused(content: Any, tmp_path: Path) -> None:
    write_dictionary_learning(tmp_path, "AutoEncoder")
    torch.save(content, tmp_path / "ae.pt")
    with pytest.raises(ValueError, match="ae.pt to hold a dictionary of tensors alone"):
        pr.SAE.load(tmp_path)


def write_saelens(folder: Path) -> None:
    planted_sae("jumprelu").save(folder)


FOLDERS: dict[str, tuple[Callable[[Path], Any], str, str, str]] = {
    "SAELens": (write_saelens, "cfg.json", "sae_weights.safetensors", "W_dec"),
    "sparsify": (write_sparsify, "cfg.json", "sae.safetensors", "W_dec"),
    "dictionary_learning": (
        lambda folder: write_dictionary_learning(folder, "AutoEncoder"),
        "config.json",
        "ae.pt",
        "decoder.weight",
    ),
}


@pytest.fixture(params=FOLDERS)
def written(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path, str]:
    """A sound directory of each layout: its config, its weights, and a tensor's name."""
    write, config, weights, tensor = FOLDERS[request.param]
    write(tmp_path)
    pr.SAE.load(tmp_path)
    return tmp_path / config, tmp_path / weights, tensor


def respoil(weights: Path, change: Callable[[State], Any]) -> None:
    """Change the tensors of a weights file in place."""
    torch_file = weights.suffix == ".pt"
    state = dict(torch.load(weights) if torch_file else load_file(weights))
    change(state)
    (torch.save if torch_file else save_file)(state, weights)


def test_a_missing_file_is_named(written: tuple[Path, Path, str]) -> None:
    config, weights, _ = written
    for gone, left in ((config, weights), (weights, config)):
        content = gone.read_bytes()
        gone.unlink()
        with pytest.raises(FileNotFoundError, match=rf"but got \['{left.name}'\]"):
            pr.SAE.load(config.parent)
        gone.write_bytes(content)


def test_an_empty_or_absent_directory_says_what_is_expected(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(FileNotFoundError) as refusal:
            pr.SAE.load(folder)
        assert str(refusal.value) == (
            f"Expected {folder} to hold the files of one layout (SAELens: cfg.json and "
            "sae_weights.safetensors, sparsify: cfg.json and sae.safetensors, "
            "dictionary_learning: config.json and ae.pt) but got none of them"
        )


def test_two_autoencoders_in_one_directory_are_refused(tmp_path: Path) -> None:
    write_saelens(tmp_path)
    write_sparsify(tmp_path)
    with pytest.raises(ValueError, match="move all but one autoencoder elsewhere"):
        pr.SAE.load(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", b"\xff\xfe"])
def test_a_config_that_is_no_json_object_is_refused(
    written: tuple[Path, Path, str], text: str | bytes
) -> None:
    config, _, _ = written
    config.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=f"Expected (a )?JSON.* in .*{config.name} but got"):
        pr.SAE.load(config.parent)


def test_a_truncated_file_is_refused(written: tuple[Path, Path, str]) -> None:
    _, weights, _ = written
    content = weights.read_bytes()
    for length in (0, 7, len(content) // 2, len(content) - 1):
        weights.write_bytes(content[:length])
        with pytest.raises(ValueError, match=f"{weights.name}.*fetch"):
            pr.SAE.load(weights.parent)


def test_a_missing_tensor_is_named(written: tuple[Path, Path, str]) -> None:
    _, weights, tensor = written
    respoil(weights, lambda state: state.pop(tensor))
    with pytest.raises(ValueError, match=rf"\['{tensor}'\] are missing; it is damaged"):
        pr.SAE.load(weights.parent)


def test_an_unknown_tensor_is_named(written: tuple[Path, Path, str]) -> None:
    _, weights, _ = written
    respoil(weights, lambda state: state.update(W_skip=torch.zeros(D_MODEL, D_MODEL)))
    with pytest.raises(ValueError, match=r"\['W_skip'\] are unknown"):
        pr.SAE.load(weights.parent)


def test_a_tensor_of_the_wrong_shape_is_named_with_both_shapes(
    written: tuple[Path, Path, str],
) -> None:
    _, weights, tensor = written
    respoil(weights, lambda state: state.update({tensor: state[tensor].T.contiguous()}))
    right, wrong = r"\((24, 8|8, 24)\)", r"\((8, 24|24, 8)\)"
    message = rf"Expected {tensor} of shape {right} in .*{weights.name} but got {wrong}"
    with pytest.raises(ValueError, match=message):
        pr.SAE.load(weights.parent)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_counted(
    written: tuple[Path, Path, str], value: float
) -> None:
    _, weights, tensor = written
    respoil(weights, lambda state: state[tensor].view(-1)[:2].fill_(value))
    with pytest.raises(ValueError, match=f"finite .* but 2 of {tensor}'s 192 are not"):
        pr.SAE.load(weights.parent)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_an_interrupted_save_leaves_the_old_files(
    activation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted_sae("relu").save(tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("polyrot.sae.formats.saelens.save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        planted_sae(activation, seed=1).save(tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
