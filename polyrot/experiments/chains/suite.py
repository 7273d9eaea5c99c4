"""The suite `markov`: encoders that predict a four-state chain, and those of other chains."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from polyrot.capabilities.cores import Cores
from polyrot.capabilities.streams import Autoencoders
from polyrot.cores.gramians import Tail, affine
from polyrot.errors import NotRun
from polyrot.experiments.chains.models import FEWER_SEQUENCES, ChainModels, Chains
from polyrot.models.encoder import StackedEncoder, initial_state
from polyrot.models.encoder_cohorts import CHAINS, ENCODER_COHORTS
from polyrot.models.harvest import Activations
from polyrot.models.transformer import stack_states
from polyrot.progress import Progress
from polyrot.sae.model import SAE
from polyrot.suites.artifacts import Artifacts, MissingArtifact, SAEName, cohort_provenance

NAME = "markov"
SITES = ("resid_mid.0", "resid_post.0")
ANALYSIS_SEQUENCES, ANALYSIS_SEED = 1_024, 2_027
HELD_OUT_SHARE = 0.25


class MarkovSuite(Cores, Autoencoders, Chains):
    """The paper's chain; alignment uses activations of fewer sequences than cores do."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        """Load the models; `folder` has one folder of trained files per cohort."""
        super().__init__(NAME, ENCODER_COHORTS[NAME].seeds, SITES)
        self._folder, self._device = folder, device
        self._artifacts = Artifacts.open(folder / NAME)

    @cached_property
    def models(self) -> ChainModels:
        return ChainModels.of(CHAINS[NAME], self._trained(NAME))

    @cached_property
    def untrained_models(self) -> ChainModels:
        return ChainModels.of(CHAINS[NAME], self._untrained)

    def models_of(self, name: str) -> ChainModels:
        return ChainModels.of(CHAINS[name], self._trained(name), sequences=FEWER_SEQUENCES)

    @cached_property
    def activations(self) -> Activations:
        return self._harvest(self._trained(NAME))

    @cached_property
    def untrained_activations(self) -> Activations:
        return self._harvest(self._untrained)

    def tail(self, seed: int) -> Tail:
        state = self._artifacts.model(seed)
        return affine(state["lm_head.weight"].float(), state["lm_head.bias"].float())

    @cached_property
    def held_out(self) -> Bool[Tensor, " token"]:
        first = round((1 - HELD_OUT_SHARE) * ANALYSIS_SEQUENCES)  # all were drawn at random
        return self.activations.sequence >= first

    def sae(self, seed: int, site: str, sae_seed: int = 0) -> SAE:
        return self._artifacts.sae(SAEName(seed, site, sae_seed))

    @cached_property
    def _untrained(self) -> StackedEncoder:
        cohort = ENCODER_COHORTS[NAME]
        states = [initial_state(cohort.architecture, seed) for seed in self.seeds]
        return StackedEncoder(cohort.architecture, stack_states(states)).to(self._device)

    def _trained(self, name: str) -> StackedEncoder:
        cohort = ENCODER_COHORTS[name]
        try:
            artifacts = Artifacts.open(self._folder / name)
        except MissingArtifact as error:
            raise NotRun(str(error)) from None
        states = [artifacts.model(seed) for seed in cohort.seeds]
        return StackedEncoder(cohort.architecture, stack_states(states)).to(self._device)

    def _harvest(self, models: StackedEncoder) -> Activations:
        states = CHAINS[NAME].sample(ANALYSIS_SEQUENCES, seed=ANALYSIS_SEED)[:, :-1]
        with torch.inference_mode():
            _, residual = models(states.to(self._device).expand(models.seeds, -1, -1))
        sequence = torch.arange(len(states)).repeat_interleave(states.shape[1])
        return Activations({s: residual[s].flatten(1, 2).cpu() for s in self.sites}, sequence)


def load(name: str, *, artifacts: Path, device: str, progress: Progress) -> MarkovSuite:
    """Load the suite; see `polyrot.suites.loading.load_suite`."""
    return MarkovSuite(artifacts, device)


def provenance(name: str, artifacts: Path) -> Mapping[str, Any]:
    """Return seeds, their accuracies and file hashes, and hashes of the other chains' manifests."""
    others = [chain for chain in CHAINS if chain != name]
    found = cohort_provenance(name, artifacts, compared_with=others)
    return {"seeds": list(ENCODER_COHORTS[name].seeds), **found}
