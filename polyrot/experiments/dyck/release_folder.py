"""The files of a released folder by seed, and which of them are measured.

The release of "Polymorphism Is Rotation" (arXiv 2605.24577) has the layout

    seeds/{seed}/checkpoints/ckpt_{step:07d}.pt
    seeds/{seed}/lens_outputs/sae_{site}_x8.pt            of SAE seed 0
    seeds/{seed}/lens_outputs/sae_{site}_x8_seed{k}.pt    of SAE seed k

and its training code writes held-out accuracies to logs/train_seed{seed}.json.  Files may be at any
depth.  The seed is read from the file's name or the nearest folder's name that contains `seed3` or
`seed_3`, else from the nearest folder whose name is a number.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from polyrot.experiments.dyck.release_name import ReleaseName, spelled
from polyrot.experiments.dyck.suite import INTERNAL_SITES
from polyrot.models.released import Checkpoint, read_checkpoint
from polyrot.models.transformer import SHARED_IO, canonical_site
from polyrot.sae.released import SAEFileName
from polyrot.suites.artifacts import SAEName

EXPANSION = 8
"""Expansion of the autoencoders that claims are about; the release also has x32 ones."""

HELD_OUT = ("train", "compositional", "long")
LOSSES = ("loss_tok", "loss_depth", "loss_valid")

_SEED = re.compile(r"seed[_-]?(\d+)")

Steps = Mapping[int, Path]
"""One seed's checkpoint files by step."""


@dataclass(frozen=True, eq=False)
class Release:
    """The files of a released folder that a suite measures, and the weights it analyses."""

    folder: Path
    files: Mapping[int, Steps]
    """Checkpoint files by seed."""
    steps: Mapping[int, int]
    """The step that is analysed, by seed."""
    checkpoints: Mapping[int, Checkpoint]
    """The checkpoint of that step, by seed."""
    saes: Mapping[SAEName, Path]
    shares_io: bool

    @classmethod
    def open(cls, name: ReleaseName) -> "Release":
        """Find the files of every chosen seed, and read the checkpoint of each to analyse.

        If the seed has a training log, that is the checkpoint whose worst head is most accurate on
        held-out data; the lowest loss breaks ties.  Without a log it is the last one, as in the
        author's code.  (The release has no logs.)  If other seeds were trained with the frozen
        embedding and unembeddings of one of the seed's checkpoints, it is that checkpoint.

        Raises:
            ValueError: if there is no checkpoint, a file's seed is unknown, a file is not a
                released checkpoint, or only some seeds share their embedding.
        """
        found = _checkpoint_files(name.folder)
        files = {seed: found[seed] for seed in name.chosen(found)}
        logs = {_seed(path.stem): path for path in name.folder.rglob("train_seed*.json")}
        steps = {seed: _best_step(steps_of, logs.get(seed)) for seed, steps_of in files.items()}
        checkpoints = {seed: read_checkpoint(files[seed][step]) for seed, step in steps.items()}
        sharing = _sharing(checkpoints)
        if len(sharing) == 1:
            shared = checkpoints[sharing[0][0]]
            for seed in files.keys() - sharing[0]:
                if source := _source(files[seed], shared):
                    steps[seed], checkpoints[seed] = source
            sharing = _sharing(checkpoints)
        if sharing and sharing[0] != list(files):
            raise ValueError(
                "Expected seeds that all share their embedding and unembeddings, or that share "
                f"nothing, but in {name.folder} some do ({' and '.join(map(spelled, sharing))}) "
                f"and some do not; choose seeds by published:{name.folder}:{spelled(sharing[0])}"
            )
        saes = _sae_files(name.folder, files)
        return cls(name.folder, files, steps, checkpoints, saes, bool(sharing))

    def analysed(self, seed: int) -> Path:
        """Return the file of the checkpoint that is analysed."""
        return self.files[seed][self.steps[seed]]

    def half_way(self, seed: int) -> Path | None:
        """Return the checkpoint nearest to half the analysed step, 1/4 to 3/4 of it; or None."""
        last = self.steps[seed]
        near = [step for step in self.files[seed] if last / 4 <= step <= 3 * last / 4]
        return self.files[seed][min(near, key=lambda s: abs(s - last / 2))] if near else None

    def named(self, path: Path) -> str:
        """Return a file's path relative to the folder."""
        return path.relative_to(self.folder).as_posix()


