"""Autoencoders of activations that a suite harvests: trained when asked for, and kept."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, replace

from torch import Tensor

from polyrot.cache import cache_directory, content_key
from polyrot.sae.model import SAE
from polyrot.sae.training import SAEConfig, train_saes


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
        trained = train_saes(
            data,
            configs,
            report=lambda step: self._progress(step / self._recipe.steps, what),
        )
        for folder, sae, config in zip(folders, trained, configs, strict=True):
            replace(sae, metadata=asdict(config)).save(folder)
        return [SAE.load(folder) for folder in folders]
