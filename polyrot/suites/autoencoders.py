"""Autoencoders of activations that a suite harvests: trained when asked for, and kept."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from polyrot.cache import cache_directory, content_key
from polyrot.sae.model import SAE
from polyrot.sae.training import SAEConfig, stack_block, train_saes
from polyrot.work import run_units, workers


class TrainedAutoencoders:
    """One autoencoder for each model at every site that is asked for."""

    def __init__(
        self,
        name: str,
        recipe: SAEConfig,
        activations: Callable[[str], list[Tensor]],
        progress: Callable[[float, str], None],
    ) -> None:
        """Train by a recipe on what `activations(site)` returns, one set a model."""
        self._name, self._recipe = name, recipe
        self._activations, self._progress = activations, progress
        self._known: dict[tuple[str, tuple[int, ...]], list[SAE]] = {}

    def at(self, site: str, sae_seeds: list[int]) -> list[SAE]:
        """Train, or take from the cache, the autoencoders at a site, from given SAE seeds."""
        key = (site, tuple(sae_seeds))
        if key not in self._known:
            self._known[key] = self._make(site, sae_seeds)
        return self._known[key]

    def _make(self, site: str, sae_seeds: list[int]) -> list[SAE]:
        data = self._activations(site)
        configs = [replace(self._recipe, seed=seed) for seed in sae_seeds]
        digest = [hashlib.sha256(x.contiguous().numpy().tobytes()).hexdigest() for x in data]
        name = content_key({"configs": [asdict(c) for c in configs], "data": digest})
        folders = [cache_directory() / "saes" / name / str(i) for i in range(len(data))]
        try:
            return [SAE.load(folder) for folder in folders]
        except (OSError, ValueError):
            pass  # not there yet, or damaged
        what = f"{self._name}: training {len(data)} autoencoders at {site}"
        if workers().here:
            trained = train_saes(
                data,
                configs,
                report=lambda step: self._progress(step / self._recipe.steps, what),
            )
            for folder, sae, config in zip(folders, trained, configs, strict=True):
                replace(sae, metadata=asdict(config)).save(folder)
        else:
            _train_apart(data, configs, folders, lambda share: self._progress(share, what))
        return [SAE.load(folder) for folder in folders]


def _train_apart(
    data: list[Tensor],
    configs: list[SAEConfig],
    folders: list[Path],
    progress: Callable[[float], None],
) -> None:
    """Train each autoencoder as a unit of work, with the numbers that a stack would have."""
    work = cache_directory() / "saes"
    work.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=work, prefix=".activations.") as temporary:
        files = [Path(temporary) / f"{index}.npy" for index in range(len(data))]
        for file, x in zip(files, data, strict=True):
            np.save(file, x.numpy())
        block = stack_block(len(data))
        units = zip(files, configs, [block] * len(data), folders, strict=True)
        run_units(train_autoencoder, units, progress=progress)


def train_autoencoder(activations: Path, config: SAEConfig, block: int, folder: Path) -> None:
    """Unit of work: train an autoencoder and save it.

    Args:
        activations: file of `[token, d_model]`, float32.
        config: of the training.
        block: see `train_saes`.
        folder: where to save it.
    """
    x = torch.from_numpy(np.load(activations, mmap_mode="c"))
    (sae,) = train_saes([x], [config], block=block)
    replace(sae, metadata=asdict(config)).save(folder)
