"""`polyrot align`: two models whose rotation is known, and what goes wrong on the way."""

from pathlib import Path

import numpy as np
import planted_language
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from scipy import stats
from torch import Tensor
from typer.testing import CliRunner

import polyrot as pr
from polyrot import parallel
from polyrot.cli import app
from polyrot.compare import scoring
from polyrot.compare.compare import compare_models
from polyrot.compare.request import Request, checkpoint, compare
from polyrot.errors import NotRun
from polyrot.experiments.language.activations import read_sites
from polyrot.linalg import haar
from polyrot.models.hub import Checkpoint
from polyrot.models.sources import ModelSource

D = planted_language.D
SITES = ("resid_pre.0", "resid_post.0", "resid_post.2")


def rotated(model: planted_language.Model, turn: Tensor) -> planted_language.Model:
    """A Llama that computes the same function in another basis: its norms have gains of 1."""
    image = planted_language.llama()
    image.load_state_dict(model.state_dict())
    turn = turn.float()
    with torch.no_grad():
        for name, weight in image.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                weight.copy_(turn.mT @ weight)
            elif weight.ndim == 2:
                weight.copy_(weight @ turn)
    return image


@pytest.fixture(scope="module")
def turn() -> Tensor:
    return haar.sample(D, group="O", seed=5)


@pytest.fixture(scope="module")
def models(turn: Tensor) -> tuple[planted_language.Model, ...]:
    """A model, its image under a rotation, and a model of its own."""
    model = planted_language.llama()
    return model, rotated(model, turn), planted_language.llama(seed=1)


@pytest.fixture(scope="module")
def tokens() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(planted_language.VOCABULARY, (64, 24), generator=generator)


@pytest.fixture(scope="module")
def folders(
    models: tuple[planted_language.Model, ...],
    tokens: Tensor,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    root = tmp_path_factory.mktemp("models")
    for name, model in zip(("one", "image", "two"), models, strict=True):
        planted_language.saved(model, root / name)
    planted_language.saved(planted_language.llama(hidden_size=16), root / "narrow")
    np.save(root / "tokens.npy", tokens.numpy())
    return root


def sources(folders: Path, *names: str) -> list[ModelSource]:
    return [ModelSource(Checkpoint(str(folders / name)), torch.float32) for name in names]


def run(folders: Path, source: str, target: str, *options: str) -> tuple[int, str]:
    arguments = ["align", str(folders / source), str(folders / target)]
    arguments += ["--tokens", str(folders / "tokens.npy"), "--sequences", "64", *options]
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output


def test_an_image_is_the_same_function(
    models: tuple[planted_language.Model, ...], tokens: Tensor
) -> None:
    logits = [planted_language.logits(model, tokens) for model in models]
    assert torch.allclose(logits[0], logits[1], atol=1e-4)
    assert not torch.allclose(logits[0], logits[2], atol=0.1)


def test_the_rotation_of_an_image_is_found_and_explains_everything(
    folders: Path, tokens: Tensor, turn: Tensor, tmp_path: Path
) -> None:
    for c in compare_models(*sources(folders, "one", "image"), tokens, SITES, tmp_path):
        assert torch.allclose(c.fit.rotation, turn, atol=1e-4)
        assert c.ev["O"].value == pytest.approx(1, abs=1e-6)
        assert c.fit.identifiable_rank == D
        assert c.ev["permutation"].value < 0.2
        assert c.ev["identity"].value < 0.2
        assert c.ev["affine"].value == pytest.approx(1, abs=1e-4)


def test_a_model_of_its_own_is_explained_much_less(
    folders: Path, tokens: Tensor, tmp_path: Path
) -> None:
    for c in compare_models(*sources(folders, "one", "two"), tokens, SITES, tmp_path):
        assert c.ev["O"].high < 0.6


def test_ev_and_its_interval_by_hand(
    folders: Path,
    models: tuple[planted_language.Model, ...],
    tokens: Tensor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scoring, "SHARD_TOKENS", 5 * 24)  # several units of work
    site = "resid_post.0"
    two = sources(folders, "one", "two")
    (c,) = compare_models(*two, tokens, [site], tmp_path, batch=2, held_out=0.25, seed=3)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(3))
    x, y = (read_sites(model, tokens, [site])[site].double() for model in (models[0], models[2]))
    fit = pr.align(x[order[16:]].flatten(0, 1), y[order[16:]].flatten(0, 1), holdout=0)

    def explained(sequences: Tensor) -> float:
        source, target = x[sequences].flatten(0, 1), y[sequences].flatten(0, 1)
        residual = (fit.apply(source) - target).square().sum()
        return float(1 - residual / (target - target.mean(0)).square().sum())

    held = order[:16]
    without = np.array([explained(torch.cat([held[:i], held[i + 1 :]])) for i in range(16)])
    error = (15 / 16 * ((without - without.mean()) ** 2).sum()) ** 0.5
    half = stats.t.ppf(0.975, 15) * error
    estimate = c.ev["O"]
    assert estimate.value == pytest.approx(explained(held), abs=1e-9)
    assert (estimate.high - estimate.low) / 2 == pytest.approx(half, rel=1e-6)
    assert (estimate.unit, estimate.n) == ("sequence", 16)


