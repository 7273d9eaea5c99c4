"""Suites of causal language models: a suite file's models, run on its tokens."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from polyrot.interventions.places import FAMILIES, FINAL_NORM, places
from polyrot.missing import NotRun
from polyrot.models import hub
from polyrot.models.harvest import Activations
from polyrot.models.hub import Checkpoint
from polyrot.models.sources import ModelSource, loaded
from polyrot.sae.model import SAE
from polyrot.sae.training import SAEConfig
from polyrot.suites.activations import harvest_language
from polyrot.suites.autoencoders import TrainedAutoencoders
from polyrot.suites.build import NOISE, noise_activations
from polyrot.suites.schema import Models, SuiteFile
from polyrot.suites.suite import Suite
from polyrot.suites.text_steering import TextSteered
from polyrot.suites.textlm import NAME as TEXTLM
from polyrot.suites.textlm import TOKENS_FILE, textlm_folder
from polyrot.suites.tokens import Sequences, TokenData, load_tokens

HELD_OUT_SEED = 2_027
COMPONENT_SEQUENCES = 8
"""On which components are ablated: the paper's number."""
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Run:
    """The checkpoints of one model's training."""

    seed: int
    last: Checkpoint
    earlier: tuple[Checkpoint, ...]
    untrained: Checkpoint | None


