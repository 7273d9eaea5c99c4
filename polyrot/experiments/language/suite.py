"""Suites of causal language models: a suite file's models, run on its tokens."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from polyrot.capabilities.components import Components, Subject
from polyrot.capabilities.sharing import Sharing
from polyrot.capabilities.streams import Checkpoints, ControlAutoencoders
from polyrot.errors import NotRun
from polyrot.experiments.language.activations import harvest_language
from polyrot.experiments.language.autoencoders import LanguageAutoencoders
from polyrot.experiments.language.checkpoints import (
    Run,
    check_tokens,
    folder_of,
    runs,
    sites_of,
)
from polyrot.experiments.language.suite_file import SuiteFile
from polyrot.experiments.language.tokens import Sequences, TokenData, load_tokens
from polyrot.experiments.language.train import TOKENS_FILE
from polyrot.interventions.effects import Inputs, language_inputs, mean_outputs
from polyrot.interventions.places import FINAL_NORM
from polyrot.models import hub
from polyrot.models.harvest import Activations
from polyrot.models.hub import Checkpoint
from polyrot.models.sources import ModelSource, loaded
from polyrot.progress import Progress, silent, within
from polyrot.sae.model import SAE
from polyrot.suites.artifacts import SHIPPED

SOURCES = {"dataset", "files", "file", "tokenizer", "sequences", "length"}
"""Fields of `[tokens]` that name a source; without any, an artifact's tokens are used."""
HELD_OUT_SEED = 2_027
COMPONENT_SEQUENCES, MEAN_SEQUENCES = 8, 64
"""Number of sequences on which components are ablated, as in the paper, and of other sequences
whose mean activations replace them."""
COMPONENT_BATCHES = 4
"""Batches of so many sequences that each seed has for itself, where there are enough."""


