"""Suites of checkpoints in the layout of the paper's release: `published:DIR`."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from polyrot.capabilities.streams import Checkpoints
from polyrot.errors import NotRun
from polyrot.experiments.dyck.release_folder import EXPANSION, Release
from polyrot.experiments.dyck.release_name import ReleaseName, spelled
from polyrot.experiments.dyck.suite import DyckSuite
from polyrot.files import sha256
from polyrot.models import cohorts
from polyrot.models.harvest import Activations, harvest
from polyrot.models.released import read_checkpoint
from polyrot.models.training import TrainingConfig
from polyrot.progress import Progress, silent
from polyrot.sae.model import SAE
from polyrot.sae.released import SAEFileName, read_sae
from polyrot.stats.estimate import Estimate, exact
from polyrot.suites.artifacts import Artifacts, MissingArtifact, SAEName
from polyrot.verdict.cache import EstimateCache


class ReleasedSuite(DyckSuite, Checkpoints):
    """Seeds read from released files; claims that need missing files are NOT RUN."""

    def __init__(
        self,
        name: str,
        release: Release,
        *,
        artifacts: Path,
        device: str = "cpu",
        progress: Progress = silent,
    ) -> None:
        """Load the files of a release; `artifacts` has the control cohort's trained files.

        Raises:
            MissingArtifact: if the release has only one seed, or the control cohort is missing.
        """
        if len(release.files) < 2:
            raise MissingArtifact(
                f"{release.folder} has checkpoints only of seed {next(iter(release.files))}, but "
                "claims compare seeds; add the folder of another seed"
            )
        super().__init__(
            name,
            {seed: checkpoint.state for seed, checkpoint in release.checkpoints.items()},
            controls=Artifacts.open(artifacts / cohorts.CONTROL_COHORT),
            device=device,
        )
        self._release = release
        self._progress = progress
        self._read: dict[SAEName, SAE] = {}

    @cached_property
    def shares_io(self) -> bool:
        return self._release.shares_io

    @cached_property
    def lowest_accuracy(self) -> float:
        """Measured as for the shipped models, and cached."""
        hashes = {seed: sha256(self._release.analysed(seed)) for seed in self.seeds}
        sequences = cohorts.FINAL_METRIC_SEQUENCES
        cache = EstimateCache(
            Path(__file__), {"files": hashes, "sequences": sequences, "device": self._device}
        )

        def measure() -> Mapping[str, Estimate]:
            self._progress(0, f"{self.name}: accuracy on held-out data")
            accuracies = cohorts.final_accuracy(self.models, TrainingConfig())
            value = min(map(cohorts.lowest, accuracies))
            return {
                "all": exact(
                    value, unit="seed", n=len(self.seeds), method="lowest of all", exhaustive=True
                )
            }

        return cache.measured("lowest accuracy", measure)["all"].value

    def earlier_activations(self, index: int) -> Activations:
        return self._half_way

    @cached_property
    def _half_way(self) -> Activations:
        paths = {seed: self._release.half_way(seed) for seed in self.seeds}
        missing = [seed for seed, path in paths.items() if path is None]
        if missing:
            raise NotRun(
                f"{self.name} has no checkpoint of seeds {spelled(missing)} from a quarter to "
                "three quarters of the analysed step; the full release has one every 200 "
                "steps, the small version only the last"
            )
        states = [read_checkpoint(path).state for path in paths.values() if path]
        return harvest(self._stack(states), self.tokens, self.sites)

    def sae(self, seed: int, site: str, sae_seed: int = 0) -> SAE:
        name = SAEName(seed, site, sae_seed)
        if name not in self._read:
            path = self._release.saes.get(name)
            if path is None:
                raise NotRun(
                    f"{self.name} has no autoencoder of seed {seed} at {site} from SAE seed "
                    f"{sae_seed}; put {SAEFileName(site, EXPANSION, sae_seed)} into a folder of "
                    "that seed: the full release has them from SAE seeds 0 and 1, the small "
                    "version has none"
                )
            self._read[name] = read_sae(path, d_model=self._architecture.d_model)
        return self._read[name]


def released_provenance(name: ReleaseName) -> dict[str, Any]:
    """Return seeds, their measured checkpoints, and the hash of every file that may be read."""
    release = Release.open(name)
    analysed = {seed: release.analysed(seed) for seed in release.files}
    half_way = {seed: path for seed in release.files if (path := release.half_way(seed))}
    files = [*analysed.values(), *half_way.values(), *release.saes.values()]
    return {
        "seeds": list(release.files),
        "analysed": {str(seed): release.named(path) for seed, path in analysed.items()},
        "half way": {str(seed): release.named(path) for seed, path in half_way.items()},
        "artifacts": {release.named(path): sha256(path) for path in sorted(files)},
    }