class LanguageSuite(Suite):
    """Language models; weights, tokens and activations load when asked for."""

    def __init__(
        self,
        file: SuiteFile,
        base: Path,
        *,
        device: str = "cpu",
        progress: Progress = lambda share, what: None,
    ) -> None:
        """Take a suite file whose paths are relative to `base`.

        Raises:
            NotRun: where a model's configuration cannot be had.
        """
        self.file, self.base, self._device, self._progress = file, base, device, progress
        self._runs = [run for entry in file.models for run in runs(entry, base)]
        self._control_runs = [run for entry in file.controls for run in runs(entry, base)]
        super().__init__(file.name, file.seeds, self._chosen_sites())
        self.earlier = tuple(c.revision or Path(c.place).name for c in self._runs[0].earlier) or (
            "half way",
        )

    @cached_property
    def d_model(self) -> int:
        """Width of the residual stream, one for all models.

        Raises:
            NotRun: where they differ.
        """
        widths = {run.seed: int(hub.architecture(run.last).hidden_size) for run in self._runs}
        if len(set(widths.values())) > 1:
            raise NotRun(
                f"the models of {self.name} differ in width ({_listed(widths)}); a rotation wants "
                "one"
            )
        return next(iter(widths.values()))

    @cached_property
    def data(self) -> TokenData:
        """The sequences that the models run on.

        Raises:
            NotRun: where they cannot be had, or hold a token that a model does not know.
        """
        tokens = self.file.tokens
        if tokens == type(tokens)() and (artifact := self._artifact) is not None:
            tokens, base = tokens.model_copy(update={"file": TOKENS_FILE}), artifact
        else:
            base = self.base
        data = load_tokens(
            tokens, base, self.tokenizer, lambda what: self._progress(0, f"{self.name}: {what}")
        )
        for run in self._runs:
            check_vocabulary(run.last, torch.cat([data.analysis, data.sae]))
        return data

    def tokenizer(self) -> Any:
        """The tokenizer that the suite file names, or that of the first model.

        Raises:
            NotRun: where it cannot be had.
        """
        name = self.file.tokens.tokenizer
        if not name:
            if self._artifact is not None:
                return hub.load_tokenizer(Checkpoint(str(self._artifact)))
            return hub.load_tokenizer(self._runs[0].last)
        folder = self.base / name
        place = Checkpoint(str(folder)) if folder.is_dir() else Checkpoint(name, "main")
        return hub.load_tokenizer(place)

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """Where the models are."""
        return [run.last for run in self._runs]

    def language_model(self, seed: int) -> nn.Module:
        """Load the model of a seed; the latest ones are kept while they are small."""
        return loaded([self._source(self._runs[self.index(seed)].last)])[0]

    def untrained_language_model(self, seed: int) -> nn.Module:
        """Load, or draw, the model of a seed as it was before training."""
        return loaded([self._untrained_source(self._runs[self.index(seed)])])[0]

    @cached_property
    def shares_io(self) -> bool:
        models: Iterator[Any] = map(self.language_model, self.seeds)
        first, *others = (model.get_input_embeddings().weight for model in models)
        return all(first.shape == o.shape and bool((first == o).all()) for o in others)

    @cached_property
    def activations(self) -> Activations:
        return self._harvest("trained", self._sources(self._runs), self.data.analysis)

    @cached_property
    def untrained_activations(self) -> Activations:
        sources = [self._untrained_source(run) for run in self._runs]
        return self._harvest("before training", sources, self.data.analysis)

    def earlier_activations(self, index: int) -> Activations:
        checkpoints = [run.earlier[index : index + 1] for run in self._runs]
        if not all(checkpoints):
            raise NotRun(
                f"{self.name} has no earlier checkpoints of its models; name them as "
                "models.earlier in the suite file"
            )
        sources = [self._source(checkpoint) for (checkpoint,) in checkpoints]
        return self._harvest(f"earlier {index}", sources, self.data.analysis)

    @cached_property
    def held_out(self) -> Bool[Tensor, " token"]:
        count, length = self.data.analysis.shape
        generator = torch.Generator().manual_seed(HELD_OUT_SEED)
        chosen = torch.randperm(count, generator=generator)[
            : int(self.file.tokens.held_out * count)
        ]
        sequence = torch.arange(count).repeat_interleave(length)
        return torch.isin(sequence, chosen)

    def component_models(self, *, trained: bool = True) -> Iterator[nn.Module]:
        load = self.language_model if trained else self.untrained_language_model
        return map(load, self.seeds)

    @cached_property
    def component_tokens(self) -> Sequences:
        return self.data.analysis[:COMPONENT_SEQUENCES]

    @cached_property
    def steered(self) -> TextSteered:
        site = self.file.steering.site
        if not site:
            blocks = [s for s in self.sites if s.startswith("resid_post.")] or list(self.sites)
            site = blocks[len(blocks) // 2]
        if site not in self.sites:
            raise NotRun(f"steering.site: {site} is not among the sites of {self.name}")
        return TextSteered.of(self, site)

    def sae(self, seed: int, site: str, sae_seed: int = 0) -> SAE:
        folder = self.file.sae.folder
        if not folder:
            own = sae_seed != 0
            seeds = [self.sae_seed(s) if own else 0 for s in self.seeds]
            return self._trained(site, seeds)[self.index(seed)]
        if sae_seed != 0 and "{sae_seed}" not in folder:
            raise NotRun(
                "sae.folder names one autoencoder of each model; put {sae_seed} into it where "
                "there are others (0 for the first, then 1, 2, ... for each model's own)"
            )
        path = self.base / folder.format(seed=seed, site=site, sae_seed=sae_seed)
        try:
            return SAE.load(path)
        except (OSError, ValueError) as error:
            raise NotRun(f"sae.folder: {error}") from None

    def control_sae(self, index: int, site: str) -> SAE:
        if site == NOISE:
            return self._noise.at(site, [0] * len(self.seeds))[index]
        if not self._control_runs:
            raise NotRun(
                f"{self.name} names no models of another task; give some as [[controls]], as "
                "many and as wide as its models"
            )
        return self._control.at(site, [0] * len(self._control_runs))[
            index % len(self._control_runs)
        ]

    def _lacks(self, what: str) -> NotRun:
        if what == "models":
            return NotRun(f"the claim is about models of the Dyck-3 task; {self.name} has others")
        return super()._lacks(what)

    @property
    def _dtype(self) -> torch.dtype:
        dtype: torch.dtype = getattr(torch, self.file.dtype)
        return dtype

    @property
    def _artifact(self) -> Path | None:
        """The folder of what was trained here, where the models are such."""
        artifact = self.file.models[0].artifact
        return artifact_folder(artifact, self.base) if artifact else None

    def _chosen_sites(self) -> tuple[str, ...]:
        known = self._known_sites()
        unknown = [s for s in self.file.sites if s not in (*known, FINAL_NORM)]
        if unknown:
            raise NotRun(
                f"sites: {self.file.name} has no {', '.join(unknown)}; it has "
                f"{', '.join(known)} and {FINAL_NORM}"
            )
        return tuple(self.file.sites) or known

    def _known_sites(self) -> tuple[str, ...]:
        # The shallowest model's: every model has them.
        return min((sites_of(run.last) for run in (*self._runs, *self._control_runs)), key=len)

    def _trained(self, site: str, sae_seeds: list[int]) -> list[SAE]:
        return self._models_autoencoders.at(site, sae_seeds)

    @cached_property
    def _models_autoencoders(self) -> TrainedAutoencoders:
        return self._autoencoders_of("trained", self._runs)

    @cached_property
    def _control(self) -> TrainedAutoencoders:
        return self._autoencoders_of("controls", self._control_runs)

    @cached_property
    def _noise(self) -> TrainedAutoencoders:
        tokens = self.data.sae.numel()

        def noise(site: str) -> list[Tensor]:
            return [noise_activations(seed, tokens, self.d_model) for seed in self.seeds]

        return TrainedAutoencoders(f"{self.name}: noise", self._recipe, noise, self._progress)

    def _autoencoders_of(self, which: str, runs: list[Run]) -> TrainedAutoencoders:
        def activations(site: str) -> list[Tensor]:
            harvested = self._harvest(which, self._sources(runs), self.data.sae)
            return list(harvested.at(site).unbind(0))

        return TrainedAutoencoders(self.name, self._recipe, activations, self._progress)

    @property
    def _recipe(self) -> SAEConfig:
        recipe = self.file.sae
        return SAEConfig(
            expansion=recipe.expansion,
            l1=recipe.l1,
            steps=recipe.steps,
            batch=recipe.batch,
            learning_rate=recipe.learning_rate,
        )

    def _sources(self, runs: list[Run]) -> list[ModelSource]:
        return [self._source(run.last) for run in runs]

    def _source(self, checkpoint: Checkpoint) -> ModelSource:
        return ModelSource(checkpoint, self._dtype, self._device)

    def _untrained_source(self, run: Run) -> ModelSource:
        if run.untrained:
            return self._source(run.untrained)
        return ModelSource(run.last, self._dtype, self._device, drawn=run.seed)

    def _harvest(
        self, which: str, sources: Sequence[ModelSource], tokens: Sequences
    ) -> Activations:
        used = self._control_runs if which == "controls" else self._runs
        return harvest_language(
            sources,
            self.d_model,
            tokens,
            self.sites,
            batch=self.file.tokens.batch,
            what={
                "which": which,
                "models": [_identity(run) for run in used],
                "dtype": self.file.dtype,
                "device": self._device,
            },
            progress=lambda share: self._progress(share, f"{self.name}: running models, {which}"),
        )


def sites_of(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Name the places of a model's residual stream, without loading its weights.

    Raises:
        NotRun: where its configuration cannot be had, or its family cannot be read.
    """
    model = hub.skeleton(checkpoint)
    try:
        return places(model).sites
    except TypeError:
        raise NotRun(
            f"{checkpoint} is a {type(model).__name__}; models of the families "
            f"{', '.join(FAMILIES)} can be read"
        ) from None


def check_vocabulary(checkpoint: Checkpoint, tokens: Sequences) -> None:
    """Raise NotRun where tokens hold one that a model does not know."""
    largest, known = int(tokens.max()), int(hub.architecture(checkpoint).vocab_size)
    if largest >= known or int(tokens.min()) < 0:
        raise NotRun(
            f"tokens holds ids from {int(tokens.min())} to {largest} and {checkpoint} knows "
            f"{known}; give tokens of its own tokenizer"
        )


def runs(entry: Models, base: Path) -> list[Run]:
    """Find the checkpoints of an entry of a suite file."""
    if entry.artifact:
        folder = artifact_folder(entry.artifact, base)
        return [_trained_here(folder, seed) for seed in entry.all_seeds]
    return [
        Run(
            seed,
            _checkpoint(entry, entry.revision if entry.hub else entry.folder, seed, base),
            tuple(_checkpoint(entry, name, seed, base) for name in entry.earlier),
            _checkpoint(entry, entry.untrained, seed, base) if entry.untrained else None,
        )
        for seed in entry.all_seeds
    ]


def _checkpoint(entry: Models, name: str, seed: int, base: Path) -> Checkpoint:
    name, hub_id = (text.replace("{seed}", str(seed)) for text in (name, entry.hub))
    return Checkpoint(hub_id, name) if hub_id else Checkpoint(str(base / name))


def _trained_here(folder: Path, seed: int) -> Run:
    half_way = folder / f"seed{seed}-half-way"
    earlier = (Checkpoint(str(half_way)),) if half_way.is_dir() else ()
    return Run(seed, Checkpoint(str(folder / f"seed{seed}")), earlier, None)


def artifact_folder(artifact: str, base: Path) -> Path:
    """The folder of what `polyrot train` made: by its name, or relative to a suite file."""
    return textlm_folder() if artifact == TEXTLM else base / artifact


def _identity(run: Run) -> list[str]:
    return [hub.identity(c) for c in (run.last, *run.earlier, run.untrained) if c is not None]


def _listed(widths: dict[int, int]) -> str:
    return ", ".join(f"seed {seed}: {width}" for seed, width in widths.items())
