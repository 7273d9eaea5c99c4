"""A loaded suite: trained models, their twins, activations, autoencoders, pairs."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from polyrot.models.cohorts import COHORTS, CONTROL_COHORT, Cohort
from polyrot.models.harvest import Activations, harvest
from polyrot.models.transformer import (
    SHARED_IO,
    StackedTransformer,
    initial_state,
    stack_states,
)
from polyrot.sae.model import SAE
from polyrot.stats.estimate import Estimate
from polyrot.suites.artifacts import SHIPPED, Artifacts, SAEName
from polyrot.suites.pairs import Pair, World, as_trained, over_pairs
from polyrot.tasks import dyck
from polyrot.tasks.dyck import LabelledSequences
from polyrot.verdict.run import NotRun

SUITES = tuple(name for name in COHORTS if name != CONTROL_COHORT)
"""Names of the built-in suites."""

INTERNAL_SITES = ("resid_mid.0", "resid_post.0", "resid_mid.1", "resid_post.1")
"""Distinct residual sites behind the embedding: the paper's internal sites."""

LATE_SITE = "resid_post.1"
"""The paper's late sites, `resid_post_1` and `resid_pre_2`, are one tensor."""

ANALYSIS_SEQUENCES = 1_024
ANALYSIS_SEED = 2_027
HELD_OUT_SHARE = 0.25


class Suite:
    """Models that should compute the same function, and what is measured on them."""

    def __init__(
        self, cohort: Cohort, artifacts: Artifacts, controls: Artifacts, device: str = "cpu"
    ) -> None:
        """Load the models of a cohort; autoencoders and activations load when asked for."""
        self.name = cohort.name
        self.seeds = cohort.seeds
        self.sites = INTERNAL_SITES
        self.late_site = LATE_SITE
        self.cohort = cohort
        self.artifacts = artifacts
        self.controls = controls
        self.device = device
        states = [artifacts.model(seed) for seed in self.seeds]
        self.models = self.stack(states)
        # Twins share what the cohort shares: the hardest untrained control.
        shared = {n: states[0][n] for n in SHARED_IO} if cohort.shared_io else {}
        self.untrained = self.stack(
            [initial_state(cohort.architecture, seed) | shared for seed in self.seeds]
        )
        self._saes: dict[SAEName, SAE] = {}

    def stack(self, states: list[dict[str, Tensor]]) -> StackedTransformer:
        """Build a stack of models of this suite's architecture, on its device."""
        return StackedTransformer(self.cohort.architecture, stack_states(states)).to(self.device)

    @cached_property
    def tokens(self) -> LabelledSequences:
        """The analysis batch: 1,024 sequences of content lengths 2-48, one for all seeds."""
        return dyck.sample(
            ANALYSIS_SEQUENCES,
            rng=np.random.default_rng(ANALYSIS_SEED),
            lengths=dyck.ANALYSIS_LENGTHS,
        )

    @cached_property
    def activations(self) -> Activations:
        return harvest(self.models, self.tokens, self.sites)

    @cached_property
    def untrained_activations(self) -> Activations:
        return harvest(self.untrained, self.tokens, self.sites)

    @cached_property
    def held_out(self) -> Bool[Tensor, " token"]:
        """Tokens of the sequences that no fit sees."""
        sequence = self.activations.sequence
        order = torch.randperm(
            ANALYSIS_SEQUENCES, generator=torch.Generator().manual_seed(ANALYSIS_SEED)
        )
        return torch.isin(sequence, order[: int(HELD_OUT_SHARE * ANALYSIS_SEQUENCES)])

    @property
    def lowest_accuracy(self) -> float:
        """Of any seed, on any head of any held-out set, when training ended."""
        seeds = self.artifacts.manifest["seeds"].values()
        return min(float(seed["lowest accuracy"]) for seed in seeds)

    def index(self, seed: int) -> int:
        """Position of a seed in the suite's stacks."""
        return self.seeds.index(seed)

    def sae_seed(self, seed: int) -> int:
        """The SAE seed that no other model of the suite uses (0 is the shared one)."""
        return 1 + self.index(seed)

    def sae(self, seed: int, site: str, sae_seed: int = 0) -> SAE:
        """The autoencoder of a model; by default from the SAE seed that all models share."""
        return self._load_sae(self.artifacts, SAEName(seed, site, sae_seed))

    def control_sae(self, index: int, site: str) -> SAE:
        """An autoencoder of the control cohort, from SAE seed 0.

        At `late_site`: of the model at `index` that was trained on another task.  At
        `noise`: of Gaussian activations unrelated to any model.
        """
        seed = COHORTS[CONTROL_COHORT].seeds[index]
        return self._load_sae(self.controls, SAEName(seed, site, 0))

    def _load_sae(self, artifacts: Artifacts, name: SAEName) -> SAE:
        if name not in self._saes:
            if not artifacts.has_sae(name):
                raise NotRun(
                    f"no autoencoder {name.folder} among the trained files of "
                    f"{artifacts.folder.name}; train again with this version"
                )
            self._saes[name] = artifacts.sae(name)
        return self._saes[name]

    def seed_pairs(self, *, anchored: bool = False, ordered: bool = True) -> list[tuple[int, int]]:
        """Pairs of different seeds: all ordered ones, each once, or those from the first seed."""
        sources = self.seeds[:1] if anchored else self.seeds
        return [
            (source, target)
            for source in sources
            for target in self.seeds
            if source != target and (ordered or source < target)
        ]

    def pairs(self, site: str, *, anchored: bool = False, ordered: bool = True) -> Iterator[Pair]:
        """Activations of pairs of seeds at a site, with the source's autoencoder."""
        known = self._pairs(site)
        yield from (known[seeds] for seeds in self.seed_pairs(anchored=anchored, ordered=ordered))

    @cache  # noqa: B019 - a pair keeps its moments, so every claim must see the same pairs
    def _pairs(self, site: str) -> dict[tuple[int, int], Pair]:
        trained = self.activations.at(site).unbind(0)
        untrained = self.untrained_activations.at(site).unbind(0)
        return {
            (source, target): Pair(
                seeds=(source, target),
                site=site,
                source=trained[self.index(source)],
                target=trained[self.index(target)],
                untrained=untrained[self.index(target)],
                held_out=self.held_out,
                sae=self.sae(source, site),
            )
            for source, target in self.seed_pairs()
        }

    def each_site(
        self,
        measure: Callable[[Pair], float],
        world: World = as_trained,
        *,
        anchored: bool = False,
    ) -> dict[str, Estimate]:
        """Average a measurement over the pairs of every site, in a world.

        Over all ordered pairs, or over those whose source is the first seed.
        """
        return {
            site: over_pairs(
                map(world, self.pairs(site, anchored=anchored)),
                measure,
                anchor=self.seeds[0] if anchored else None,
            )
            for site in self.sites
        }

    def rotations(
        self, world: World = as_trained, *, published: bool = False
    ) -> dict[str, Float[Tensor, "pair d_model d_model"]]:
        """Fit the rotations of every site, in a world.

        One for each unordered pair (the other direction is the transpose) on the tokens
        that are not held out; as published, from the first seed on all tokens.
        """
        result = {}
        for site in self.sites:
            pairs = map(world, self.pairs(site, anchored=published, ordered=published))
            fitted = [pair.on_fit_tokens() if published else pair for pair in pairs]
            result[site] = torch.stack([pair.fit(pair).rotation for pair in fitted])
        return result