def test_the_table_names_every_figure_in_eighty_columns(folders: Path, tmp_path: Path) -> None:
    out = tmp_path / "rotation.safetensors"
    code, output = run(folders, "one", "image", "-v", "--out", str(out))
    assert code == 0
    assert all(len(line) <= 80 for line in output.splitlines() if not line.startswith("rotation:"))
    for said in ("resid_post.2", f"{D} of {D}", "signed-permutation", "16 held-out", "spacings"):
        assert said in output
    with safe_open(out, "pt") as file:
        assert file.metadata()["source"] == str(folders / "one")
        assert f"{SITES[0]}.rotation" in file.keys()  # noqa: SIM118


def test_what_is_carried_belongs_to_the_other_model(
    folders: Path, tmp_path: Path, turn: Tensor, models: tuple[planted_language.Model, ...]
) -> None:
    vectors = torch.randn(3, D, generator=torch.Generator().manual_seed(1))
    np.save(tmp_path / "vectors.npy", vectors.numpy())
    save_file({"sentiment": vectors[0].clone()}, tmp_path / "named.safetensors")
    generator = torch.Generator().manual_seed(2)
    sae = pr.SAE(
        torch.randn(D, 40, generator=generator),
        torch.zeros(40),
        torch.randn(40, D, generator=generator),
        torch.zeros(D),
    )
    sae.save(tmp_path / "sae")
    out = ("--out", str(tmp_path / "r.safetensors"), "--site", "resid_post.0")
    for file in ("vectors.npy", "named.safetensors"):
        code, output = run(folders, "one", "image", *out, "--carry-vector", str(tmp_path / file))
        assert code == 0, output
    code, output = run(folders, "one", "image", *out, "--carry-sae", str(tmp_path / "sae"))
    assert code == 0, output
    carried = torch.from_numpy(np.load(tmp_path / "vectors-carried.npy"))
    assert torch.allclose(carried, vectors @ turn.float(), atol=1e-3)
    named = load_file(tmp_path / "named-carried.safetensors")
    assert torch.allclose(named["sentiment"], carried[0])
    tokens = torch.from_numpy(np.load(folders / "tokens.npy"))
    x, y = (read_sites(model, tokens, ["resid_post.0"])["resid_post.0"] for model in models[:2])
    moved = pr.SAE.load(tmp_path / "sae-carried")
    latents = sae.encode(x.flatten(0, 1)), moved.encode(y.flatten(0, 1))
    assert torch.allclose(*latents, atol=1e-2)


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        ("narrow", (), "Expected models of one width but"),
        ("nowhere", (), "there is no folder"),
        ("two", ("--site", "resid_mid.0"), "Expected sites among resid_pre.0"),
        ("two", ("--dtype", "float8"), "Expected dtype among float32"),
        ("two", ("--backend", "spark"), "Expected backend among loky, dask, ray"),
        ("two", ("--backend", "dask"), "needs a cluster"),
        ("two", ("--carry-vector", "x.npy"), "need exactly one --site"),
        ("two", ("--site", "resid_post.0", "--carry-vector", "x.npy"), "there is no file x.npy"),
        ("two", ("--site", "resid_post.0", "--carry-sae", "nowhere"), "Expected nowhere to hold"),
    ],
)
def test_what_is_wrong_is_one_line(
    folders: Path, tmp_path: Path, target: str, options: tuple[str, ...], message: str
) -> None:
    out = tmp_path / "rotation.safetensors"
    code, output = run(folders, "one", target, *options, "--out", str(out))
    assert code == 2
    assert message in " ".join(output.replace("│", " ").split())
    assert "Traceback" not in output
    assert not out.exists()


