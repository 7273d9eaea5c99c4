"""Autoencoders of a suite's language models: named by its file, or trained by its recipe."""

from collections.abc import Callable
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from polyrot.capabilities.autoencoder_training import NOISE, noise_activations
from polyrot.capabilities.autoencoders import TrainedAutoencoders
from polyrot.capabilities.streams import IMAGE_SAE_SEED, haar_image
from polyrot.errors import NotRun
from polyrot.experiments.language.suite_file import SuiteFile
from polyrot.experiments.language.tokens import Sequences, TokenData
from polyrot.models.harvest import Activations
from polyrot.progress import Progress
from polyrot.sae.model import SAE
from polyrot.sae.recipe import SAEConfig

if TYPE_CHECKING:

    class Harvesting(Protocol):
        """The part of a suite of language models that its autoencoders need."""

        name: str
        seeds: tuple[int, ...]
        file: SuiteFile
        base: Path
        device: str
        progress: Progress

        @property
        def d_model(self) -> int: ...

        @property
        def data(self) -> TokenData: ...

        def index(self, seed: int) -> int: ...

        def sae_seed(self, seed: int) -> int: ...

        def harvest_models(self, tokens: Sequences) -> Activations: ...

        def harvest_controls(self, tokens: Sequences) -> Activations: ...

        def harvest_earlier(self, index: int, tokens: Sequences) -> Activations: ...


class LanguageAutoencoders:
    """Autoencoders that are loaded or trained on first use."""

    def __init__(self, suite: "Harvesting") -> None:
        self._suite = suite
        self._given: dict[str, SAE] = {}

    def of_model(self, seed: int, site: str, sae_seed: int) -> SAE:
        """Return a model's autoencoder at a site, from an SAE seed; see `Autoencoders.sae`."""
        suite = self._suite
        folder = suite.file.sae.folder
        if not folder:
            separate = sae_seed != 0
            seeds = [suite.sae_seed(s) if separate else 0 for s in suite.seeds]
            return self._models.at(site, seeds)[suite.index(seed)]
        if sae_seed != 0 and "{sae_seed}" not in folder:
            raise NotRun(
                "sae.folder names one autoencoder of each model; put {sae_seed} into it if there "
                "are others (0 for the shared seed, then 1, 2, ... for the models in order)"
            )
        for name, value in (("seed", seed), ("site", site), ("sae_seed", sae_seed)):
            folder = folder.replace(f"{{{name}}}", str(value))
        if folder not in self._given:
            self._given[folder] = self._load(suite.base / folder)
        return self._given[folder]

    def of_control(self, index: int, site: str) -> SAE:
        """Return one of a model of another task, or of noise; see `control_sae` of a suite."""
        autoencoders = self._noise if site == NOISE else self._controls
        return autoencoders.at(site, [0] * len(self._suite.seeds))[index]

    def of_image(self, seed: int, site: str) -> SAE:
        """Return one of a Haar image of a model's activations; see `Autoencoders.image_sae`."""
        seeds = self._suite.seeds
        return self._images.at(site, [IMAGE_SAE_SEED] * len(seeds))[self._suite.index(seed)]

    def of_earlier(self, seed: int, site: str) -> SAE:
        """Return one of a model's first earlier checkpoint; see `Checkpoints.earlier_sae`."""
        return self._earlier.at(site, [0] * len(self._suite.seeds))[self._suite.index(seed)]

    def _load(self, folder: Path) -> SAE:
        try:
            sae = SAE.load(folder)
        except (OSError, ValueError) as error:
            raise NotRun(f"sae.folder: {error}") from None
        if sae.d_model != self._suite.d_model:
            raise NotRun(
                f"sae.folder: {folder} has d_model {sae.d_model} but the models of "
                f"{self._suite.name} have d_model {self._suite.d_model}"
            )
        return sae

    @cached_property
    def _models(self) -> TrainedAutoencoders:
        return self._trained_on(self._suite.harvest_models)

    @cached_property
    def _controls(self) -> TrainedAutoencoders:
        return self._trained_on(self._suite.harvest_controls)

    @cached_property
    def _images(self) -> TrainedAutoencoders:
        suite = self._suite
        harvested = self._once(suite.harvest_models)

        def images(site: str) -> list[Tensor]:
            sets = harvested().at(site).unbind(0)
            return [haar_image(x, seed) for x, seed in zip(sets, suite.seeds, strict=True)]

        return self._trained(f"{suite.name}: turned activations", images)

    @cached_property
    def _earlier(self) -> TrainedAutoencoders:
        return self._trained_on(partial(self._suite.harvest_earlier, 0))

    @cached_property
    def _noise(self) -> TrainedAutoencoders:
        tokens, d = self._suite.data.sae.numel(), self._suite.d_model

        def noise(site: str) -> list[Tensor]:
            return [noise_activations(seed, tokens, d) for seed in self._suite.seeds]

        return self._trained(f"{self._suite.name}: noise", noise)

    def _trained_on(self, harvest: Callable[[Sequences], Activations]) -> TrainedAutoencoders:
        once = self._once(harvest)
        return self._trained(self._suite.name, lambda site: list(once().at(site).unbind(0)))

    def _once(self, harvest: Callable[[Sequences], Activations]) -> Callable[[], Activations]:
        """Harvest the tokens of the autoencoders once: verifying the files takes long."""
        return lru_cache(maxsize=1)(lambda: harvest(self._suite.data.sae))

    def _trained(
        self, name: str, activations: Callable[[str], list[Tensor]]
    ) -> TrainedAutoencoders:
        return TrainedAutoencoders(
            name, self._recipe, activations, self._suite.progress, self._suite.device
        )

    @property
    def _recipe(self) -> SAEConfig:
        recipe = self._suite.file.sae
        return SAEConfig(
            expansion=recipe.expansion,
            l1=recipe.l1,
            steps=recipe.steps,
            batch=recipe.batch,
            learning_rate=recipe.learning_rate,
        )
