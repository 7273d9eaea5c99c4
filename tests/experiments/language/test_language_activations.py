"""Activations and autoencoders that are kept: what is read is what would be measured anew."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier

import planted_language
import pytest
import torch
from planted_language import VOCABULARY, D
from torch import Tensor
from typer.testing import CliRunner

from polyrot.capabilities.autoencoders import TrainedAutoencoders
from polyrot.cli import app
from polyrot.errors import NotRun
from polyrot.experiments.language.activations import harvest_language, read_sites
from polyrot.interventions.places import FINAL_NORM
from polyrot.models.harvest import Activations
from polyrot.models.hub import Checkpoint
from polyrot.models.sources import ModelSource
from polyrot.progress import Progress
from polyrot.sae.recipe import SAEConfig
from polyrot.sae.training import train_saes

SITES = ("resid_pre.0", "resid_post.1", FINAL_NORM)
TOKENS = torch.randint(VOCABULARY, (12, 7), generator=torch.manual_seed(3))

FOLDERS: list[Path] = []
"""Where the two models are."""


@pytest.fixture(scope="module", autouse=True)
def _models(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("models")
    FOLDERS[:] = [planted_language.saved(planted_language.neox(i), root / str(i)) for i in range(2)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for every test; what is in it is part of what is tested."""
    monkeypatch.setenv("POLYROT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "activations"


class Loads(list[int]):
    """The models that were asked for, in order."""

    def __call__(self, index: int) -> ModelSource:
        self.append(index)
        return ModelSource(Checkpoint(str(FOLDERS[index])), torch.float32)


def harvest(loads: Loads, tokens: Tensor = TOKENS, **changes: object) -> Activations:
    options = {"batch": 5, "what": {"models": ["a", "b"]}, **changes}
    models = [partial(loads, index) for index in range(2)]
    return harvest_language(models, D, tokens, SITES, **options)


def end_with(error: BaseException) -> Progress:
    """End a run once its first model ran."""

    def progress(share: float, what: str) -> None:
        assert share == 0.5
        raise error

    return progress


def folders(cache: Path) -> list[Path]:
    return [path for path in cache.iterdir() if path.is_dir()]


def equal(found: Activations) -> bool:
    """Is this what the models give when they run on everything at once?"""
    for index in range(2):
        direct = read_sites(planted_language.neox(index), TOKENS, SITES)
        for site in SITES:
            # Another batch may round otherwise.
            torch.testing.assert_close(found.at(site)[index], direct[site].flatten(0, 1))
    return True


def test_activations_equal_a_direct_run_and_are_run_once(cache: Path) -> None:
    loads, shares = Loads(), []
    found = harvest(loads, progress=lambda share, what: shares.append(share))
    assert equal(found)
    assert found.at("resid_pre.2").shape == (2, 12 * 7, D)  # an alias
    assert found.at(FINAL_NORM).dtype == torch.float32
    assert found.sequence.tolist() == [row for row in range(12) for _ in range(7)]
    assert sorted(found.by_site) == sorted(SITES)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    again = harvest(loads)
    assert equal(again)
    for site in SITES:
        assert torch.equal(again.at(site), found.at(site))
    assert loads == [0, 1]
    with pytest.raises(KeyError, match="resid_post.0"):
        found.at("resid_post.0")


def test_whatever_determines_the_numbers_is_in_the_key(cache: Path) -> None:
    loads = Loads()
    harvest(loads)
    harvest(loads, TOKENS.flip(0))
    harvest(loads, what={"models": ["a", "c"]})
    assert loads == [0, 1] * 3
    assert len(folders(cache)) == 3


def test_who_writes_to_activations_does_not_write_to_the_file() -> None:
    loads = Loads()
    found = harvest(loads)
    found.at("resid_pre.0").zero_()
    assert equal(harvest(loads))
    assert loads == [0, 1]


def test_activations_and_autoencoders_outlive_a_cache_that_is_cleared(cache: Path) -> None:
    loads = Loads()
    harvest(loads)
    found = harvest(loads)  # of the files, and of no site yet
    recipe = SAEConfig(steps=2, batch=4)
    (sae, _) = TrainedAutoencoders(
        "toy", recipe, lambda site: [*found.at(site)], lambda share, what: None
    ).at("resid_post.1", [0, 1])
    arguments = ["cache", "clear", "activations", "saes", "--yes"]
    assert CliRunner().invoke(app, arguments).stdout.startswith("removed: 2 of 2 entries")
    assert folders(cache) == []
    assert equal(found)
    assert sorted(found.by_site) == sorted(SITES)
    assert torch.isfinite(sae.decode(sae.encode(found.at("resid_post.1")[0]))).all()
    assert equal(harvest(loads))
    assert loads == [0, 1] * 2


def damage_bytes(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("resid_post.1", damage_bytes),
        ("resid_post.1", lambda file: file.write_bytes(file.read_bytes()[:1000])),
        ("resid_post.1", Path.unlink),
        ("index.json", Path.unlink),
        ("index.json", lambda file: file.write_text("{")),
        ("index.json", lambda file: file.write_text("[]")),
        ("index.json", lambda file: file.write_text("{}")),
        ("index.json", lambda file: file.write_bytes(b"\xff")),
    ],
)
def test_what_is_damaged_is_measured_anew(
    cache: Path, name: str, damage: Callable[[Path], object]
) -> None:
    loads = Loads()
    harvest(loads)
    (folder,) = folders(cache)
    damage(folder / name)
    assert equal(harvest(loads))
    assert loads == [0, 1, 0, 1]
    assert equal(harvest(loads))
    assert loads == [0, 1, 0, 1]
    assert folders(cache) == [folder]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), NotRun("gone"), MemoryError()])