def load_suite(name: str, *, device: str = "cpu", artifacts: Path = SHIPPED) -> Suite:
    """Load a built-in suite from its trained files.

    Args:
        name: `"dyck3"` (seeds 0-4, shared frozen I/O) or `"dyck3-independent"` (100-104).
        device: where the models run, `"cpu"` or `"cuda"`.
        artifacts: the folder that holds one folder of trained files per suite.

    Raises:
        ValueError: where there is no such suite.
        MissingArtifact: where its models were not trained yet.
        DamagedArtifact: where a trained file is missing or damaged.
    """
    if name not in SUITES:
        raise ValueError(f"Expected a suite among {SUITES} but got {name!r}")
    return Suite(
        COHORTS[name],
        Artifacts.open(artifacts / name),
        Artifacts.open(artifacts / CONTROL_COHORT),
        device,
    )


def suite_provenance(name: str, artifacts: Path = SHIPPED) -> Mapping[str, Any]:
    """Seeds, how well they were trained, and file hashes, from the manifests alone."""
    provenance: dict[str, Any] = {"seeds": list(COHORTS[name].seeds)} if name in COHORTS else {}
    for label, folder in (("artifacts", name), ("control artifacts", CONTROL_COHORT)):
        file = artifacts / folder / "manifest.json"
        if file.is_file():
            manifest = json.loads(file.read_text())
            provenance[label] = manifest["files"]
            if folder == name:
                provenance["lowest accuracy"] = {
                    seed: metrics["lowest accuracy"] for seed, metrics in manifest["seeds"].items()
                }
    return provenance
