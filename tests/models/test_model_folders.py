"""Models from folders: loaded as saved, or not run for a reason that helps."""

import json
import os
import pickle
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import planted_language
import pytest
import torch
import transformers
from planted_language import logits, saved, tokenizer_of
from safetensors.torch import load_file, save_file
from torch import nn

from polyrot.errors import NotRun
from polyrot.experiments.language.activations import read_sites
from polyrot.interventions.edit import recorded
from polyrot.interventions.places import FAMILIES, FINAL_NORM, places
from polyrot.models import hub
from polyrot.models.hub import Checkpoint

TOKENS = torch.randint(planted_language.VOCABULARY, (2, 9), generator=torch.manual_seed(0))
WEIGHTS, PICKLED = "model.safetensors", "pytorch_model.bin"
INNER = "gpt_neox.layers.1.mlp.dense_h_to_4h.weight"


def load(folder: Path, dtype: torch.dtype = torch.float32) -> nn.Module:
    return hub.load(Checkpoint(str(folder)), dtype)


def reason(folder: Path) -> str:
    """Why a folder's model is not run."""
    with pytest.raises(NotRun) as raised:
        load(folder)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(planted_language.neox(), tmp_path_factory.mktemp("hub") / "neox")


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy of a saved model, to be damaged."""
    return shutil.copytree(original, tmp_path / "copy")


@pytest.fixture(scope="module", params=planted_language.FAMILIES, ids=lambda b: b.__name__)
def family(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[nn.Module, Path]:
    """A model of every family that can be read, and where it is saved."""
    model = request.param()
    return model, saved(model, tmp_path_factory.mktemp("families") / request.param.__name__)


def test_a_saved_model_is_loaded_as_it_was(family) -> None:
    model, folder = family
    loaded = load(folder)
    assert torch.equal(logits(loaded, TOKENS), logits(model, TOKENS))
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    half = load(folder, torch.bfloat16)
    assert {p.dtype for p in half.parameters()} == {torch.bfloat16}


def test_sites_are_the_true_residual_stream(family) -> None:
    """Against what the library itself reports, and by hand behind the last block."""
    model, _ = family
    with torch.inference_mode():
        hidden = model(input_ids=TOKENS, output_hidden_states=True).hidden_states
    sites = places(model).sites
    assert sites == ("resid_pre.0", *(f"resid_post.{i}" for i in range(planted_language.LAYERS)))
    found = read_sites(model, TOKENS, (*sites, FINAL_NORM))
    for site, state in zip(sites[:-1], hidden[:-1], strict=True):
        torch.testing.assert_close(found[site], state)
    # The library's last hidden state is behind the final norm: it is no residual stream.
    torch.testing.assert_close(found[FINAL_NORM], hidden[-1])
    assert float((found[sites[-1]] - hidden[-1]).abs().max()) > 0.1
    norm = places(model)._norm
    with torch.inference_mode():
        torch.testing.assert_close(norm(found[sites[-1]]), hidden[-1])
        head = model.get_output_embeddings()
        torch.testing.assert_close(head(found[FINAL_NORM]), logits(model, TOKENS))


def test_what_the_last_block_writes_is_in_its_site(family) -> None:
    model, _ = family
    last = f"resid_post.{planted_language.LAYERS - 1}"
    before = f"resid_post.{planted_language.LAYERS - 2}"
    with torch.inference_mode(), recorded(model, f"block.{planted_language.LAYERS - 1}") as kept:
        model(input_ids=TOKENS)
    found = read_sites(model, TOKENS, (before, last))
    torch.testing.assert_close(found[last], found[before] + next(iter(kept.values())))


def test_reading_runs_without_the_unembedding_and_leaves_no_hook(family) -> None:
    model, _ = family
    before = hooks(model)
    calls = []
    handle = model.get_output_embeddings().register_forward_hook(lambda *a: calls.append(a))
    read_sites(model, TOKENS, ("resid_pre.0", FINAL_NORM))
    handle.remove()
    assert not calls
    assert hooks(model) == before


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


class Payload:
    """Runs a command where it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("way", ["zip", "legacy", "plain", "second shard"])