def test_a_vector_of_another_width_is_refused(folders: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "short.npy", np.zeros(D - 1, dtype=np.float32))
    options = ("--site", "resid_post.0", "--out", str(tmp_path / "r.safetensors"))
    code, output = run(
        folders, "one", "two", *options, "--carry-vector", str(tmp_path / "short.npy")
    )
    assert code == 2
    assert f"Expected floating [..., {D}]" in output
    assert not (tmp_path / "r.safetensors").exists()  # told before anything ran


def test_text_wants_a_tokenizer_and_is_read_by_it(folders: Path, tmp_path: Path) -> None:
    (tmp_path / "prose.txt").write_text("some words of plain prose, and some more. " * 400)
    request = Request(str(folders / "one"), str(folders / "image"), text=(str(tmp_path / "*.txt"),))
    with pytest.raises(NotRun, match="has no tokenizer"):
        compare(request, tmp_path)


@pytest.mark.process
def test_two_processes_say_the_same(folders: Path, tmp_path: Path) -> None:
    outputs = []
    for jobs in ("1", "2"):
        out = tmp_path / f"{jobs}.safetensors"
        code, output = run(folders, "one", "two", "--jobs", jobs, "--out", str(out))
        assert code == 0, output
        table = output[output.index("rotation\n") :]  # progress may stand before it
        outputs.append(table.replace(out.name, ""))
    assert outputs[0] == outputs[1]
    first, second = (load_file(tmp_path / f"{jobs}.safetensors") for jobs in "12")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_every_option_is_part_of_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def seen(request: Request, folder: Path, **_: object) -> None:
        asked.extend((request, parallel.workers()))
        raise NotRun("seen")

    monkeypatch.setattr("polyrot.compare.request.compare", seen)
    given = "--site resid_post.0 --site resid_post.1 --text a.txt --text *.md --sequences 9"
    given += " --length 10 --batch 3 --dtype bfloat16 --device cpu --seed 4 --jobs 2 -v"
    result = CliRunner().invoke(app, ["align", "one", "two", *given.split()])
    assert (result.exit_code, result.stderr) == (2, "polyrot align: seen\n")
    sites, text = ("resid_post.0", "resid_post.1"), ("a.txt", "*.md")
    numbers = {"sequences": 9, "length": 10, "batch": 3, "seed": 4}
    request = Request("one", "two", sites, text, dtype="bfloat16", device="cpu", **numbers)
    assert asked == [request, parallel.Workers("loky", 2)]
    refused = CliRunner().invoke(app, ["align", "one", "two", "--cluster", "tcp://x:1"])
    assert refused.exit_code == 2
    assert "Expected backend dask or ray with a cluster" in refused.stderr


def test_names_of_models() -> None:
    assert checkpoint("owner/model") == Checkpoint("owner/model", "main")
    assert checkpoint("owner/model@step3") == Checkpoint("owner/model", "step3")
    assert checkpoint(".") == Checkpoint(".")
    with pytest.raises(ValueError, match="there is no folder"):
        checkpoint("./nowhere")


def test_what_is_no_direction_is_refused(folders: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "whole.npy", np.ones(D, dtype=np.int64))
    options = ("--site", "resid_post.0", "--out", str(tmp_path / "r.safetensors"))
    code, output = run(
        folders, "one", "two", *options, "--carry-vector", str(tmp_path / "whole.npy")
    )
    assert code == 2
    assert "is torch.int64" in output
    code, output = run(folders, "one", "two", "--device", "gpu")
    assert code == 2
    assert "Expected device cpu or cuda but got 'gpu'" in output


def test_a_folder_that_is_misspelt_is_not_looked_for_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "vector.npy").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="there is no folder runs/twoo"):
        checkpoint("runs/twoo")
    with pytest.raises(ValueError, match=r"vector\.npy is a file"):
        checkpoint("vector.npy")
