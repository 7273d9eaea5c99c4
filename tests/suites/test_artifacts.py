"""Files on disk: whole or absent, verified, and named when they are damaged."""

import json
from pathlib import Path

import pytest
import torch

import polyrot as pr
from polyrot.errors import NotRun
from polyrot.files import sha256, write_atomically
from polyrot.sae.recipe import SAEConfig
from polyrot.sae.training import initial_weights
from polyrot.suites.artifacts import (
    Artifacts,
    DamagedArtifact,
    MissingArtifact,
    SAEName,
    write_artifacts,
)

NAME = SAEName(3, "resid_mid.0", 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sae = pr.SAE(**initial_weights(SAEConfig(), 4))
    state = {"W_E": torch.arange(6.0).view(2, 3)}
    write_artifacts(tmp_path / "suite", {"seed3.safetensors": state}, {NAME: sae}, {"name": "x"})
    return tmp_path / "suite"


def test_what_is_written_is_read(folder: Path) -> None:
    artifacts = Artifacts.open(folder)
    assert artifacts.manifest["name"] == "x"
    assert torch.equal(artifacts.model(3)["W_E"], torch.arange(6.0).view(2, 3))
    assert artifacts.sae(NAME).d_model == 4
    with pytest.raises(NotRun, match="no autoencoder sae/seed3-resid_mid.0-sae1 among the trained"):
        artifacts.sae(SAEName(3, "resid_mid.0", 1))
    assert set(artifacts.hashes) == {
        "seed3.safetensors",
        "sae/seed3-resid_mid.0-sae0/cfg.json",
        "sae/seed3-resid_mid.0-sae0/sae_weights.safetensors",
    }


@pytest.mark.parametrize(
    "name", ["seed3.safetensors", "sae/seed3-resid_mid.0-sae0/sae_weights.safetensors"]
)
def test_one_changed_byte_is_found_and_the_file_named(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[-1] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(DamagedArtifact, match=f"{name} is damaged.*git checkout"):
        Artifacts.open(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "seed3.safetensors").unlink()
    with pytest.raises(DamagedArtifact, match=r"seed3.safetensors is missing"):
        Artifacts.open(folder)


def test_no_manifest_means_not_trained_yet(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    with pytest.raises(MissingArtifact, match="polyrot train suite"):
        Artifacts.open(folder)


def test_another_schema_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "schema": 99}))
    with pytest.raises(DamagedArtifact, match="schema 1 in .* but got 99"):
        Artifacts.open(folder)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half of the n")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("abc")
    assert sha256(tmp_path / "f").startswith("ba7816bf8f01cfea")