def test_a_hostile_pickle_is_refused_and_does_not_run(
    folder: Path, tmp_path: Path, way: str
) -> None:
    target = tmp_path / "owned"
    (folder / WEIGHTS).unlink()
    state = {**planted_language.neox().state_dict(), "payload": Payload(target)}
    if way == "plain":
        (folder / PICKLED).write_bytes(pickle.dumps(state))
    elif way == "second shard":
        names = [f"pytorch_model-0000{i}-of-00002.bin" for i in (1, 2)]
        weight_map = {name: names[0] for name in state if name != INNER} | {INNER: names[1]}
        index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
        (folder / f"{PICKLED}.index.json").write_text(json.dumps(index))
        payload = state.pop("payload")
        torch.save({n: t for n, t in state.items() if n != INNER}, folder / names[0])
        torch.save({INNER: payload}, folder / names[1])
    else:
        torch.save(state, folder / PICKLED, _use_new_zipfile_serialization=way == "zip")
    assert "holds more than tensors; it could run code and was not loaded" in reason(folder)
    assert "convert it to safetensors if you trust it" in reason(folder)
    assert not target.exists()
    # It would have run: the payload is no dud.
    pickle.loads(pickle.dumps(Payload(target)))  # noqa: S301
    assert target.is_dir()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_of_tensors_alone_is_loaded(folder: Path, zipped: bool) -> None:
    (folder / WEIGHTS).unlink()
    model = planted_language.neox()
    torch.save(model.state_dict(), folder / PICKLED, _use_new_zipfile_serialization=zipped)
    assert torch.equal(logits(load(folder), TOKENS), logits(model, TOKENS))


