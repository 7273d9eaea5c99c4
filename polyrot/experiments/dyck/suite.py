"""Suites of Dyck-3 transformers: from any source of weights, and from polyrot's trained files."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from polyrot.capabilities.components import Components, Subject
from polyrot.capabilities.cores import Cores
from polyrot.capabilities.dictionaries import GroupAutoencoders
from polyrot.capabilities.sharing import Sharing
from polyrot.capabilities.streams import (
    HALF_WAY,
    IMAGE,
    IMAGE_SAE_SEED,
    LATE_SITE,
    Checkpoints,
    ControlAutoencoders,
    Streams,
)
from polyrot.cores.gramians import Tail
from polyrot.errors import NotRun
from polyrot.experiments.dyck import components
from polyrot.interventions.effects import Inputs
from polyrot.models.cohorts import COHORTS, CONTROL_COHORT, Cohort
from polyrot.models.harvest import Activations, harvest, real_labels
from polyrot.models.transformer import (
    SHARED_IO,
    StackedTransformer,
    State,
    TransformerConfig,
    initial_state,
    stack_states,
)
from polyrot.sae.model import SAE
from polyrot.suites.artifacts import Artifacts, MissingArtifact, SAEName
from polyrot.tasks import dyck
from polyrot.tasks.dyck import LabelledSequences

INTERNAL_SITES = ("resid_mid.0", "resid_post.0", "resid_mid.1", LATE_SITE)
"""Distinct residual sites after the embedding: the paper's internal sites."""
HALF_WAY_SITES = ("resid_pre.0", *INTERNAL_SITES)
"""Where checkpoints of one training are compared, as in the paper."""

ANALYSIS_SEQUENCES = 1_024
ANALYSIS_SEED = 2_027
HELD_OUT_SHARE = 0.25


class DyckModels(Streams, Sharing):
    """Seeds of the Dyck-3 transformer: weights, predictions and labels."""

    what = "models of the Dyck-3 task"

    @property
    @abstractmethod
    def models(self) -> StackedTransformer:
        """The seeds' models, stacked."""

    @property
    @abstractmethod
    def untrained(self) -> StackedTransformer:
        """The same models before training."""

    @property
    @abstractmethod
    def tokens(self) -> LabelledSequences:
        """The analysis batch, one for all seeds."""

    @cached_property
    def labels(self) -> dict[str, Int[Tensor, " token"]]:
        """The true answers at the tokens of `activations`, by output head."""
        return real_labels(self.tokens)

    @property
    def shared_coordinates(self) -> tuple[int, ...]:
        """Those of the position code, where it is fixed and the same in all seeds."""
        code = self.models.W_pos
        return () if code.ndim == 4 else tuple(code.any(0).nonzero()[:, 0].tolist())

    @property
    def lowest_accuracy(self) -> float:
        """Lowest final accuracy of any seed, on any head of any held-out set."""
        raise self.lacks("record of its accuracy")

    def cohort(self, name: str) -> StackedTransformer:
        """Return the models of another built-in cohort, to compare with."""
        raise self.lacks(f"cohort {name} to compare with")

    def short_of(self, accuracy: float) -> str:
        """Say how the seeds miss the accuracy that a bar presumes; empty if none does."""
        lowest = self.lowest_accuracy
        if lowest >= accuracy:
            return ""
        return (
            f"the paper's seeds reach {accuracy:.2%} on held-out data, the worst here {lowest:.3%}"
        )


