"""`polyrot cache`: what is counted, what is removed, and what is left alone."""

import os
import time
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from typer.testing import CliRunner, Result

from polyrot.cli import app
from polyrot.stats import nulls
from polyrot.stats.estimate import Estimate
from polyrot.stats.nulls import cached_draws
from polyrot.upkeep.cache_contents import IN_USE
from polyrot.verdict.cache import EstimateCache

KEY = "0123456789abcdef01234567"


def cache(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(app, ["cache", *arguments], input=answer)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POLYROT_CACHE", str(tmp_path))
    return tmp_path


def fill(folder: Path) -> None:
    """Keep an estimate and a null as a run does, and folders as others do."""
    estimates = EstimateCache(Path(__file__), {"of": "a test"})
    estimates.measured("models", lambda: {"all": Estimate(1, 0, 2, "seed", 5, "by hand")})
    cached_draws({"of": "a test", "at": str(folder)}, lambda: {"trace": torch.zeros(4)})
    for kind in ("activations", "saes"):
        (folder / kind / KEY).mkdir(parents=True)
        (folder / kind / KEY / "resid_post.1").write_bytes(b"0" * 2048)
        (folder / kind / f"{KEY}.lock").touch()
    (folder / "artifacts" / "dyck3").mkdir(parents=True)
    (folder / "artifacts" / "dyck3" / "seed0.safetensors").write_bytes(b"0" * 4096)


def foreign(folder: Path) -> list[Path]:
    """Files that somebody else keeps in the same folder, under the same names even."""
    files = [folder / "thesis.tex", folder / "tokens" / "secret.txt", folder / "nulls" / "my.json"]
    files += [folder / "artifacts" / "mine" / "model.bin", folder / "training" / "log.pt"]
    files += [folder / "comparisons" / "result.csv", folder / "estimates" / ".hidden"]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("mine")
    return files


def rows(result: Result) -> dict[str, list[str]]:
    assert max(map(len, result.stdout.splitlines())) <= 80
    return {line.split()[0]: line.split() for line in result.stdout.splitlines()[3:] if line}


def test_kinds_are_counted_with_size_and_age(folder: Path) -> None:
    fill(folder)
    foreign(folder)
    old = time.time() - 3 * 86400
    os.utime(folder / "saes" / KEY / "resid_post.1", (old, old))
    os.utime(folder / "saes" / KEY, (old, old))
    result = cache()
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == str(folder)
    said = rows(result)
    assert said["activations"][1:5] == ["1", "2.0", "KiB", "just"]
    assert said["saes"][1:8] == ["1", "2.0", "KiB", "3", "days", "3", "days"]
    assert [said[kind][1] for kind in ("estimates", "nulls", "artifacts")] == ["1"] * 3
    assert [said[kind][1] for kind in ("tokens", "training", "comparisons")] == ["0"] * 3
    assert said["total"][1] == "5"


def test_a_folder_that_is_not_there_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLYROT_CACHE", str(tmp_path / "no"))
    assert rows(cache())["total"][1] == "0"
    assert cache("clear", "--yes").stdout.startswith("Nothing to remove")
    assert not (tmp_path / "no").exists()


def test_only_what_is_polyrots_is_removed_and_trained_models_only_by_name(folder: Path) -> None:
    fill(folder)
    kept = foreign(folder)
    result = cache("clear", "--yes")
    assert (result.exit_code, result.stdout.splitlines()[0][:21]) == (0, "removed: 3 of 3 entri")
    said = rows(cache())
    assert (said["total"][1], said["artifacts"][1], said["saes"][1]) == ("2", "1", "1")
    assert cache("clear", "artifacts", "saes", "training", "-y").exit_code == 0
    assert rows(cache())["total"][1] == "0"
    assert all(file.read_text() == "mine" for file in kept)


def test_nothing_is_removed_unless_it_is_confirmed(folder: Path) -> None:
    fill(folder)
    for answer in ("", "n\n"):
        assert cache("clear", answer=answer).exit_code == 1
    assert rows(cache())["total"][1] == "5"
    result = cache("clear", "estimates", answer="y\n")
    assert result.exit_code == 0
    assert "artifacts" not in result.stdout
    assert rows(cache())["total"][1] == "4"


def test_what_another_holds_the_lock_of_is_kept(folder: Path) -> None:
    fill(folder)
    (folder / "training").mkdir()
    with FileLock(folder / "activations" / f"{KEY}.lock"), FileLock(folder / "training/dyck3.lock"):
        result = cache("clear", "activations", "saes", "artifacts", "--yes")
    assert result.exit_code == 0
    assert "kept: 2 that another process has locked" in result.stdout
    assert (folder / "activations" / KEY / "resid_post.1").is_file()
    assert (folder / "artifacts" / "dyck3").is_dir()
    assert not (folder / "saes" / KEY).exists()
    assert cache("clear", "activations", "--yes").stdout.startswith("removed: 1 of 1")


def test_a_null_that_is_cleared_is_drawn_again(folder: Path) -> None:
    draws = []

    def draw() -> dict[str, torch.Tensor]:
        draws.append(1)
        return {"trace": torch.arange(4.0)}

    def null() -> list[float]:
        nulls._memory.clear()  # as in another process
        return cached_draws({"of": "a test"}, draw)["trace"].tolist()

    held = cached_draws({"of": "a test"}, draw)["trace"]
    assert null() == held.tolist()
    assert len(draws) == 1
    nulls._memory.clear()
    read = cached_draws({"of": "a test"}, draw)["trace"]
    assert cache("clear", "nulls", "--yes").stdout.startswith("removed: 1 of 1")
    assert read.tolist() == held.tolist()  # of the file that is no more
    assert null() == held.tolist()
    assert len(draws) == 2


def test_temporary_files_are_kept_until_nobody_can_be_writing_them(folder: Path) -> None:
    (folder / "estimates").mkdir()
    temporary = folder / "estimates" / f".{KEY}.json.x1y2.json"
    temporary.touch()
    assert "kept: 1 " in cache("clear", "--yes").stdout
    old = time.time() - 2 * 86400
    os.utime(temporary, (old, old))
    assert cache("clear", "--yes").stdout.startswith("removed: 1 of 1")
    assert not temporary.exists()


def test_what_a_killed_command_left_is_removed_and_a_running_ones_is_kept(folder: Path) -> None:
    work = folder / "comparisons" / "tmpabcd1234"
    work.mkdir(parents=True)
    with FileLock(work / IN_USE):
        assert "kept: 1 " in cache("clear", "comparisons", "--yes").stdout
    assert cache("clear", "comparisons", "--yes").stdout.startswith("removed: 1 of 1")
    assert not work.exists()


def test_the_list_and_the_size_have_commands_of_their_own(folder: Path) -> None:
    fill(folder)
    assert cache("list").stdout == cache().stdout
    assert cache("size").stdout.endswith(f"KiB in {folder}\n")


def test_a_lock_that_cannot_be_had_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(folder)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "some.lock")

    monkeypatch.setattr("polyrot.upkeep.cache_contents.FileLock", refuse)
    result = cache("clear", "saes", "--yes")
    assert result.exit_code == 1
    assert result.stderr == (
        "polyrot cache clear: cannot lock what it would remove: [Errno 13] Permission denied: "
        "'some.lock'\n"
    )
    assert (folder / "saes" / KEY).is_dir()


def test_a_kind_that_there_is_not_is_told(folder: Path) -> None:
    fill(folder)
    result = cache("clear", "estimate", "--yes")
    assert result.exit_code == 2
    assert result.stderr == (
        "polyrot cache clear: Expected a kind but got 'estimate'; nearest: estimates\n"
    )
    assert rows(cache())["total"][1] == "5"