def test_safetensors_are_preferred_to_a_pickle_beside_them(folder: Path, tmp_path: Path) -> None:
    torch.save(Payload(tmp_path / "owned"), folder / PICKLED)
    assert torch.equal(logits(load(folder), TOKENS), logits(planted_language.neox(), TOKENS))
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("known", [True, False])
def test_code_that_comes_with_a_model_is_never_run_nor_asked_for(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], known: bool
) -> None:
    target = tmp_path / "owned"
    edit(folder, auto_map={"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"})
    if not known:
        edit(folder, model_type="own")
    (folder / "own.py").write_text(f"import os; os.mkdir({str(target)!r})\nclass C: ...\n")
    if known:  # The library has code of its own for it.
        load(folder)
    else:
        assert "contains custom code" in reason(folder)
    tokenizer_of(["a b c"]).save(str(folder / "tokenizer.json"))
    settings = {"auto_map": {"AutoTokenizer": ["own.T", None]}, "tokenizer_class": "T"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with (
        pytest.raises(NotRun, match="the tokenizer of .* cannot be read")
        if not known
        else (warnings.catch_warnings())
    ):
        hub.load_tokenizer(Checkpoint(str(folder)))
    assert not target.exists()
    assert "[y/N]" not in "".join(capfd.readouterr())


def edit(folder: Path, **changes: object) -> None:
    """Change what `config.json` says."""
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_damaged_weights_are_not_run(folder: Path) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    for part in (whole[: len(whole) // 2], whole[:100], b"rotten", b""):
        (folder / WEIGHTS).write_bytes(part)
        assert f"the weights of {folder} cannot be read: " in reason(folder)
    (folder / WEIGHTS).unlink()
    torch.save(planted_language.neox().state_dict(), folder / PICKLED)
    whole = (folder / PICKLED).read_bytes()
    for part in (whole[: len(whole) // 2], b"rotten", b""):
        (folder / PICKLED).write_bytes(part)
        said = reason(folder)
        assert str(folder) in said
        assert "weights" in said


def test_weights_that_lack_a_tensor_are_refused_and_not_drawn(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    del tensors[INNER]
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    assert reason(folder) == (
        f"the weights of {folder} lack 1 tensors, {INNER} first; save the whole model with "
        "save_pretrained"
    )


def test_weights_of_a_model_without_its_head_are_refused(tmp_path: Path) -> None:
    folder = saved(planted_language.neox(), tmp_path / "whole")
    saved(planted_language.neox().base_model, tmp_path / "headless")
    shutil.copy(tmp_path / "headless" / WEIGHTS, folder / WEIGHTS)
    assert "lack 1 tensors, lm_head.weight first" in reason(folder)


def test_weights_of_other_shapes_are_refused_by_name(folder: Path) -> None:
    edit(folder, intermediate_size=80)
    assert "do not match its config.json: gpt_neox.layers.0.mlp" in reason(folder)
    assert "is [32, 64] and should be [32, 80]" in reason(folder)


@pytest.mark.parametrize("whole", [True, False])
def test_weights_of_more_blocks_than_are_said_are_not_cut_short(
    tmp_path: Path, whole: bool
) -> None:
    # Without its head, whose weights are those of the embedding, names lack their first word.
    model = planted_language.neox(tie_word_embeddings=True)
    folder = saved(model if whole else model.base_model, tmp_path)
    load(folder)
    edit(folder, num_hidden_layers=planted_language.LAYERS - 1)
    last = f"layers.{planted_language.LAYERS - 1}."
    assert re.search(
        rf"have more blocks than its config.json says \(.*{re.escape(last)}.*\); correct "
        "the number of layers there",
        reason(folder),
    )


def test_a_shard_that_is_missing_is_named(tmp_path: Path) -> None:
    with hub.quiet():
        planted_language.neox().save_pretrained(tmp_path, max_shard_size="50KB")
    assert torch.equal(logits(load(tmp_path), TOKENS), logits(planted_language.neox(), TOKENS))
    shard = sorted(tmp_path.glob("model-*.safetensors"))[1]
    shard.unlink()
    assert shard.name in reason(tmp_path)


def test_tied_weights_are_not_missed(tmp_path: Path) -> None:
    model = planted_language.neox(tie_word_embeddings=True)
    loaded = load(saved(model, tmp_path))
    assert torch.equal(logits(loaded, TOKENS), logits(model, TOKENS))
    assert loaded.get_output_embeddings().weight is loaded.get_input_embeddings().weight


def test_buffers_that_older_files_hold_are_no_obstacle(folder: Path) -> None:
    """As the published Pythia checkpoints have them."""
    tensors = load_file(folder / WEIGHTS)
    for i in range(planted_language.LAYERS):
        inner = f"gpt_neox.layers.{i}.attention"
        tensors[f"{inner}.bias"] = torch.ones(1, 1, 4, 4, dtype=torch.bool)
        tensors[f"{inner}.masked_bias"] = torch.tensor(-1e9)
        tensors[f"{inner}.rotary_emb.inv_freq"] = torch.ones(4)
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    assert torch.equal(logits(load(folder), TOKENS), logits(planted_language.neox(), TOKENS))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shutil.rmtree, "there is no folder {f}; give one written by save_pretrained"),
        (
            lambda f: (f / "config.json").unlink(),
            "{f} has no config.json; give a folder written by",
        ),
        (lambda f: (f / "config.json").write_text("{"), "{f}/config.json cannot be read: "),
        (lambda f: (f / "config.json").write_text("[]"), "{f}/config.json cannot be read: "),
        (lambda f: edit(f, model_type="nonesuch"), "{f}/config.json cannot be read: "),
        (lambda f: edit(f, num_hidden_layers="x"), "{f}/config.json cannot be read: "),
        (lambda f: (f / WEIGHTS).unlink(), "{f} has no weights: neither model.safetensors nor"),
    ],
)
def test_what_is_missing_is_said(
    folder: Path, change: Callable[[Path], object], message: str
) -> None:
    change(folder)
    assert reason(folder).startswith(message.format(f=folder))


def test_a_place_that_is_a_file_is_no_folder(folder: Path) -> None:
    assert reason(folder / "config.json").startswith("there is no folder")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (transformers.T5Config(d_model=8, d_ff=8, num_layers=1, num_heads=1), "is a t5 model, no"),
        (
            transformers.CLIPVisionConfig(),
            "is a clip_vision_model model, not a causal language model",
        ),
    ],
)
@pytest.mark.seconds
def test_a_model_that_is_no_causal_language_model_is_not_run(
    tmp_path: Path, config: transformers.PreTrainedConfig, message: str
) -> None:
    config.save_pretrained(tmp_path)
    assert message in reason(tmp_path)


@pytest.mark.parametrize("kind", ["Bert", "Mamba", "OPT"])
def test_a_causal_model_of_another_layout_has_no_places(tmp_path: Path, kind: str) -> None:
    config = getattr(transformers, f"{kind}Config")(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=20, is_decoder=True
    )
    config.save_pretrained(tmp_path)
    model = hub.skeleton(Checkpoint(str(tmp_path)))
    with pytest.raises(TypeError, match=f"families {', '.join(FAMILIES)}, but got {kind}"):
        places(model)


def test_memory_is_estimated_before_any_weights_are_read(folder: Path) -> None:
    """The weights are not even there: a configuration is enough to refuse."""
    (folder / WEIGHTS).unlink()
    edit(folder, hidden_size=32_768, intermediate_size=131_072, num_hidden_layers=200)
    edit(folder, num_attention_heads=64, vocab_size=320)
    said = reason(folder)
    assert said.startswith(f"{folder} has 2577.1 billion parameters, which need 10560.4 GiB as")
    assert "float32" in said
    assert "GiB are free; set dtype to bfloat16 or take a larger machine" in said
    with pytest.raises(NotRun, match="need 5280.2 GiB as bfloat16"):
        load(folder, torch.bfloat16)
    with pytest.raises(NotRun, match="need 10560.4 GiB"):
        hub.untrained(Checkpoint(str(folder)), 0, torch.float32)


def test_an_untrained_model_is_drawn_from_its_seed_alone(folder: Path) -> None:
    checkpoint = Checkpoint(str(folder))
    torch.manual_seed(5)
    first = hub.untrained(checkpoint, 1, torch.float32)
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), drawn)
    again, other = (hub.untrained(checkpoint, seed, torch.float32) for seed in (1, 2))
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert not torch.equal(logits(first, TOKENS), logits(other, TOKENS))
    assert not torch.equal(logits(first, TOKENS), logits(load(folder), TOKENS))
    assert not any(p.requires_grad for p in first.parameters())


