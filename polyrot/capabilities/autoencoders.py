"""Autoencoders of a suite's activations: trained when first needed, and cached."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from polyrot.cache import cache_directory, content_key
from polyrot.files import sha256, write_atomically
from polyrot.parallel import run_units, workers
from polyrot.progress import Progress, within
from polyrot.sae.model import SAE
from polyrot.sae.recipe import SAEConfig
from polyrot.sae.relu_gradients import stack_block
from polyrot.sae.training import train_saes

INDEX = "index.json"


class TrainedAutoencoders:
    """One autoencoder for each model at every requested site."""

    def __init__(
        self,
        name: str,
        recipe: SAEConfig,
        activations: Callable[[str], list[Tensor]],
        progress: Progress,
        device: str = "cpu",
    ) -> None:
        """Train by a recipe on `activations(site)`, which returns one set per model."""
        self._name, self._recipe, self._device = name, recipe, device
        self._activations, self._progress = activations, progress
        self._known: dict[tuple[str, tuple[int, ...]], list[SAE]] = {}

    def at(self, site: str, sae_seeds: list[int]) -> list[SAE]:
        """Train, or read from the cache, the autoencoders at a site, from given SAE seeds."""
        key = (site, tuple(sae_seeds))
        if key not in self._known:
            self._known[key] = self._make(site, sae_seeds)
        return self._known[key]

    def _make(self, site: str, sae_seeds: list[int]) -> list[SAE]:
        data = self._activations(site)
        configs = [replace(self._recipe, seed=seed) for seed in sae_seeds]
        digest = [hashlib.sha256(x.contiguous().numpy().tobytes()).hexdigest() for x in data]
        what = {
            "configs": [c.recipe() for c in configs],
            "data": digest,
            "device": self._device,
            "torch": torch.__version__,
        }
        name = content_key(what)
        kept = cache_directory() / "saes" / name
        kept.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(kept.with_suffix(".lock")):  # a second process waits, and finds them
            if not _whole(kept):
                said = f"{self._name}: training {len(data)} autoencoders at {site}"
                train = _train_together if workers().here else _train_apart
                train(data, configs, kept, self._device, within(self._progress, what=said))
                write_atomically(kept / INDEX, lambda path: path.write_text(_hashes(kept)))
            return [SAE.load(kept / str(index)) for index in range(len(data))]


def _train_together(
    data: list[Tensor], configs: list[SAEConfig], folder: Path, device: str, progress: Progress
) -> None:
    there = [x.to(device) for x in data]
    trained = train_saes(there, configs, checkpoint=folder / "training.pt", progress=progress)
    for index, (sae, config) in enumerate(zip(trained, configs, strict=True)):
        replace(sae, metadata=config.recipe()).save(folder / str(index))


def _train_apart(
    data: list[Tensor], configs: list[SAEConfig], folder: Path, device: str, progress: Progress
) -> None:
    """Train each autoencoder as a unit of work, with the same numbers as in a stack."""
    with TemporaryDirectory(dir=folder.parent, prefix=".activations.") as temporary:
        units = []
        block = stack_block(len(data), data[0].shape[1])
        for index, (x, config) in enumerate(zip(data, configs, strict=True)):
            file = Path(temporary) / f"{index}.npy"
            np.save(file, x.numpy())
            units.append((file, config, block, folder / str(index), device))
        run_units(train_autoencoder, units, progress=progress)


def train_autoencoder(
    activations: Path, config: SAEConfig, block: int, folder: Path, device: str
) -> None:
    """Unit of work: train an autoencoder and save it.

    Args:
        activations: file of `[token, d_model]`, float32.
        config: of the training.
        block: see `train_saes`.
        folder: where to save it.
        device: where to train it.
    """
    x = torch.from_numpy(np.load(activations, mmap_mode="c")).to(device)
    (sae,) = train_saes([x], [config], block=block)
    replace(sae, metadata=config.recipe()).save(folder)


def _whole(folder: Path) -> bool:
    """Do the files exist, unchanged since they were written?"""
    try:
        return (folder / INDEX).read_text() == _hashes(folder)
    except (OSError, UnicodeDecodeError):
        return False


def _hashes(folder: Path) -> str:
    files = sorted(folder.glob("*/*"))
    return json.dumps({str(file.relative_to(folder)): sha256(file) for file in files})