def _checkpoint_files(folder: Path) -> dict[int, Steps]:
    if not folder.is_dir():
        raise ValueError(f"Expected a folder of released checkpoints but there is no {folder}")
    paths = sorted(path for path in folder.rglob("ckpt_*.pt") if path.is_file())
    if not paths:
        raise ValueError(
            f"Expected released checkpoints, ckpt_*.pt, at any depth in {folder} but found none; "
            "the release has them as seeds/0/checkpoints/ckpt_0058000.pt"
        )
    by_seed: dict[int | None, list[Path]] = {}
    for path in paths:
        by_seed.setdefault(_seed(path.stem, *_folders(path, folder)), []).append(path)
    unknown = by_seed.get(None)
    if unknown:
        raise ValueError(
            "Expected every seed in the name of a file or folder, such as seed3 or "
            f"seeds/3/checkpoints, but {folder} has {_listed(unknown, folder)}; "
            "name the folder that holds the folders of all seeds"
        )
    files: dict[int, Steps] = {}
    for seed, paths in by_seed.items():
        assert seed is not None
        files[seed] = {_step(path): path for path in paths}
        if len({path.parent for path in paths}) > 1 or len(files[seed]) < len(paths):
            raise ValueError(
                f"Expected the checkpoints of seed {seed} in one folder, one per step, "
                f"but {folder} has {_listed(paths, folder)}"
            )
    return files


def _step(path: Path) -> int:
    numbers = re.findall(r"\d+", _SEED.sub("", path.stem))
    return int(numbers[-1]) if numbers else read_checkpoint(path).step


def _best_step(steps: Steps, log: Path | None) -> int:
    if log is None:
        return max(steps)
    try:
        ranks = {
            record["step"]: (
                record["eval_min_acc"],
                -sum(record[held_out][loss] for held_out in HELD_OUT for loss in LOSSES),
            )
            for record in json.loads(log.read_text())
            if "eval_min_acc" in record and record["step"] in steps
        }
    except (ValueError, TypeError, KeyError):
        raise ValueError(
            f"Expected a training log in {log} but it is not one; without it the "
            "last checkpoint is analysed"
        ) from None
    return max(ranks, key=lambda step: ranks[step], default=max(steps))


def _sharing(checkpoints: Mapping[int, Checkpoint]) -> list[list[int]]:
    """Group the seeds that share their embedding and unembeddings with other seeds."""
    groups: list[list[int]] = []
    for seed, checkpoint in checkpoints.items():
        for group in groups:
            if _same_io(checkpoint, checkpoints[group[0]]):
                group.append(seed)
                break
        else:
            groups.append([seed])
    return [group for group in groups if len(group) > 1]


def _source(steps: Steps, other: Checkpoint) -> tuple[int, Checkpoint] | None:
    """Find the last of a seed's checkpoints with another seed's embedding and unembeddings."""
    for step, path in sorted(steps.items(), reverse=True):
        if _same_io(checkpoint := read_checkpoint(path), other):
            return step, checkpoint
    return None


def _same_io(one: Checkpoint, other: Checkpoint) -> bool:
    return all(torch.equal(one.state[name], other.state[name]) for name in SHARED_IO)


def _sae_files(folder: Path, seeds: Collection[int]) -> dict[SAEName, Path]:
    """Find the autoencoders at the internal sites, under polyrot's names of the sites."""
    found: dict[SAEName, dict[str, Path]] = {}
    for path in sorted(folder.rglob("*sae*.pt")):
        said = SAEFileName.parse(path.name)
        if said is None or said.expansion != EXPANSION:
            continue
        seed, site = _seed(said.before, *_folders(path, folder)), canonical_site(said.site)
        if seed is not None and seed in seeds and site in INTERNAL_SITES:
            alternatives = found.setdefault(SAEName(seed, site, said.sae_seed), {})
            other = alternatives.setdefault(said.site, path)
            if other != path:
                raise ValueError(
                    f"Expected one autoencoder per seed, site and SAE seed in {folder} "
                    f"but got {_listed((other, path), folder)}"
                )
    return {name: paths.get(name.site) or min(paths.values()) for name, paths in found.items()}


def _folders(path: Path, folder: Path) -> tuple[str, ...]:
    """Return the names of the folders from a file up to the released one, nearest first."""
    return path.relative_to(folder).parts[-2::-1]


def _seed(*names: str) -> int | None:
    """Return the seed in the first name that contains one."""
    said = [found[1] for name in names if (found := _SEED.search(name))]
    said = said or [name for name in names if name.isdecimal()]
    return int(said[0]) if said else None


def _listed(paths: Collection[Path], folder: Path) -> str:
    names = [path.relative_to(folder).as_posix() for path in paths]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