def test_a_tokenizer_is_read_with_a_configuration_or_without(folder: Path, tmp_path: Path) -> None:
    made = tokenizer_of(["some text of some words"] * 3)
    made.save(str(folder / "tokenizer.json"))
    made.save(str(tmp_path / "tokenizer.json"))
    ids = made.encode("some words").ids
    for place in (folder, tmp_path):
        tokenizer = hub.load_tokenizer(Checkpoint(str(place)))
        assert tokenizer("some words", add_special_tokens=False)["input_ids"] == ids


def test_a_tokenizer_that_is_missing_or_damaged_is_not_run(folder: Path) -> None:
    with pytest.raises(NotRun, match="has no tokenizer; save one there, name a folder as tokens"):
        hub.load_tokenizer(Checkpoint(str(folder)))
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(NotRun, match="the tokenizer of .* cannot be read: .*; save one there"):
        hub.load_tokenizer(Checkpoint(str(folder)))


def test_what_stands_for_weights_changes_with_them(folder: Path) -> None:
    before = hub.identity(Checkpoint(str(folder)))
    hub.identity.cache_clear()
    assert hub.identity(Checkpoint(str(folder))) == before
    edit(folder, rotary_pct=0.5)
    hub.identity.cache_clear()
    assert hub.identity(Checkpoint(str(folder))) != before
    with pytest.raises(NotRun, match="there is no folder"):
        hub.identity(Checkpoint(str(folder / "nowhere")))
