"""Moments of all pairs of several language models, from one pass of each model.

The sequences are cut into shards.  A unit of work runs all models over one shard and writes the
moments of its tokens; the moments of all shards are then added.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from polyrot.experiments.language.activations import read_sites
from polyrot.experiments.language.tokens import Sequences
from polyrot.linalg.moment_files import Pair, read_moments, write_moments
from polyrot.linalg.moments import Moments
from polyrot.linalg.streaming import JointMomentStream
from polyrot.models.sources import ModelSource, loaded
from polyrot.parallel import run_units
from polyrot.progress import Progress, silent

SHARD_TOKENS = 2**20
"""Tokens per unit of work: minutes for a model of 7 billion parameters on one accelerator."""
FIT, HELD_OUT = "fit", "held-out"


@dataclass(frozen=True)
class Joint:
    """Which models run, and where their inputs and moments are."""

    folder: Path
    models: Mapping[str, ModelSource]
    pairs: tuple[Pair, ...]
    sites: tuple[str, ...]
    batch: int

    def at(self, site: str, pair: Pair) -> tuple[Moments, Moments | None]:
        """Return the moments of a pair at a site, memory-mapped: fit tokens, held-out tokens."""
        fit, held = (self.folder / half / site for half in (FIT, HELD_OUT))
        held_out = read_moments(held, pair)[pair] if held.is_dir() else None
        return read_moments(fit, pair)[pair], held_out

    def file(self, name: str) -> Path:
        """Return the file of the tokens, or of the mask of held-out sequences."""
        return self.folder / f"{name}.npy"


def gather_moments(
    models: Mapping[str, ModelSource],
    tokens: Sequences,
    held_out: Bool[Tensor, " sequence"],
    sites: Sequence[str],
    folder: Path,
    *,
    pairs: Sequence[Pair] | None = None,
    batch: int = 16,
    progress: Progress = silent,
) -> Joint:
    """Run models over sequences, and sum the moments of their pairs at each site.

    A worker holds all models at once and, for every site, one float64 matrix per model, one per
    pair and one of workspace.

    Args:
        models: by name; all on one device, where the moments are summed too.
        tokens: their input.
        held_out: sequences whose moments are kept separately.
        sites: `resid_pre.0`, `resid_post.N` or `final_norm`.
        folder: where the moments go; workers on other machines must see it.
        pairs: (source, target); by default every two models once.
        batch: sequences per batch.
        progress: called after every unit of work.

    Raises:
        ValueError: if every sequence is held out.
        NotRun: if a model is not available.
    """
    if bool(held_out.all()):
        raise ValueError("Expected sequences to fit but all are held out")
    names = list(models)
    each_two = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    absolute = {name: model.anywhere for name, model in models.items()}
    job = Joint(folder.absolute(), absolute, tuple(pairs or each_two), tuple(sites), batch)
    job.folder.mkdir(parents=True, exist_ok=True)
    np.save(job.file("tokens"), tokens.numpy())
    np.save(job.file("held-out"), held_out.numpy())
    size = max(1, SHARD_TOKENS // tokens.shape[1])
    shards = [range(i, min(i + size, len(tokens))) for i in range(0, len(tokens), size)]
    parts = run_units(moments_of_shard, [(job, shard) for shard in shards], progress=progress)
    for half in (FIT, HELD_OUT):
        for site in sites:
            _merge(job, [part / half / site for part in parts], job.folder / half / site)
    for part in job.folder.glob("shard-*"):  # also those of workers that died
        shutil.rmtree(part)
    return job


def moments_of_shard(job: Joint, shard: range) -> Path:
    """Unit of work: sum the moments of some sequences; return the folder that holds them."""
    tokens = np.load(job.file("tokens"), mmap_mode="r")
    held_out = np.load(job.file("held-out"))
    models = dict(zip(job.models, loaded(list(job.models.values())), strict=True))
    # A separate folder even if two workers run the same shard.
    folder = Path(mkdtemp(dir=job.folder, prefix=f"shard-{shard.start}-"))
    for half, rows in (
        (FIT, [i for i in shard if not held_out[i]]),
        (HELD_OUT, [i for i in shard if held_out[i]]),
    ):
        streams = {site: JointMomentStream(job.pairs) for site in job.sites}
        for first in range(0, len(rows), job.batch):
            chunk = torch.from_numpy(tokens[rows[first : first + job.batch]])
            found = {
                name: read_sites(model, chunk, job.sites, to=job.models[name].device)
                for name, model in models.items()
            }
            for site, stream in streams.items():
                stream.add({name: x[site].flatten(0, 1) for name, x in found.items()})
        if rows:
            for site, stream in streams.items():
                write_moments(folder / half / site, stream.finish())
    return folder


def _merge(job: Joint, parts: list[Path], folder: Path) -> None:
    """Add up the moments of shards, in their order."""
    stream, written = JointMomentStream(job.pairs), [part for part in parts if part.is_dir()]
    for part in written:
        stream.merge(read_moments(part))
    if written:
        write_moments(folder, stream.finish())
