"""Trained weights on disk: safetensors with a manifest that names and hashes every file."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from polyrot.cache import cache_directory
from polyrot.errors import NotRun
from polyrot.files import sha256, write_atomically
from polyrot.locations import judging
from polyrot.models.transformer import State
from polyrot.sae.formats.saelens import CONFIG_FILE, WEIGHTS_FILE
from polyrot.sae.model import SAE

SHIPPED = Path(__file__).parent.parent / "artifacts"
MANIFEST = "manifest.json"
SCHEMA = 1


def retrained_directory() -> Path:
    """Return where artifacts trained on this machine are kept, one folder per suite."""
    return cache_directory() / "artifacts"


def artifact_folder(name: str, artifacts: Path = SHIPPED) -> Path:
    """Return the folder of files made by `polyrot train`: shipped, or trained on this machine.

    If neither exists, the folder into which they would be trained.

    Args:
        name: of the trainer.
        artifacts: the folder with one folder of shipped files per trainer.
    """
    shipped = artifacts / name
    return shipped if shipped.is_dir() else retrained_directory() / name


class MissingArtifact(RuntimeError):
    """Files that were not trained yet; the message says how to get them."""


class DamagedArtifact(RuntimeError):
    """A trained file does not match its manifest; the message names it and the remedy."""


@dataclass(frozen=True)
class SAEName:
    """An autoencoder's model seed, site and SAE seed."""

    seed: int
    site: str
    sae_seed: int
    kind: str = ""
    """A kind of `polyrot.capabilities.dictionaries`; empty for autoencoders of the PIR recipe."""

    @property
    def folder(self) -> str:
        kind = f"-{self.kind}" if self.kind else ""
        return f"sae/seed{self.seed}-{self.site}-sae{self.sae_seed}{kind}"


@dataclass(frozen=True)
class Artifacts:
    """The trained files of one suite, verified against their manifest."""

    folder: Path
    manifest: Mapping[str, Any]

    @classmethod
    def open(cls, folder: Path) -> "Artifacts":
        """Read the manifest and verify the hash of every file it names.

        Raises:
            MissingArtifact: if there is no manifest.
            DamagedArtifact: if a file is missing or its hash differs.
        """
        path = folder / MANIFEST
        if not path.is_file():
            raise MissingArtifact(
                f"no trained files of {folder.name}; `polyrot train {folder.name}` makes them, "
                f"and `{judging()} --retrain` trains everything it needs first (hours)"
            )
        manifest = json.loads(path.read_text())
        if manifest.get("schema") != SCHEMA:
            raise DamagedArtifact(
                f"Expected schema {SCHEMA} in {path} but got {manifest.get('schema')!r}; "
                "train again with this version, or use the version that wrote it"
            )
        for name, expected in manifest["files"].items():
            file = folder / name
            problem = ""
            if not file.is_file():
                problem = "is missing"
            elif sha256(file) != expected:
                problem = f"is damaged: its SHA-256 is not the one in {MANIFEST}"
            if problem:
                raise DamagedArtifact(
                    f"{file} {problem}; restore it with `git checkout` in a clone, else install "
                    "polyrot again, or train again with --retrain"
                )
        return cls(folder, manifest)

    @property
    def hashes(self) -> Mapping[str, str]:
        """SHA-256 by file name."""
        files: Mapping[str, str] = self.manifest["files"]
        return files

    def model(self, seed: int, *, half_way: bool = False) -> State:
        """Load the weights of one seed: those selected, or those half way through training."""
        return load_file(self.folder / model_file(seed, half_way=half_way))

    def states(self, names: Iterable[str]) -> list[State]:
        """Load the weights in files of these names.

        Raises:
            MissingArtifact: if one is not among the trained files.
        """
        files = list(names)
        for name in files:
            if name not in self.hashes:
                raise MissingArtifact(
                    f"no {name} among the trained files of {self.folder.name}; train again with "
                    "this version"
                )
        return [load_file(self.folder / name) for name in files]

    def sae(self, name: SAEName) -> SAE:
        """Load an autoencoder in single precision.

        Raises:
            NotRun: if it is not among the trained files.
        """
        if f"{name.folder}/{WEIGHTS_FILE}" not in self.hashes:
            raise NotRun(
                f"no autoencoder {name.folder} among the trained files of {self.folder.name}; "
                "train again with this version"
            )
        return SAE.load(self.folder / name.folder).to(torch.float32)


def model_file(seed: int, *, half_way: bool = False) -> str:
    """Return the name of a seed's file in its suite's folder."""
    return f"seed{seed}-half-way.safetensors" if half_way else f"seed{seed}.safetensors"


def write_artifacts(
    folder: Path,
    models: Mapping[str, State],
    saes: Mapping[SAEName, SAE],
    description: Mapping[str, Any],
    *,
    others: Iterable[str] = (),
) -> Artifacts:
    """Write models (by file name) and autoencoders, then the manifest.

    `others` are files that exist already.  A folder without a manifest is not an artifact, so an
    interrupted write leaves nothing that could be mistaken for one.
    """
    files = list(others)
    for name, state in models.items():
        tensors = {key: tensor.contiguous() for key, tensor in state.items()}
        write_atomically(folder / name, partial(save_file, tensors))
        files.append(name)
    for sae_name, sae in saes.items():
        sae.save(folder / sae_name.folder)
        files += [f"{sae_name.folder}/{file}" for file in (CONFIG_FILE, WEIGHTS_FILE)]
    return write_manifest(folder, files, description)


def write_manifest(folder: Path, files: Iterable[str], description: Mapping[str, Any]) -> Artifacts:
    """Write the manifest of a folder whose files are all written: a description, and hashes."""
    manifest = {
        "schema": SCHEMA,
        **description,
        "files": {name: sha256(folder / name) for name in sorted(files)},
    }
    text = json.dumps(manifest, indent=1) + "\n"
    write_atomically(folder / MANIFEST, lambda p: p.write_text(text))
    return Artifacts(folder, manifest)


def cohort_provenance(
    name: str, artifacts: Path, *, compared_with: Iterable[str] = ()
) -> dict[str, Any]:
    """Return the provenance of a trained cohort's files, as far as they exist.

    Args:
        name: of the cohort.
        artifacts: the folder with one folder of trained files per cohort.
        compared_with: other cohorts, identified by the hash of their manifest.
    """
    file = artifacts / name / MANIFEST
    manifest = json.loads(file.read_text()) if file.is_file() else {}
    found: dict[str, Any] = {"artifacts": manifest.get("files", {})}
    seeds = manifest.get("seeds", {})
    lowest = {
        seed: metrics["lowest accuracy"]
        for seed, metrics in (seeds if isinstance(seeds, dict) else {}).items()
        if "lowest accuracy" in metrics
    }
    if lowest:
        found["lowest accuracy"] = lowest
    others = {
        other: sha256(artifacts / other / MANIFEST)
        for other in compared_with
        if (artifacts / other / MANIFEST).is_file()
    }
    return {**found, "compared with": others} if others else found
