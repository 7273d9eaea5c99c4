"""The suite `modular-addition`: encoders at four times of learning addition modulo 53."""

import json
from collections.abc import Mapping, Sequence
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
from polyrot.experiments.addition.models import END, Addition, AdditionModels, Delays
from polyrot.experiments.addition.sweep import DelaysByDecay, read_sweep
from polyrot.models.encoder import StackedEncoder, initial_state
from polyrot.models.encoder_cohorts import ENCODER_COHORTS, MODULAR, SWEEP
from polyrot.models.harvest import Activations
from polyrot.models.transformer import State, stack_states
from polyrot.progress import Progress
from polyrot.sae.model import SAE
from polyrot.suites.artifacts import Artifacts, MissingArtifact, SAEName, cohort_provenance
from polyrot.tasks import modular

NAME = MODULAR
SITE = "resid_post.1"
CURVES = "curves.json"
HELD_OUT_SHARE, HELD_OUT_SEED = 0.25, 2_027


def checkpoint_file(seed: int, checkpoint: str) -> str:
    """Return the file name of a seed at a time of its training."""
    return f"seed{seed}-{checkpoint}.safetensors"


def held_out_questions() -> Bool[Tensor, " question"]:
    """Choose a random quarter, on which no rotation and no autoencoder is fitted."""
    count = len(modular.questions())
    generator = torch.Generator().manual_seed(HELD_OUT_SEED)
    order = torch.randperm(count, generator=generator)
    chosen = torch.zeros(count, dtype=torch.bool)
    chosen[order[: int(HELD_OUT_SHARE * count)]] = True
    return chosen


class ModularSuite(Cores, Autoencoders, Addition, Delays):
    """Seeds that grokked; activations for alignment are those at the last token, by question."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        """Load the models; `folder` has one folder of trained files per cohort."""
        super().__init__(NAME, ENCODER_COHORTS[NAME].seeds, (SITE,))
        self._folder = folder
        self._artifacts = Artifacts.open(folder / NAME)
        self._device = device
        self._questions: dict[str, AdditionModels] = {}

    def questions(self, checkpoint: str) -> AdditionModels:
        if checkpoint not in self._questions:
            files = self._artifacts.states(checkpoint_file(s, checkpoint) for s in self.seeds)
            self._questions[checkpoint] = AdditionModels.of(self._stack(files))
        return self._questions[checkpoint]

    @cached_property
    def curves(self) -> Mapping[str, Any]:
        curves: Mapping[str, Any] = json.loads((self._artifacts.folder / CURVES).read_text())
        return curves

    @cached_property
    def delays(self) -> DelaysByDecay:
        try:
            return read_sweep(self._folder / SWEEP)
        except MissingArtifact as error:
            raise NotRun(str(error)) from None

    @cached_property
    def activations(self) -> Activations:
        return self._at_the_site(self.questions(END))

    @cached_property
    def untrained_activations(self) -> Activations:
        cohort = ENCODER_COHORTS[NAME]
        states = [initial_state(cohort.architecture, seed) for seed in self.seeds]
        return self._at_the_site(AdditionModels.of(self._stack(states)))

    def tail(self, seed: int) -> Tail:
        models, index = self.questions(END), self.index(seed)
        return affine(models.weight[index].float(), models.bias[index].float())

    @cached_property
    def held_out(self) -> Bool[Tensor, " token"]:
        return held_out_questions()

    def sae(self, seed: int, site: str, sae_seed: int = 0) -> SAE:
        return self._artifacts.sae(SAEName(seed, site, sae_seed))

    def _stack(self, states: Sequence[State]) -> StackedEncoder:
        architecture = ENCODER_COHORTS[NAME].architecture
        return StackedEncoder(architecture, stack_states(states)).to(self._device)

    def _at_the_site(self, models: AdditionModels) -> Activations:
        x = models.activations.float()
        return Activations({SITE: x}, torch.arange(x.shape[1]))


def load(name: str, *, artifacts: Path, device: str, progress: Progress) -> ModularSuite:
    """Load the suite; see `polyrot.suites.loading.load_suite`."""
    return ModularSuite(artifacts, device)


def provenance(name: str, artifacts: Path) -> Mapping[str, Any]:
    """Return seeds, their accuracies and file hashes, and the hash of the sweep's manifest."""
    found = cohort_provenance(name, artifacts, compared_with=(SWEEP,))
    return {"seeds": list(ENCODER_COHORTS[name].seeds), **found}
