"""Residual activations of language models, cached on disk and read as needed."""

import hashlib
import json
import math
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from jaxtyping import Float
from torch import Tensor, nn

from polyrot.cache import cache_directory, content_key
from polyrot.errors import NotRun
from polyrot.experiments.language.tokens import Sequences
from polyrot.files import sha256
from polyrot.interventions.edit import recorded
from polyrot.models.harvest import Activations
from polyrot.models.sources import ModelSource, loaded
from polyrot.parallel import run_units
from polyrot.progress import Progress, silent

INDEX = "index.json"
TOKENS = "tokens.npy"
FLOAT_BYTES = 4
SHARD_TOKENS = 2**14
"""Tokens per unit of work."""


def harvest_language(
    models: Sequence[Callable[[], ModelSource]],
    d_model: int,
    tokens: Sequences,
    sites: Sequence[str],
    *,
    batch: int,
    what: Mapping[str, Any],
    progress: Progress = silent,
) -> Activations:
    """Collect the activations of models, one after another, at sites and every position.

    Each model runs once, shard by shard, as units of work whose results do not depend on where
    they run.  Activations are float32, one memory-mapped file per site, in the cache folder under
    a key of everything that determines them.

    Args:
        models: functions that return each model's source; not called if the activations exist.
        d_model: width of their residual stream.
        tokens: their input.
        sites: `resid_pre.0`, `resid_post.N` or `final_norm`.
        batch: sequences per batch.
        what: everything else that determines the result.
        progress: called after every unit of work.

    Raises:
        NotRun: if the disk is too small.
    """
    key = content_key(
        {
            **what,
            "tokens": _digest(tokens),
            "sites": list(sites),
            "batch": batch,
            "torch": torch.__version__,
        }
    )
    folder = cache_directory() / "activations" / key
    shape = (len(models), tokens.numel(), d_model)
    sequence = torch.arange(len(tokens)).repeat_interleave(tokens.shape[1])
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f"{key}.lock"):  # a second process waits, and uses the files
        if not _whole(folder, sites):
            _check_disk(folder.parent, len(sites) * math.prod(shape) * FLOAT_BYTES)
            temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{key}."))
            try:
                sources = [model().anywhere for model in models]
                _write(temporary, sources, d_model, tokens, sites, batch, progress)
                index = {site: sha256(temporary / site) for site in sites}
                (temporary / INDEX).write_text(json.dumps(index))
                shutil.rmtree(folder, ignore_errors=True)  # damaged, if it exists
                temporary.rename(folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        # Mapped under the lock: files that are removed afterwards can still be read.
        return Activations({site: _mapped(folder / site, shape) for site in sites}, sequence)


def read_sites(
    model: nn.Module, tokens: Sequences, sites: Sequence[str], *, to: str = "cpu"
) -> dict[str, Float[Tensor, "sequence position d_model"]]:
    """Run a model over sequences; return the activations at sites, as float32 on a device."""
    base = getattr(model, "base_model", model)  # without the unembedding
    device = next(model.parameters()).device
    with torch.inference_mode(), recorded(model, *sites) as found:
        base(input_ids=tokens.to(device), use_cache=False)
    return {site: found[site].float().to(to) for site in sites}


def _whole(folder: Path, sites: Sequence[str]) -> bool:
    """Do these sites' files exist, unchanged since they were written?"""
    try:
        index = json.loads((folder / INDEX).read_text())
        return all(sha256(folder / site) == index[site] for site in sites)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _mapped(file: Path, shape: tuple[int, ...]) -> Tensor:
    """Map a file into memory; writing to the tensor does not write to the file."""
    flat = torch.from_file(str(file), shared=False, size=math.prod(shape), dtype=torch.float32)
    return flat.view(shape)


def _check_disk(folder: Path, needed: int) -> None:
    """Raise NotRun before a model runs, if the files would not fit on the disk."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise NotRun(
            f"the activations need {needed / 2**30:.1f} GiB in {folder} and {free / 2**30:.1f} GiB "
            "are free; set POLYROT_CACHE to a larger disk, or lower tokens.sequences"
        )


def _write(
    folder: Path,
    models: Sequence[ModelSource],
    d_model: int,
    tokens: Sequences,
    sites: Sequence[str],
    batch: int,
    progress: Progress,
) -> None:
    for site in sites:
        with (folder / site).open("wb") as file:
            file.truncate(len(models) * tokens.numel() * d_model * FLOAT_BYTES)
    np.save(folder / TOKENS, tokens.numpy())
    # Whole batches, so that batches, and every bit of the result, do not depend on the shards.
    size = batch * max(1, SHARD_TOKENS // (batch * tokens.shape[1]))
    run_units(
        harvest_shard,
        [
            (folder, d_model, m, index, range(first, min(first + size, len(tokens))), sites, batch)
            for index, m in enumerate(models)
            for first in range(0, len(tokens), size)
        ],
        progress=progress,
    )
    (folder / TOKENS).unlink()


def harvest_shard(
    folder: Path,
    d_model: int,
    source: ModelSource,
    index: int,
    sequences: range,
    sites: Sequence[str],
    batch: int,
) -> None:
    """Unit of work: run a model over some sequences, and write its activations into the files.

    Args:
        folder: holds the tokens, and one file per site, `[model, token, d_model]`.
        d_model: width of the files.
        source: the model.
        index: its position among the models of the files.
        sequences: rows of the tokens.
        sites: to record.
        batch: sequences per batch.
    """
    tokens = np.load(folder / TOKENS, mmap_mode="r")
    (model,) = loaded([source])
    for first in sequences[::batch]:
        rows = slice(first, min(first + batch, sequences.stop))
        for site, x in read_sites(model, torch.from_numpy(tokens[rows].copy()), sites).items():
            if x.shape[2] != d_model:
                raise ValueError(
                    f"Expected activations of width {d_model} but got {x.shape[2]} of "
                    f"{source.checkpoint} at {site}"
                )
            # Not memory-mapped: pages written by two machines over a network would be corrupted.
            with (folder / site).open("r+b") as file:
                row = (index * len(tokens) + first) * tokens.shape[1]
                file.seek(row * d_model * FLOAT_BYTES)
                file.write(np.ascontiguousarray(x).data)


def _digest(tokens: Sequences) -> str:
    return hashlib.sha256(np.ascontiguousarray(tokens).tobytes()).hexdigest()
