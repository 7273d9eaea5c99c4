"""Residual activations of language models, kept on disk and read as they are needed."""

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
"""Tokens of one unit of work."""


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

    Each model runs once, shard by shard: units of work, whose results do not hang on where
    they run.  The numbers are kept as float32, one file a site and mapped into memory, in the
    cache directory under what determines them.

    Args:
        models: say where one comes from each; not called where the activations are there.
        d_model: width of their residual stream.
        tokens: what they run on.
        sites: `resid_pre.0`, `resid_post.N` or `final_norm`.
        batch: sequences that run together.
        what: everything else that determines the result.
        progress: told after every unit of work.

    Raises:
        NotRun: where the disk is too small.
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
    with FileLock(folder.parent / f"{key}.lock"):  # a second process waits, and finds them
        if not _whole(folder, sites):
            _check_disk(folder.parent, len(sites) * math.prod(shape) * FLOAT_BYTES)
            temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{key}."))
            try:
                sources = [model().anywhere for model in models]
                _write(temporary, sources, d_model, tokens, sites, batch, progress)
                index = {site: sha256(temporary / site) for site in sites}
                (temporary / INDEX).write_text(json.dumps(index))
                shutil.rmtree(folder, ignore_errors=True)  # damaged, if it is there at all
                temporary.rename(folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        # Under the lock: files that are cleared after it can still be read where they are mapped.
        return Activations({site: _mapped(folder / site, shape) for site in sites}, sequence)


def read_sites(
    model: nn.Module, tokens: Sequences, sites: Sequence[str], *, to: str = "cpu"
) -> dict[str, Float[Tensor, "sequence position d_model"]]:
    """Run a model over sequences; return what stands at the sites, as float32 on a device."""
    base = getattr(model, "base_model", model)  # without the unembedding
    device = next(model.parameters()).device
    with torch.inference_mode(), recorded(model, *sites) as found:
        base(input_ids=tokens.to(device), use_cache=False)
    return {site: found[site].float().to(to) for site in sites}


def _whole(folder: Path, sites: Sequence[str]) -> bool:
    """Are these sites' files there and what they were when they were written?"""
    try:
        index = json.loads((folder / INDEX).read_text())
        return all(sha256(folder / site) == index[site] for site in sites)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _mapped(file: Path, shape: tuple[int, ...]) -> Tensor:
    """Map a file into memory; who writes to the tensor does not write to the file."""
    flat = torch.from_file(str(file), shared=False, size=math.prod(shape), dtype=torch.float32)
    return flat.view(shape)


def _check_disk(folder: Path, needed: int) -> None:
    """Raise NotRun where files would not fit, before a model runs."""
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
    # Whole batches: what runs together, and so every bit, is the same for any number of shards.
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
    """Unit of work: run a model over some sequences, and write where its activations belong.

    Args:
        folder: holds the tokens, and one file a site, `[model, token, d_model]`.
        d_model: width of the files.
        source: the model.
        index: its position among the models of the files.
        sequences: rows of the tokens.
        sites: what to record.
        batch: sequences that run together.
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
            # Not mapped: over a network, pages that two machines write to would be torn.
            with (folder / site).open("r+b") as file:
                row = (index * len(tokens) + first) * tokens.shape[1]
                file.seek(row * d_model * FLOAT_BYTES)
                file.write(np.ascontiguousarray(x).data)


def _digest(tokens: Sequences) -> str:
    return hashlib.sha256(np.ascontiguousarray(tokens).tobytes()).hexdigest()