class DyckSuite(DyckModels, Cores, Components, ControlAutoencoders):
    """Seeds of the Dyck-3 transformer, from any source of weights."""

    def __init__(
        self,
        name: str,
        states: Mapping[int, State],
        *,
        controls: Artifacts,
        architecture: TransformerConfig = TransformerConfig(),
        device: str = "cpu",
    ) -> None:
        """Store the weights by seed, and the files of the control cohort."""
        super().__init__(name, tuple(states), INTERNAL_SITES)
        self._states = list(states.values())
        self._controls = controls
        self._architecture = architecture
        self._device = device
        self._saes: dict[SAEName, SAE] = {}

    @cached_property
    def models(self) -> StackedTransformer:
        return self._stack(self._states)

    @cached_property
    def untrained(self) -> StackedTransformer:
        # Untrained models share what the seeds share, which makes them the hardest control.
        shared = {n: self._states[0][n] for n in SHARED_IO} if self.shares_io else {}
        return self._stack(
            [initial_state(self._architecture, seed) | shared for seed in self.seeds]
        )

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
        order = torch.randperm(
            ANALYSIS_SEQUENCES, generator=torch.Generator().manual_seed(ANALYSIS_SEED)
        )
        sequence = self.activations.sequence
        return torch.isin(sequence, order[: int(HELD_OUT_SHARE * ANALYSIS_SEQUENCES)])

    def component_models(self, *, trained: bool = True) -> Iterable[StackedTransformer]:
        return [self.models if trained else self.untrained]

    def subject(self, model: nn.Module, *, published: bool = False) -> Subject:
        assert isinstance(model, StackedTransformer)
        return components.published_subject(model) if published else components.subject(model)

    def batches(self) -> Iterator[tuple[nn.Module, dict[str, Tensor], list[Sequence[Inputs]]]]:
        yield from components.batches(self.models)

    def tail(self, seed: int) -> Tail:
        model = self.models.take(self.index(seed)).cpu()

        def logits(states: Tensor) -> Tensor:
            by_head = model.unembed(states[None, :, None])
            return torch.cat([of_head[0, :, 0] for of_head in by_head.values()], dim=1)

        return logits

    def control_sae(self, index: int, site: str) -> SAE:
        seeds = COHORTS[CONTROL_COHORT].seeds
        if index >= len(seeds):
            raise NotRun(
                f"{self.name} has {len(self.seeds)} seeds, but there are autoencoders for "
                f"controls of only {len(seeds)}; choose fewer seeds"
            )
        return self._load_sae(self._controls, SAEName(seeds[index], site, 0))

    def _stack(self, states: Sequence[State]) -> StackedTransformer:
        stacked = StackedTransformer(self._architecture, stack_states(states))
        return stacked.to(self._device)

    def _load_sae(self, artifacts: Artifacts, name: SAEName) -> SAE:
        if name not in self._saes:
            self._saes[name] = artifacts.sae(name)
        return self._saes[name]


class TrainedSuite(DyckSuite, Checkpoints, GroupAutoencoders):
    """A cohort of trained files; its autoencoders and activations load on first use."""

    def __init__(self, cohort: Cohort, folder: Path, device: str = "cpu") -> None:
        """Load the models of a cohort; `folder` has one folder of trained files per cohort."""
        self._artifacts = artifacts = Artifacts.open(folder / cohort.name)
        super().__init__(
            cohort.name,
            {seed: artifacts.model(seed) for seed in cohort.seeds},
            controls=Artifacts.open(folder / CONTROL_COHORT),
            architecture=cohort.architecture,
            device=device,
        )
        self._cohort = cohort
        self._folder = folder
        self._cohorts: dict[str, StackedTransformer] = {}

    @cached_property
    def lowest_accuracy(self) -> float:
        seeds = self._artifacts.manifest["seeds"].values()
        return min(float(seed["lowest accuracy"]) for seed in seeds)

    @cached_property
    def shares_io(self) -> bool:
        return self._cohort.shared_io

    def cohort(self, name: str) -> StackedTransformer:
        if name not in self._cohorts:
            try:
                artifacts = Artifacts.open(self._folder / name)
            except MissingArtifact as error:
                raise NotRun(str(error)) from None
            states = [artifacts.model(seed) for seed in COHORTS[name].seeds]
            self._cohorts[name] = self._stack(states)
        return self._cohorts[name]

    def earlier_activations(self, index: int) -> Activations:
        return self._half_way

    @cached_property
    def _half_way(self) -> Activations:
        states = [self._artifacts.model(seed, half_way=True) for seed in self.seeds]
        return harvest(self._stack(states), self.tokens, HALF_WAY_SITES)

    @property
    def checkpoint_sites(self) -> tuple[str, ...]:
        return HALF_WAY_SITES

    def last_activations(self, site: str) -> Float[Tensor, "seed token d_model"]:
        return (self._embedded if site not in self.sites else self.activations).at(site)

    @cached_property
    def _embedded(self) -> Activations:
        return harvest(self.models, self.tokens, HALF_WAY_SITES[:1])

    def sae(self, seed: int, site: str, sae_seed: int = 0) -> SAE:
        return self._load_sae(self._artifacts, SAEName(seed, site, sae_seed))

    def image_sae(self, seed: int, site: str) -> SAE:
        return self._load_sae(self._artifacts, SAEName(seed, site, IMAGE_SAE_SEED, IMAGE))

    def earlier_sae(self, seed: int, site: str) -> SAE:
        return self._load_sae(self._artifacts, SAEName(seed, site, 0, HALF_WAY))

    def dictionary(self, seed: int, kind: str, sae_seed: int = 0) -> SAE:
        return self._load_sae(self._artifacts, SAEName(seed, self.late_site, sae_seed, kind))
