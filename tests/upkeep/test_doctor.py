"""`polyrot doctor`: what it finds, and how it ends."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from huggingface_hub import constants
from local_hub import LocalHub, serving
from typer.testing import CliRunner

from polyrot.cli import app
from polyrot.locations import claim_files
from polyrot.stats.estimate import Estimate
from polyrot.suites import artifacts
from polyrot.suites.registry import worlds
from polyrot.verdict.cache import EstimateCache
from polyrot.verdict.record import read_verdict

ROOT = Path(__file__).parents[2]
CLAIMS = ROOT / "claims"


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POLYROT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def doctor() -> tuple[int, list[str]]:
    """The exit code, and its lines as words joined by single spaces."""
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert all(len(line) <= 80 or "/" in line for line in result.stdout.splitlines())
    return result.exit_code, [" ".join(line.split()) for line in result.stdout.splitlines()]


def test_a_sound_installation_can_run(folder: Path) -> None:
    manifest = json.loads(
        (ROOT / "polyrot" / "artifacts" / "dyck3" / artifacts.MANIFEST).read_text()
    )
    recorded = read_verdict(ROOT / "reports" / "dyck3" / "verdict.json")
    code, lines = doctor()
    assert code == 0
    for beginning in (
        "ok python 3.",
        "ok torch 2.",
        "ok processor ",
        "ok folder ",
        "ok entries none is damaged",
        "ok model hub not checked: HF_HUB_OFFLINE is set",
        f"ok dyck3 {len(manifest['files'])} trained files match their manifest",
        f"ok claims {len(claim_files(CLAIMS))} in ",
        f"ok calibration of {len(worlds())} worlds",
        f"ok shipped:dyck3 {len(recorded.records)} verdicts",
    ):
        assert any(line.startswith(beginning) for line in lines), beginning
    assert lines[-1].startswith("Nothing prevents a run.")
    assert not any(line.startswith("problem") for line in lines)


def test_what_is_damaged_or_left_over_in_the_cache_is_told(folder: Path) -> None:
    EstimateCache(Path(__file__), {"of": "doctor"}).measured(
        "models", lambda: {"all": Estimate(1, 0, 2, "seed", 5, "by hand")}
    )
    (file,) = (folder / "estimates").iterdir()
    assert "ok entries none is damaged" in doctor()[1]
    file.write_text(file.read_text().replace('"n": 5', '"n": 9'))
    left = folder / "nulls" / f".{'a' * 24}.safetensors.x.safetensors"
    left.parent.mkdir()
    left.touch()
    os.utime(left, (time.time() - 2 * 86400,) * 2)
    (folder / "nulls" / f"{'b' * 24}.safetensors").write_text("no tensors")
    code, lines = doctor()
    assert code == 0
    said = " ".join(lines)
    assert f"warning entry estimates/{file.name} is damaged" in said
    assert f"warning entry nulls/{'b' * 24}.safetensors is damaged" in said
    assert "fix: polyrot cache clear estimates" in said
    assert "warning temporary files 1 left by killed runs" in said
    assert lines[-1] == "Nothing prevents a run. Warnings: 3."


def test_a_cache_that_cannot_be_written_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("POLYROT_CACHE", str(tmp_path / "file"))
    code, lines = doctor()
    assert code == 0  # a run then measures everything again
    assert any(line.startswith("warning folder cannot be written") for line in lines)


def test_a_damaged_weight_prevents_a_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "artifacts"
    shutil.copytree(artifacts.SHIPPED / "two-back", copy / "two-back")
    monkeypatch.setattr(artifacts, "SHIPPED", copy)
    weights = next((copy / "two-back").glob("seed*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    code, lines = doctor()
    assert code == 1
    assert any(line.startswith("problem two-back") for line in lines)
    assert "fix: reinstall polyrot" in " ".join(lines)
    assert lines[-1] == "1 problem to fix before a run; then run polyrot doctor again."


@pytest.mark.seconds
def test_whether_the_hub_answers_is_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with serving(LocalHub()) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        assert f"ok model hub {hub.url} answers" in doctor()[1]
    code, lines = doctor()  # nobody answers there any more
    assert code == 0
    assert any(line.startswith("warning model hub http://127.0.0.1:") for line in lines)
    assert "suites from it are NOT RUN" in " ".join(lines)
