"""Models before a verb: what a reader sees and edits, and the shipped suite of small ones."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from planted_agreement import PROMPTS, of_world, one_axis, write_gpt2
from planted_language import gpt2, llama, neox, tokenizer_of
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from polyrot.cores import flip, keep, remove
from polyrot.errors import NotRun
from polyrot.experiments.agreement import readers as agreement
from polyrot.experiments.agreement.axes import (
    INTERVENTIONS,
    Study,
    past_direction,
    random_directions,
    study,
)
from polyrot.experiments.agreement.controls import RotatedReader
from polyrot.experiments.agreement.readers import Copulas, LanguageReader, copulas
from polyrot.experiments.agreement.studies import Readers, pairs_of_sizes, units
from polyrot.experiments.agreement.train import Plan, Size, build_agreement, recipe
from polyrot.experiments.language.suite import LanguageSuite
from polyrot.interventions.edit import edited
from polyrot.interventions.places import FINAL_NORM
from polyrot.linalg import haar
from polyrot.models import hub
from polyrot.models.hub import Checkpoint
from polyrot.models.language_training import (
    LanguageConfig,
    _batch,
    new_model,
    next_token_loss,
)
from polyrot.suites.artifacts import SHIPPED, Artifacts, DamagedArtifact, MissingArtifact
from polyrot.suites.loading import load_suite, suite_provenance
from polyrot.tasks.agreement_language import new_tokenizer

TOKENS = [[5, 9, 3], [7, 8, 2, 1, 30], [4, 4, 11], [6, 2], [12, 40, 41, 3, 9]]
VERBS = Copulas((20, 21), (22, 23))


def naive_margin(model: nn.Module, ids: list[int]) -> Tensor:
    """Of a whole run, without any cache."""
    logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
    return logits[20] + logits[21] - logits[22] - logits[23]


@pytest.mark.parametrize("build", [gpt2, neox, llama])
def test_states_margins_and_gradients_are_those_of_whole_runs(build: Callable) -> None:
    model = build(3)
    seen = LanguageReader(lambda: model, TOKENS, VERBS, batch=1).observe()
    assert seen.states.shape == seen.gradients.shape == (3, 5, 32)
    for row, ids in enumerate(TOKENS):
        states = model(
            input_ids=torch.tensor([ids]), output_hidden_states=True, use_cache=False
        ).hidden_states
        for layer in range(2):
            assert torch.allclose(seen.states[layer, row], states[layer + 1][0, -1], atol=1e-5)
        assert float(seen.margins[row]) == pytest.approx(float(naive_margin(model, ids)), abs=1e-4)
        for layer in range(3):
            moved = torch.zeros(32, requires_grad=True)

            def move(x: Tensor, moved: Tensor = moved) -> Tensor:
                return torch.cat([x[:, :-1], x[:, -1:] + moved], dim=1)

            with edited(model, {f"resid_post.{layer}": move}):
                naive_margin(model, ids).backward()
            assert torch.allclose(seen.gradients[layer, row], moved.grad, atol=1e-4)


def test_the_last_state_may_be_read_behind_the_final_norm() -> None:
    model = gpt2(3)
    seen = LanguageReader(lambda: model, TOKENS, VERBS, last=FINAL_NORM).observe()
    plain = LanguageReader(lambda: model, TOKENS, VERBS).observe()
    states = model(input_ids=torch.tensor([TOKENS[1]]), output_hidden_states=True).hidden_states
    assert torch.allclose(seen.states[-1, 1], states[-1][0, -1], atol=1e-5)
    assert torch.equal(seen.states[:-1], plain.states[:-1])
    assert not torch.allclose(seen.states[-1], plain.states[-1], atol=0.1)
    # Behind the norm the margin is linear: every prompt has one gradient.
    assert torch.allclose(seen.gradients[-1], seen.gradients[-1, :1], atol=1e-5)


@pytest.mark.parametrize("build", [gpt2, neox, llama])
@pytest.mark.parametrize("pass_bytes", [1, 2**26])
def test_edits_are_of_the_last_token_alone(
    build: Callable, pass_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agreement, "PASS_BYTES", pass_bytes)
    model = build(4)
    edits = [(0, lambda x: 2 * x), (2, lambda x: x + 1), (0, lambda x: x - 3), (1, lambda x: x)]
    reader = LanguageReader(lambda: model, TOKENS, VERBS, batch=2)
    found = reader.edited_margins(edits, torch.ones(5, dtype=torch.bool))
    assert found.shape == (4, 5)
    some = torch.tensor([True, False, True, True, False])
    assert torch.allclose(reader.edited_margins(edits, some), found[:, some], atol=1e-4)
    for index, (layer, edit) in enumerate(edits):

        def last(x: Tensor, edit: Callable = edit) -> Tensor:
            return torch.cat([x[:, :-1], edit(x[:, -1:])], dim=1)

        with edited(model, {f"resid_post.{layer}": last}), torch.inference_mode():
            whole = torch.stack([naive_margin(model, ids) for ids in TOKENS])
        assert torch.allclose(found[index], whole, atol=1e-4)
    whole = torch.stack([naive_margin(model, ids) for ids in TOKENS])
    assert torch.allclose(found[3], whole, atol=1e-4)


def test_verbs_are_single_tokens_or_nothing_is_measured() -> None:
    ours = new_tokenizer()
    assert ours.convert_ids_to_tokens(copulas(ours).plural) == ["are", "were"]
    words = tokenizer_of(["the key is are was were"] * 9, 300)
    bpe = PreTrainedTokenizerFast(tokenizer_object=words)
    assert bpe.convert_ids_to_tokens(copulas(bpe).singular) == ["\u0120is", "\u0120was"]
    poor = PreTrainedTokenizerFast(tokenizer_object=tokenizer_of(["abc"], 260))
    with pytest.raises(NotRun, match=r"no single token for ' are' \(it gives \[.*\]\), which the"):
        copulas(poor)


def test_interventions_on_a_planted_axis_do_as_they_say() -> None:
    own = study(one_axis(3, PROMPTS), PROMPTS)
    axis = own.reader.readout[0]
    assert abs(float(own.cores[0] @ axis)) > 0.97
    for areas in (own.training, own.test):
        assert areas.base > 0.95
        for layer in range(2):
            assert areas.by_layer["keep"][layer] > areas.base - 0.01
            assert areas.by_layer["remove"][layer] < 0.6
            assert areas.by_layer["flip"][layer] < 0.06
    ((kept, removed, flipped),) = (tuple(o.values()) for o in own.intervene(0, [axis]))
    # The margin is the coordinate itself.
    assert kept == own.test.base
    assert removed == 0.5  # all margins are alike
    assert flipped == pytest.approx(1 - own.test.base)


def test_two_axes_are_not_one() -> None:
    own = study(of_world("verb-two-axes", 4)(0, PROMPTS), PROMPTS)
    assert own.test.base > 0.99
    assert own.test.by_layer["keep"][0] < 0.9
    assert own.test.by_layer["remove"][0] > 0.65
    assert own.test.by_layer["flip"][0] > 0.2


def test_the_first_layer_of_the_least_area_is_chosen() -> None:
    own = study(one_axis(3, PROMPTS), PROMPTS).test
    assert type(own)(1.0, {"flip": (0.3, 0.1, 0.1)}).best_layer == 1


@pytest.mark.seconds
def test_a_rotated_reader_says_the_same() -> None:
    model = gpt2(5)
    tokens = [[1 + i % 7, 3 + i % 11, 5 + i % 3][: 2 + i % 2] for i in range(len(PROMPTS.prompts))]
    reader = LanguageReader(lambda: model, tokens, VERBS)
    turned = RotatedReader(reader, haar.sample(32, seed=1))
    one, other = (study(own, PROMPTS) for own in (reader, turned))
    for layer in range(3):
        a, b = (s.coordinates(layer, s.cores[layer]) for s in (one, other))
        assert torch.allclose(a, b, atol=1e-4)
    for name in INTERVENTIONS:
        assert one.test.by_layer[name] == pytest.approx(other.test.by_layer[name], abs=0.02)


def test_coordinates_rise_with_the_margin_and_are_centred() -> None:
    own = study(one_axis(2, PROMPTS), PROMPTS)
    training = torch.from_numpy(PROMPTS.training)
    for axis in (own.cores[0], -own.cores[0]):
        along = own.coordinates(0, axis)
        assert float(along[training].mean()) == pytest.approx(0, abs=1e-9)
        assert np.corrcoef(along, own.margins)[0, 1] > 0.9


def test_other_axes_are_units() -> None:
    own = study(one_axis(2, PROMPTS), PROMPTS)
    drawn = random_directions(12, 3, seed=4)
    assert torch.allclose(drawn.norm(dim=1), torch.ones(3, dtype=torch.float64))
    assert torch.equal(drawn, random_directions(12, 3, seed=4))
    past = past_direction(own, 0)
    assert float(past.norm()) == pytest.approx(1)
    assert abs(float(past @ own.reader.readout[0])) < 0.9


def test_interventions_are_of_cores() -> None:
    assert {"keep": keep, "remove": remove, "flip": flip} == INTERVENTIONS


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gpt2(tmp_path_factory.mktemp("tiny"))


@pytest.mark.seconds
def test_models_of_a_folder_read_the_prompts(tiny: Path) -> None:
    suite = load_suite(str(tiny))
    assert isinstance(suite, LanguageSuite)
    readers = suite.get(Readers)
    assert readers.sizes == {"small": (1,), "medium": (2,), "width 48": (3,)}
    assert units(readers) == {"": (1, 2, 3)}
    assert pairs_of_sizes(readers) == {"all sizes": [(1, 2), (1, 3), (2, 3)]}
    seen = readers.reader(2, PROMPTS).observe()
    assert seen.states.shape == (2, 1_200, 32)
    own = readers.study(2)
    assert isinstance(own, Study)
    assert readers.study(2) is own
    assert len(own.margins) == 1_200


def test_what_cannot_be_read_is_not_run(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(NotRun, match="language models that read English; run it with --suite agr"):
        load_suite("world:haar").get(Readers)
    shutil.copytree(tiny.parent, tmp_path / "short")
    file = tmp_path / "short" / "tiny.toml"
    config = tmp_path / "short" / "seed1" / "config.json"
    config.write_text(config.read_text().replace('"n_positions": 64', '"n_positions": 4'))
    with pytest.raises(NotRun, match=r"prompts have up to \d+ tokens and .*seed1 reads 4"):
        load_suite(str(file)).get(Readers).reader(1, PROMPTS)
    text = file.read_text()
    file.write_text(
        text[: text.index("[[models]]", text.index("size"))]
        .replace("seed = 1", "seeds = [1, 2]")
        .replace("seed1", "seed{seed}")
    )
    with pytest.raises(NotRun, match=r"of tiny are of one size; give one \[\[models\]\] table"):
        pairs_of_sizes(load_suite(str(file)).get(Readers))


def test_the_shipped_models_agree_and_are_small() -> None:
    folder = SHIPPED / "agreement"
    manifest = Artifacts.open(folder).manifest
    assert len(manifest["seeds"]) == 11
    for own in manifest["seeds"].values():
        assert min(own["accuracy"].values()) >= 0.99
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) <= 2.6e6
    for file in folder.glob("seed*/model.safetensors"):
        assert {tensor.dtype for tensor in load_file(file).values()} == {torch.float16}
    assert "float16" in manifest["weights"]
    tokens = load_file(folder / "tokens.safetensors")
    assert {name: list(rows.shape) for name, rows in tokens.items()} == {
        "analysis": [256, 32],
        "sae": [1_024, 32],
    }


@pytest.mark.seconds
def test_the_suite_loads_what_is_shipped_and_trains_nothing(tmp_path: Path) -> None:
    suite = load_suite("agreement")
    sizes = {"small": (11, 12, 13), "medium": (21, 22, 23, 24, 25), "large": (31, 32, 33)}
    readers = suite.get(Readers)
    assert readers.sizes == units(readers) == sizes
    assert [len(pairs) for pairs in pairs_of_sizes(readers).values()] == [15, 9, 15]
    assert suite.tokenizer()("the keys")["input_ids"]
    provenance = suite_provenance("agreement", SHIPPED)
    assert len(provenance["models"]) == 11
    assert any(name.startswith("tokens.safetensors ") for name in provenance["files"])
    with pytest.raises(MissingArtifact, match="no trained files of agreement; `polyrot train"):
        load_suite("agreement", artifacts=tmp_path)
    shutil.copytree(SHIPPED / "agreement", tmp_path / "agreement")
    assert (
        load_suite("agreement", artifacts=tmp_path).checkpoints[0].place.startswith(str(tmp_path))
    )
    (tmp_path / "agreement" / "seed11" / "model.safetensors").write_bytes(b"0")
    with pytest.raises(DamagedArtifact, match=r"seed11/model.safetensors is damaged"):
        load_suite("agreement", artifacts=tmp_path)


@pytest.mark.seconds
def test_a_shipped_models_accuracy_is_the_manifests() -> None:
    suite = load_suite("agreement")
    own = suite.get(Readers).study(11)
    right = (own.margins > 0).numpy() == own.prompts.plural
    manifest = json.loads((SHIPPED / "agreement" / "manifest.json").read_text())
    assert round(float(right.mean()), 4) == manifest["seeds"]["11"]["accuracy"]["all prompts"]


PLAN = Plan(
    {"small": Size(recipe(16, 1, steps=4), (1, 2))}, training_rows=64, analysis_rows=8, sae_rows=8
)


@pytest.mark.training
def test_a_training_is_written_and_resumed(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    whole = build_agreement(
        PLAN, tmp_path / "one", work=tmp_path / "work", command="polyrot train agreement"
    )
    assert set(whole.manifest["seeds"]) == {"1", "2"}
    assert Artifacts.open(tmp_path / "one").manifest["command"] == "polyrot train agreement"
    assert {Path(name).parts[0] for name in whole.hashes} == {
        "tokens.safetensors",
        "tokenizer.json",
        "seed1",
        "seed2",
    }
    said: list[float] = []

    def interrupt(share: float, what: str) -> None:
        said.append(share)
        if "seed 2, step 2" in what:
            raise KeyboardInterrupt

    (tmp_path / "more").mkdir()
    with pytest.raises(KeyboardInterrupt):
        build_agreement(
            PLAN, tmp_path / "two", work=tmp_path / "more", command="", progress=interrupt
        )
    assert not (tmp_path / "two" / "manifest.json").exists()
    again = build_agreement(PLAN, tmp_path / "two", work=tmp_path / "more", command="")
    assert again.hashes == whole.hashes
    assert str(tmp_path) not in (tmp_path / "one" / "manifest.json").read_text()


@pytest.mark.training
def test_training_lowers_the_loss(tmp_path: Path) -> None:
    plan = Plan({"small": Size(recipe(16, 1, steps=40), (1,))}, 512, 8, 8)
    build_agreement(plan, tmp_path / "one", work=tmp_path, command="")
    rows = load_file(tmp_path / "one" / "tokens.safetensors")["analysis"].long()
    trained = hub.load(Checkpoint(str(tmp_path / "one" / "seed1")), torch.float32)
    assert next_token_loss(trained, rows) < next_token_loss(new_model(recipe(16, 1), 1), rows) - 0.2


def test_rows_keep_their_beginnings() -> None:
    config = LanguageConfig(vocabulary=500, context=9, batch=16, rows=True)
    tokens, labels = _batch(config, 1, 0, np.arange(400, dtype=np.int32))
    assert (tokens[:, 0] % 10 == 0).all()
    assert torch.equal(labels, tokens + 1)


def test_the_architecture_is_chosen() -> None:
    model = new_model(recipe(32, 2), 1)
    assert type(model).__name__ == "GPT2LMHeadModel"
    assert model.config.n_layer == 2
    assert torch.equal(
        model.transformer.wte.weight, new_model(recipe(32, 2), 1).transformer.wte.weight
    )
