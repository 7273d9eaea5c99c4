"""Dictionaries trained on planted subspaces: suites of features whose truth is known."""

import json
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor

from polyrot.experiments.planted.plan import (
    RANKS,
    SAMPLES_FILE,
    STARTS,
    SUBSPACES,
    Experiment,
    plan,
)
from polyrot.experiments.planted.samples import Samples
from polyrot.experiments.planted.train import loaded, weights_file
from polyrot.progress import Progress
from polyrot.sae.metrics import squared_error
from polyrot.sae.model import SAE
from polyrot.sae.nuclear import Blocks
from polyrot.suites.artifacts import MANIFEST, Artifacts, artifact_folder
from polyrot.suites.capability import Capability
from polyrot.suites.draws import draw_seed
from polyrot.suites.suite import Suite
from polyrot.tasks.subspaces import Features, Tokens, sphere

SITE = "planted"
"""Site name of constructed activations, which no model computes."""
HELD_OUT = 4_096
"""Held-out tokens on which a dictionary is measured."""
ACTIVE_ON = 60_000
"""Tokens on which a latent must be active once to be alive, in the released code."""
SILENT = 1e-6
POINTS = 4_000

Vectors = Float[Tensor, "point dim"]


@dataclass(frozen=True, eq=False)
class Dictionary:
    """A dictionary, and the features that it was trained on."""

    sae: SAE
    features: Features
    seed: int
    """Seed of the features; several dictionaries may share it."""
    drawn_from: Features | None = None
    """Features that tokens are drawn from, if different from `features`."""

    def held_out(self, tokens: int = HELD_OUT) -> Tokens:
        """Draw tokens of the same features, the same for all dictionaries of a seed."""
        return (self.drawn_from or self.features).draw(tokens, draw_seed(0, self.seed, 81))

    @cached_property
    def active_rows(self) -> Float[Tensor, "active d_model"]:
        """Decoder rows, of unit norm, of the latents that are active on some held-out token."""
        active = (self.sae.encode(self.held_out(ACTIVE_ON).x).abs() > SILENT).any(0)
        rows = self.sae.W_dec[active]
        unit: Tensor = rows / rows.norm(dim=1, keepdim=True)
        return unit

    def objective(self) -> float:
        """Return the squared error on held-out tokens, summed over dimensions; mean over tokens."""
        return squared_error(self.sae, self.held_out().x)


@dataclass(frozen=True, eq=False)
class Decoder:
    """The decoder rows of a dictionary's groups, and the features it was trained on."""

    blocks: Blocks
    features: Features
    seed: int


def sphere_points(dim: int, seed: int) -> Vectors:
    """Draw unit vectors of a feature, float64."""
    return sphere(POINTS, dim, torch.Generator().manual_seed(seed)).double()


class Points(Suite, Capability):
    """Unit vectors of features."""

    what = "points of planted features"

    @abstractmethod
    def points(self, dim: int, repetition: int) -> Vectors:
        """Return unit vectors of a feature of `dim` dimensions, different in each repetition."""


class Dictionaries(Suite, Capability):
    """Sparse autoencoders that were trained on planted subspaces."""

    what = "autoencoders of planted subspaces"

    @abstractmethod
    def dictionaries(
        self, experiment: str, arm: str, *, polished: bool = False
    ) -> list[Dictionary]:
        """Return the autoencoders of an arm of an experiment of `polyrot.experiments.planted.plan`.

        With `polished`, those that started at the planted solution.
        """

    @abstractmethod
    def decoders(self, arm: str) -> list[Decoder]:
        """Return the decoders of a coefficient of rank recovery, one per seed."""


class SampleCounts(Suite, Capability):
    """How many tokens it took to recover subspaces."""

    what = "counts of tokens to recovery"

    @property
    @abstractmethod
    def samples(self) -> Samples:
        """Return tokens to recovery by dimension, one per repetition; None if not recovered."""


class DictionarySuite(Points, Dictionaries, SampleCounts):
    """Planted features, and dictionaries that were trained on them."""

    def __init__(self, name: str, folder: Path) -> None:
        """Read the trained files of a suite from its folder."""
        self._plan = plan(name)
        seeds = {seed for experiment in self._plan.values() for seed in experiment.seeds}
        super().__init__(name, tuple(sorted(seeds)))
        self._artifacts = Artifacts.open(folder)

    def points(self, dim: int, repetition: int) -> Vectors:
        return sphere_points(dim, draw_seed(0, repetition, 82, dim))

    def dictionaries(
        self, experiment: str, arm: str, *, polished: bool = False
    ) -> list[Dictionary]:
        trained = self._experiment(experiment)
        state = load_file(self._artifacts.folder / weights_file(experiment, arm))
        random = trained.starts * len(trained.seeds)
        chosen = range(random, random + len(trained.seeds)) if polished else range(random)
        return [
            Dictionary(
                loaded(state, trained.arms[arm], index),
                trained.features(trained.seeds[place // (1 if polished else trained.starts)]),
                trained.seeds[place // (1 if polished else trained.starts)],
            )
            for place, index in enumerate(chosen)
        ]

    def decoders(self, arm: str) -> list[Decoder]:
        trained = self._experiment(RANKS)
        rule = trained.arms[arm].activation
        (rows,) = load_file(self._artifacts.folder / weights_file(RANKS, arm)).values()
        blocks = rows.float().unflatten(1, (-1, getattr(rule, "rank", 1)))
        return [
            Decoder(blocks[index], trained.features(seed), seed)
            for index, seed in enumerate(trained.seeds)
        ]

    @property
    def samples(self) -> Samples:
        if self.name != SUBSPACES:
            raise self.lacks("sweep of tokens", (SUBSPACES,))
        found = json.loads((self._artifacts.folder / SAMPLES_FILE).read_text())
        return {int(dim): needed for dim, needed in found.items()}

    def _experiment(self, name: str) -> Experiment:
        if name not in self._plan:
            what = "runs from many starts" if name == STARTS else name
            raise self.lacks(what, (SUBSPACES,))
        return self._plan[name]


def load(name: str, *, artifacts: Path, device: str, progress: Progress) -> DictionarySuite:
    """Load a suite; see `polyrot.suites.loading.load_suite`."""
    return DictionarySuite(name, artifact_folder(name, artifacts))


def provenance(name: str, artifacts: Path) -> Mapping[str, Any]:
    """Return seeds and file hashes."""
    manifest = artifact_folder(name, artifacts) / MANIFEST
    found = json.loads(manifest.read_text()) if manifest.is_file() else {}
    return {"seeds": found.get("seeds", []), "artifacts": found.get("files", {})}
