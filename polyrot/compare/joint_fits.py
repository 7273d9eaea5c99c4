"""Maps of pairs of language models, fitted to their joint moments: one unit of work per pair."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from polyrot.compare.joint_moments import Joint
from polyrot.files import write_atomically
from polyrot.linalg.moment_files import Pair
from polyrot.linalg.moments import Moments
from polyrot.linalg.procrustes import Alignment, Group, align_all
from polyrot.parallel import one_thread, run_units
from polyrot.progress import Progress, silent

FIELDS = ("rotation", "scale", "source_mean", "target_mean", "ev_fit", "ev", "singular_values")


@dataclass(frozen=True)
class FittedPair:
    """The maps of a pair at a site, in a safetensors file with keys such as `GROUP.rotation`."""

    site: str
    pair: Pair
    groups: tuple[Group, ...]
    seed: int
    file: Path

    def read(self, moments: Moments) -> dict[Group, Alignment]:
        """Read the maps back; `moments` are those they were fitted to."""
        found = load_file(self.file)
        return {group: self._one(group, found, moments) for group in self.groups}

    def _one(self, group: Group, found: Mapping[str, torch.Tensor], moments: Moments) -> Alignment:
        values = {name: found[f"{group}.{name}"] for name in FIELDS}
        return Alignment(
            group=group,
            rotation=values["rotation"],
            scale=float(values["scale"]),
            source_mean=values["source_mean"],
            target_mean=values["target_mean"],
            ev_fit=float(values["ev_fit"]),
            ev=float(values["ev"]),
            singular_values=values["singular_values"],
            fitted=moments,
            seed=self.seed,
        )


def fit_pairs(
    joint: Joint,
    *,
    groups: tuple[Group, ...] = ("O",),
    seed: int = 0,
    progress: Progress = silent,
) -> list[FittedPair]:
    """Fit the maps of some groups to every pair at every site, one unit of work each."""
    units = [(joint, site, pair, groups, seed) for site in joint.sites for pair in joint.pairs]
    return run_units(fit_pair, units, progress=progress)


def fit_pair(
    joint: Joint, site: str, pair: Pair, groups: tuple[Group, ...], seed: int
) -> FittedPair:
    """Unit of work: fit maps to the moments in a folder, and write them there."""
    fit, held = joint.at(site, pair)
    with one_thread():
        alignments = align_all(fit, groups, holdout_moments=held, seed=seed)
    tensors = {
        f"{group}.{name}": torch.as_tensor(getattr(alignment, name)).double().clone()
        for group, alignment in alignments.items()
        for name in FIELDS
    }
    path = joint.folder / "maps" / site / f"{joint.pairs.index(pair)}.safetensors"
    write_atomically(path, lambda p: save_file(tensors, p))
    return FittedPair(site, pair, groups, seed, path)