class LanguageSuite(Checkpoints, ControlAutoencoders, Components, Sharing):
    """Language models; weights, tokens and activations load on first use."""

    def __init__(
        self,
        file: SuiteFile,
        base: Path,
        *,
        device: str = "cpu",
        artifacts: Path = SHIPPED,
        progress: Progress = silent,
    ) -> None:
        """Store a suite file whose paths are relative to `base`.

        `artifacts` has one folder of trained files per shipped suite.

        Raises:
            NotRun: if a model's configuration is not available.
        """
        self.file, self.base, self.device, self.progress = file, base, device, progress
        self._artifacts = artifacts
        self._runs = [run for entry in file.models for run in runs(entry, base, artifacts)]
        self._control_runs = [run for e in file.controls for run in runs(e, base, artifacts)]
        super().__init__(file.name, file.seeds, self._chosen_sites())
        self.earlier = tuple(file.models[0].earlier) or ("half way",)

    @cached_property
    def d_model(self) -> int:
        """Width of the residual stream, the same for all models.

        Raises:
            NotRun: if the models differ in width.
        """
        widths = {run.seed: int(hub.architecture(run.last).hidden_size) for run in self._runs}
        if len(set(widths.values())) > 1:
            raise NotRun(
                f"the models of {self.name} differ in width ({_listed(widths)}); a rotation needs "
                "equal widths"
            )
        return next(iter(widths.values()))

    @property
    def data(self) -> TokenData:
        """The sequences that the models run on.

        Raises:
            NotRun: if they are not available, or hold a token that is not in a model's vocabulary.
        """
        if isinstance(self._data, NotRun):
            raise NotRun(str(self._data))
        return self._data

    @cached_property
    def _data(self) -> TokenData | NotRun:
        """The sequences, or the error: a hub that does not answer is asked only once."""
        try:
            return self._load_data()
        except NotRun as error:
            return error

    def _load_data(self) -> TokenData:
        wanted = self.file.tokens
        if not wanted.model_fields_set & SOURCES and (artifact := self._artifact) is not None:
            wanted, base = wanted.model_copy(update={"file": TOKENS_FILE}), artifact
        else:
            base = self.base
        progress = within(self.progress, what=self.name)
        data = load_tokens(wanted, base, self.tokenizer, progress)
        for run in self._runs:
            for tokens in (data.analysis, data.sae):
                check_tokens(run.last, tokens, "tokens")
        return data

    def tokenizer(self) -> Any:
        """The tokenizer that the suite file names, or that of the first model.

        Raises:
            NotRun: if it is not available.
        """
        name = self.file.tokens.tokenizer
        folder = self.base / name
        missing = ""
        if not name:
            place = Checkpoint(str(self._artifact)) if self._artifact else self._runs[0].last
        elif folder.is_dir():
            place = Checkpoint(str(folder))
        else:
            place, missing = Checkpoint(name, "main"), f"there is no folder {folder}, and "
        try:
            return hub.load_tokenizer(place)
        except NotRun as error:
            raise NotRun(f"tokens.tokenizer: {missing}{error}") from None

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """The models' checkpoints."""
        return [run.last for run in self._runs]

    def language_model(self, seed: int) -> nn.Module:
        """Load the model of a seed; the most recent ones stay loaded if they are small."""
        return loaded([self._trained_source(self._runs[self.index(seed)])])[0]

    def untrained_language_model(self, seed: int) -> nn.Module:
        """Load, or initialise, the model of a seed before training."""
        return loaded([self._untrained_source(self._runs[self.index(seed)])])[0]

    @cached_property
    def shares_io(self) -> bool:
        models: Iterator[Any] = map(self.language_model, self.seeds)
        first, *others = (
            (model.get_input_embeddings().weight, model.get_output_embeddings().weight)
            for model in models
        )
        return all(
            a.shape == b.shape and bool((a == b).all())
            for other in others
            for a, b in zip(first, other, strict=True)
        )

    @cached_property
    def activations(self) -> Activations:
        return self.harvest_models(self.data.analysis)

    @cached_property
    def untrained_activations(self) -> Activations:
        sources = [partial(self._untrained_source, run) for run in self._runs]
        identities = [
            f"seed {run.seed} of {hub.identity(run.untrained or run.last)}" for run in self._runs
        ]
        return self._harvest("before training", sources, identities, self.data.analysis)

    def earlier_activations(self, index: int) -> Activations:
        return self.harvest_earlier(index)

    def harvest_earlier(self, index: int, tokens: Sequences | None = None) -> Activations:
        """Run the checkpoints at one of the `earlier` points, or read their cached activations.

        On the tokens of the analysis, unless others are given.

        Raises:
            NotRun: if the suite file names none.
        """
        checkpoints = [run.earlier[index : index + 1] for run in self._runs]
        if not all(checkpoints):
            raise NotRun(
                f"{self.name} has no earlier checkpoints of its models; name them as "
                "models.earlier in the suite file"
            )
        named = [checkpoint for (checkpoint,) in checkpoints]
        sources = [partial(self._source, checkpoint) for checkpoint in named]
        identities = [hub.identity(checkpoint) for checkpoint in named]
        tokens = self.data.analysis if tokens is None else tokens
        return self._harvest(f"earlier {index}", sources, identities, tokens)

    @cached_property
    def held_out(self) -> Bool[Tensor, " token"]:
        count, length = self.data.analysis.shape
        generator = torch.Generator().manual_seed(HELD_OUT_SEED)
        held = max(1, int(self.file.tokens.held_out * count))
        chosen = torch.randperm(count, generator=generator)[:held]
        sequence = torch.arange(count).repeat_interleave(length)
        return torch.isin(sequence, chosen)

    def component_models(self, *, trained: bool = True) -> Iterator[nn.Module]:
        load = self.language_model if trained else self.untrained_language_model
        return map(load, self.seeds)

    @cached_property
    def component_tokens(self) -> tuple[Int[Tensor, "_ position"], Int[Tensor, "_ position"]]:
        """Tokens for the means of components, and for their effects."""
        effects, means = COMPONENT_SEQUENCES, COMPONENT_SEQUENCES + MEAN_SEQUENCES
        if len(self.data.analysis) <= effects:
            raise NotRun(f"tokens.sequences: components need more than {effects} sequences")
        return self.data.analysis[effects:means], self.data.analysis[:effects]

    def subject(self, model: nn.Module, *, published: bool = False) -> Subject:
        device = next(model.parameters()).device
        for_means, for_effects = (
            language_inputs(model, tokens.to(device)) for tokens in self.component_tokens
        )
        return Subject(model, mean_outputs(model, for_means), for_effects, for_effects)

    def batches(self) -> Iterator[tuple[nn.Module, dict[str, Tensor], list[Sequence[Inputs]]]]:
        """Yield batches of their own while there are tokens; otherwise those of `subject`."""
        used = COMPONENT_SEQUENCES + MEAN_SEQUENCES
        rest = list(self.data.analysis[used:].split(COMPONENT_SEQUENCES))
        of_each = min(COMPONENT_BATCHES, len(rest) // len(self.seeds))
        for i, model in enumerate(self.component_models()):
            subject, device = self.subject(model), next(model.parameters()).device
            own = rest[i * of_each : (i + 1) * of_each]
            several: list[Sequence[Inputs]] = [
                language_inputs(model, tokens.to(device)) for tokens in own
            ]
            yield model, subject.means, several or [subject.inputs]

    @property
    def middle_site(self) -> str:
        """The site after the middle block."""
        blocks = [s for s in self.sites if s.startswith("resid_post.")] or list(self.sites)
        return blocks[len(blocks) // 2]

    @property
    def steering_site(self) -> str:
        """The site where steering vectors act, by default after the middle block.

        Raises:
            NotRun: if the suite file names a site that the suite does not have.
        """
        site = self.file.steering.site
        site = site or self.middle_site
        stream = [s for s in self.sites if s != FINAL_NORM]
        if site not in stream:
            raise NotRun(f"steering.site: expected one of {', '.join(stream)} but got {site}")
        return site

    def sae(self, seed: int, site: str, sae_seed: int = 0) -> SAE:
        return self._autoencoders.of_model(seed, site, sae_seed)

    def image_sae(self, seed: int, site: str) -> SAE:
        return self._autoencoders.of_image(seed, site)

    def earlier_sae(self, seed: int, site: str) -> SAE:
        return self._autoencoders.of_earlier(seed, site)

    def control_sae(self, index: int, site: str) -> SAE:
        return self._autoencoders.of_control(index, site)

    @cached_property
    def _autoencoders(self) -> LanguageAutoencoders:
        return LanguageAutoencoders(self)

    @property
    def _dtype(self) -> torch.dtype:
        dtype: torch.dtype = getattr(torch, self.file.dtype)
        return dtype

    @property
    def _artifact(self) -> Path | None:
        """The folder of trained files, if the models were trained by polyrot."""
        artifact = self.file.models[0].artifact
        return folder_of(artifact, self.base, self._artifacts) if artifact else None

    def _chosen_sites(self) -> tuple[str, ...]:
        # Every model has the sites of the shallowest one.
        known = min((sites_of(run.last) for run in self._runs), key=len)
        unknown = [s for s in self.file.sites if s not in (*known, FINAL_NORM)]
        if unknown:
            raise NotRun(
                f"sites: {self.file.name} has no {', '.join(unknown)}; it has "
                f"{', '.join(known)} and {FINAL_NORM}"
            )
        return tuple(self.file.sites) or known

    def _trained_source(self, run: Run) -> ModelSource:
        return ModelSource(run.last, self._dtype, self.device)

    def _untrained_source(self, run: Run) -> ModelSource:
        if run.untrained:
            return self._source(run.untrained)
        return ModelSource(run.last, self._dtype, self.device, drawn=run.seed)

    def _source(self, checkpoint: Checkpoint) -> ModelSource:
        """Load a further checkpoint after checking width, depth and vocabulary.

        Raises:
            NotRun: if its width differs, or its depth or vocabulary is too small.
        """
        width = int(hub.architecture(checkpoint).hidden_size)
        if width != self.d_model:
            raise NotRun(
                f"{checkpoint} has width {width} but the models of {self.name} have {self.d_model}"
            )
        known = (*sites_of(checkpoint), FINAL_NORM)
        if missing := [site for site in self.sites if site not in known]:
            raise NotRun(
                f"{checkpoint} has no {', '.join(missing)}, where {self.name} is measured; list "
                "the sites that all have as sites in the suite file"
            )
        for tokens in (self.data.analysis, self.data.sae):
            check_tokens(checkpoint, tokens, "tokens")
        return ModelSource(checkpoint, self._dtype, self.device)

    def harvest_models(self, tokens: Sequences) -> Activations:
        """Run the models on tokens, or read their cached activations."""
        sources = [partial(self._trained_source, run) for run in self._runs]
        identities = [hub.identity(run.last) for run in self._runs]
        return self._harvest("trained", sources, identities, tokens)

    def harvest_controls(self, tokens: Sequences) -> Activations:
        """Run equally many models of another task on tokens, or read their cached activations.

        Raises:
            NotRun: as `check_controls`.
        """
        self.check_controls()
        runs = self._control_runs[: len(self.seeds)]
        sources = [partial(self._source, run.last) for run in runs]
        identities = [hub.identity(run.last) for run in runs]
        return self._harvest("controls", sources, identities, tokens)

    def check_controls(self) -> None:
        """Check the models of another task, without loading weights.

        Raises:
            NotRun: if the suite file names fewer of them than models, or they are not comparable.
        """
        if len(self._control_runs) < len(self.seeds):
            raise NotRun(
                f"{self.name} names {len(self._control_runs) or 'no'} models of another task; give "
                "some as [[controls]], equal in number and width to its models"
            )
        for run in self._control_runs[: len(self.seeds)]:
            self._source(run.last)

    def _harvest(
        self,
        which: str,
        sources: Sequence[Callable[[], ModelSource]],
        identities: list[str],
        tokens: Sequences,
    ) -> Activations:
        """Harvest models, or read the cached activations of models with these identities."""
        return harvest_language(
            sources,
            self.d_model,
            tokens,
            self.sites,
            batch=self.file.tokens.batch,
            what={
                "which": which,
                "models": identities,
                "dtype": self.file.dtype,
                "device": self.device,
                "transformers": version("transformers"),
            },
            progress=within(self.progress, what=f"{self.name}: running models, {which}"),
        )


def _listed(widths: dict[int, int]) -> str:
    return ", ".join(f"seed {seed}: {width}" for seed, width in widths.items())