def test_nothing_half_written_is_left_of_a_run_that_ends_early(
    cache: Path, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        harvest(Loads(), progress=end_with(error))
    assert not folders(cache)
    loads = Loads()
    assert equal(harvest(loads))
    assert loads == [0, 1]
    assert len(folders(cache)) == 1


def test_a_run_that_ends_early_leaves_what_was_there(cache: Path) -> None:
    harvest(Loads())
    (folder,) = folders(cache)
    damage_bytes(folder / "resid_pre.0")
    with pytest.raises(KeyboardInterrupt):
        harvest(Loads(), progress=end_with(KeyboardInterrupt()))
    assert folders(cache) == [folder]
    assert equal(harvest(Loads()))


def test_two_runs_at_once_share_one(cache: Path) -> None:
    """Threads here: the lock is the system's, and knows no difference to processes."""
    both = Barrier(2)

    def run() -> tuple[Loads, Activations]:
        loads = Loads()
        both.wait()
        return loads, harvest(loads)

    with ThreadPoolExecutor(2) as pool:
        results = [future.result() for future in [pool.submit(run) for _ in range(2)]]
    assert sorted(loads for loads, _ in results) == [[], [0, 1]]
    assert all(equal(found) for _, found in results)
    assert len(folders(cache)) == 1


def test_activations_larger_than_the_disk_are_not_run(cache: Path) -> None:
    free = shutil.disk_usage(cache.parent.parent).free
    # Twice as much: other tests delete their files meanwhile.
    wide = 2 * free // (4 * TOKENS.numel() * len(SITES))
    loads = Loads()
    with pytest.raises(NotRun, match="the activations need .* GiB in .* are free; set POLYROT"):
        harvest_language([partial(loads, 0)], wide, TOKENS, SITES, batch=1, what={})
    assert not loads
    assert not folders(cache)


RECIPE = SAEConfig(expansion=2, steps=3, batch=16, l1=1e-3)


class Data(list[str]):
    """Activations by site, and which were asked for."""

    def __call__(self, site: str) -> list[Tensor]:
        self.append(site)
        return [torch.randn(64, 8, generator=torch.manual_seed(s)) for s in range(3)]


def trainer(data: Data, recipe: SAEConfig = RECIPE) -> tuple[TrainedAutoencoders, list[float]]:
    shares: list[float] = []
    return TrainedAutoencoders("toy", recipe, data, lambda s, what: shares.append(s)), shares


def test_autoencoders_are_those_of_the_recipe_and_trained_once() -> None:
    data = Data()
    made, shares = trainer(data)
    found = made.at("late", [0, 1, 2])
    direct = train_saes(data("late"), [SAEConfig(2, 1e-3, 3, 16, seed=s) for s in range(3)])
    for sae, expected in zip(found, direct, strict=True):
        for name in ("W_enc", "b_enc", "W_dec", "b_dec"):
            assert torch.equal(getattr(sae, name), getattr(expected, name))
    assert [sae.metadata["seed"] for sae in found] == [0, 1, 2]
    assert len(shares) == 3
    assert made.at("late", [0, 1, 2]) is found
    # Another process takes them from the cache.
    again, shares = trainer(data)
    assert torch.equal(again.at("late", [0, 1, 2])[2].W_dec, found[2].W_dec)
    assert not shares
    other, shares = trainer(data, SAEConfig(2, 1e-2, 3, 16))
    assert not torch.equal(other.at("late", [0, 1, 2])[2].W_dec, found[2].W_dec)
    assert shares


def test_a_damaged_autoencoder_is_trained_anew(cache: Path) -> None:
    made, _ = trainer(Data())
    before = made.at("late", [0, 0, 0])[1].W_enc.clone()
    (weights,) = (cache.parent / "saes").glob("*/1/*.safetensors")
    damage_bytes(weights)
    again, shares = trainer(Data())
    assert torch.equal(again.at("late", [0, 0, 0])[1].W_enc, before)
    assert len(shares) == 3
    (index,) = (cache.parent / "saes").glob("*/index.json")
    assert len(json.loads(index.read_text())) == 6


def test_an_interrupted_training_of_autoencoders_is_taken_up(cache: Path) -> None:
    whole, _ = trainer(Data(), RECIPE)
    expected = whole.at("late", [0, 0, 0])[1].W_enc.clone()
    shutil.rmtree(cache.parent / "saes")

    def interrupt(share: float, what: str) -> None:
        assert what == f"toy: training 3 autoencoders at late, step 1 of {RECIPE.steps}"
        raise KeyboardInterrupt

    made = TrainedAutoencoders("toy", RECIPE, Data(), interrupt)
    with pytest.raises(KeyboardInterrupt):
        made.at("late", [0, 0, 0])
    assert len(list((cache.parent / "saes").glob("*/training.pt"))) == 1
    again, shares = trainer(Data())
    assert torch.equal(again.at("late", [0, 0, 0])[1].W_enc, expected)
    assert len(shares) == RECIPE.steps - 1
    assert not list((cache.parent / "saes").glob("*/training.pt"))
