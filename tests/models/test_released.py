"""Files in the layout that the paper's author released: written, read, and refused."""

import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from planted_release import write_checkpoint, write_sae
from torch import Tensor

import polyrot as pr
from polyrot.models.released import Checkpoint, read_checkpoint
from polyrot.models.transformer import TransformerConfig, analytic_positions, initial_state
from polyrot.sae.recipe import SAEConfig
from polyrot.sae.released import SAEFileName, read_sae
from polyrot.sae.training import initial_weights

METRICS = {"loss": 0.25, "acc_depth": 0.99}


class Payload:
    """An object whose pickle runs a command when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path, Checkpoint(initial_state(TransformerConfig(), 3), 200))


def changed(path: Path, **entries: object) -> Path:
    """Replace entries of a released file; `None` takes one out."""
    payload = torch.load(path, weights_only=True) | entries
    torch.save({key: value for key, value in payload.items() if value is not None}, path)
    return path


def tensors(path: Path) -> dict[str, Tensor]:
    return torch.load(path, weights_only=True)["model_state"]


def test_what_is_written_is_read_exactly(tmp_path: Path) -> None:
    state = initial_state(TransformerConfig(), 3)
    path = write_checkpoint(tmp_path / "new", Checkpoint(state, 58_000, METRICS))
    assert path == tmp_path / "new" / "ckpt_0058000.pt"
    read = read_checkpoint(path)
    assert (read.step, read.metrics) == (58_000, METRICS)
    assert list(read.state) == list(state)
    assert all(torch.equal(read.state[name], state[name]) for name in state)


def test_the_layout_is_the_published_one(file: Path) -> None:
    payload = torch.load(file, weights_only=True)
    assert set(payload) == {"model_state", "cfg", "step", "metrics"}
    shapes = {name: tuple(tensor.shape) for name, tensor in payload["model_state"].items()}
    assert shapes["blocks.1.attn.W_V"] == (4, 16, 64)
    assert shapes["blocks.1.attn.W_O"] == (4, 64, 16)
    assert shapes["blocks.0.mlp.W_in"] == (256, 64)
    assert shapes["blocks.0.mlp.W_out"] == (64, 256)
    assert (shapes["W_U_depth"], shapes["W_U_valid"]) == ((9, 64), (2, 64))
    assert sum(t.numel() for n, t in payload["model_state"].items() if n != "W_pos") == 104_448
    assert torch.equal(payload["model_state"]["W_pos"], analytic_positions(TransformerConfig()))
    assert payload["cfg"]["n_heads"] == 4


def test_what_the_author_stores_besides_does_no_harm(file: Path) -> None:
    cfg = {"n_layers": 2, "init_scale": 0.02, "something": "else"}
    optimiser = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 3e-3}]}
    before = read_checkpoint(file)
    after = read_checkpoint(changed(file, cfg=cfg, optim_state=optimiser, metrics=None))
    assert all(torch.equal(after.state[name], before.state[name]) for name in before.state)
    assert after.metrics == {}
    assert read_checkpoint(changed(file, cfg=None)).step == 200


def test_positions_computed_in_single_precision_are_the_same_code(file: Path) -> None:
    position = torch.arange(64, dtype=torch.float32)
    code = tensors(file)["W_pos"].clone()
    code[:, 2] = torch.log(position + 1) / torch.log(torch.tensor(64.0))
    code[:, 4] = torch.cos(position * (2 * torch.pi / 64))
    assert not torch.equal(code, tensors(file)["W_pos"])
    read_checkpoint(changed(file, model_state=tensors(file) | {"W_pos": code}))


def test_everything_wrong_with_the_tensors_is_said_at_once(file: Path) -> None:
    state = tensors(file)
    del state["ln_f.gain"]
    state["W_E"] = torch.zeros(41, 64)
    state["W_U_tok"] = torch.zeros(40, 64, dtype=torch.int64)
    state["blocks.2.ln1.gain"] = torch.ones(64)
    with pytest.raises(ValueError, match="model_state in .*ckpt_0000200.pt but: ") as error:
        read_checkpoint(changed(file, model_state=state))
    for said in (
        "W_E is (41, 64), expected (40, 64)",
        "W_U_tok is not a float tensor but torch.int64",
        "blocks.2.ln1.gain is not expected",
        "ln_f.gain (64,) is missing",
    ):
        assert said in str(error.value)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"model_state": None}, r"Expected model_state in .*ckpt_0000200.pt but got \['cfg', "),
        ({"step": None}, "Expected step in"),
        ({"step": "last"}, "Expected a number as step in .* but got 'last'"),
        ({"model_state": [1.0]}, r"Expected tensors by name as model_state in .* but got \[1.0\]"),
        ({"cfg": [2]}, "Expected a dictionary as cfg in"),
        (
            {"cfg": {"n_layers": 4, "d_model": 128, "n_ctx": 64}},
            "architecture in .* d_model is 128, expected 64; n_layers is 4, expected 2; models of",
        ),
        ({"cfg": {"use_rmsnorm": False}}, "use_rmsnorm is False, expected True"),
    ],
)
def test_what_is_no_such_checkpoint_is_named(
    file: Path, entries: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read_checkpoint(changed(file, **entries))


@pytest.mark.parametrize("value", [0.5, float("nan")])
def test_another_position_code_is_refused(file: Path, value: float) -> None:
    code = tensors(file)["W_pos"].clone()
    code[5, 30] = value
    with pytest.raises(ValueError, match="analytic position code as W_pos in .* off by (0.5|nan)"):
        read_checkpoint(changed(file, model_state=tensors(file) | {"W_pos": code}))


@pytest.mark.parametrize("where", ["alone", "as a tensor", "in the optimiser", "plain pickle"])
@pytest.mark.parametrize("read", [read_checkpoint, lambda path: read_sae(path, d_model=64)])
def test_a_hostile_pickle_is_refused_and_does_not_run(
    file: Path, tmp_path: Path, where: str, read: Callable[[Path], object]
) -> None:
    marker = tmp_path / "ran"
    payload = torch.load(file, weights_only=True)
    hostile = Payload(marker)
    if where == "as a tensor":
        payload["model_state"]["W_E"] = hostile
    payload["optim_state"] = hostile
    content = payload if where in ("as a tensor", "in the optimiser") else hostile
    if where == "plain pickle":
        file.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, file)
    with pytest.raises(ValueError, match="Expected nothing but tensors") as error:
        read(file)
    assert not marker.exists()
    for said in (str(file), ".system; it could run code and was not loaded", "download it again"):
        assert said in str(error.value)
    if where == "alone":  # the test would see it run
        torch.load(file, weights_only=False)
        assert marker.exists()


@pytest.mark.parametrize("keep", [0, 1, 100, 10_000])
def test_a_damaged_file_is_named(file: Path, keep: int) -> None:
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ValueError, match="in .*ckpt_0000200.pt but .*: download it again"):
        read_checkpoint(file)


def test_a_text_file_is_no_checkpoint(file: Path) -> None:
    file.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ValueError, match="in .*ckpt_0000200.pt but .*: download it again"):
        read_checkpoint(file)


def test_an_absent_file_is_a_plain_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "ckpt_1.pt")


def sae() -> pr.SAE:
    draw = torch.Generator().manual_seed(0)
    weights = initial_weights(SAEConfig(seed=2), 4)
    weights["b_dec"] = torch.randn(4, generator=draw)
    weights["b_enc"] = torch.randn(32, generator=draw)
    return pr.SAE(**weights, metadata={"l1": 1e-3, "steps": 4_000, "seed": 2, "ev": 0.9})


def test_an_autoencoder_is_read_as_written(tmp_path: Path) -> None:
    path = write_sae(tmp_path, sae(), "resid_mid.0", sae_seed=2)
    assert path.name == "sae_resid_mid_0_x8_seed2.pt"
    read = read_sae(path, d_model=4)
    for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
        assert torch.equal(getattr(read, name), getattr(sae(), name))
    assert read.metadata == {"l1": 1e-3, "steps": 4_000, "seed": 2}


def test_a_released_autoencoder_computes_what_the_author_says(tmp_path: Path) -> None:
    payload = torch.load(write_sae(tmp_path, sae(), "resid_mid.0"), weights_only=True)
    state = payload["state"]
    assert state["W_enc"].shape == (32, 4)
    assert state["W_dec"].shape == (4, 32)
    # Exactly the fields of the author's own configuration.
    assert set(payload["config"]) == {"d_in", "expansion", "l1_coef", "n_steps", "seed"}
    assert (payload["config"]["d_in"], payload["config"]["expansion"]) == (4, 8)
    x = torch.randn(10, 4, generator=torch.Generator().manual_seed(1))
    features = torch.relu((x - state["pre_bias"]) @ state["W_enc"].T + state["b_enc"])
    reconstruction = features @ state["W_dec"].T + state["pre_bias"]
    read = read_sae(tmp_path / "sae_resid_mid_0_x8.pt", d_model=4)
    torch.testing.assert_close(read.encode(x), features)
    torch.testing.assert_close(read.decode(read.encode(x)), reconstruction)


def test_everything_wrong_with_an_autoencoder_is_said_at_once(tmp_path: Path) -> None:
    path = write_sae(tmp_path, sae(), "resid_mid.0")
    with pytest.raises(ValueError, match=re.escape("W_dec is (4, 32), expected (64, 32)")):
        read_sae(path, d_model=64)
    state = torch.load(path, weights_only=True)["state"]
    del state["b_enc"]
    with pytest.raises(ValueError, match=re.escape("b_enc (32,) is missing")):
        read_sae(changed(path, state=state | {"threshold": torch.zeros(32)}), d_model=4)
    with pytest.raises(ValueError, match="threshold is not expected"):
        read_sae(path, d_model=4)
    with pytest.raises(ValueError, match="Expected state in"):
        read_sae(changed(path, state=None), d_model=4)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sae_resid_mid_0_x8.pt", SAEFileName("resid_mid.0", 8)),
        ("sae_resid_pre_2_x32.pt", SAEFileName("resid_pre.2", 32)),
        ("sae_resid_post_1_x8_seed1.pt", SAEFileName("resid_post.1", 8, 1)),
        ("sae_seed3_resid_post_1_x8.pt", SAEFileName("resid_post.1", 8, 0, "sae_seed3")),
    ],
)
def test_names_of_autoencoders_are_read_and_written(name: str, said: SAEFileName) -> None:
    assert SAEFileName.parse(name) == said
    assert str(said) == name


@pytest.mark.parametrize("name", ["sae_mlp_pre_0_x8.pt", "transcoder_layer0_x8.pt", "sae.json"])
def test_names_of_other_files_are_not(name: str) -> None:
    assert SAEFileName.parse(name) is None
