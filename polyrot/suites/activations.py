"""Residual activations of language models, kept on disk and read as they are needed."""

import hashlib
import json
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from jaxtyping import Float
from torch import Tensor, nn

from polyrot.cache import cache_directory, content_key
from polyrot.files import sha256
from polyrot.interventions.edit import recorded
from polyrot.missing import NotRun
from polyrot.models.harvest import Activations
from polyrot.suites.tokens import Sequences

INDEX = "index.json"


def harvest_language(
    models: Sequence[Callable[[], nn.Module]],
    d_model: int,
    tokens: Sequences,
    sites: Sequence[str],
    *,
    batch: int,
    what: Mapping[str, Any],
    progress: Callable[[float], None] = lambda share: None,
) -> Activations:
    """Collect the activations of models, one after another, at sites and every position.

    Each model is loaded once and runs once.  The numbers are kept as float32, one file a site
    and mapped into memory, in the cache directory under `what` determines them.

    Args:
        models: load one model each.
        d_model: width of their residual stream.
        tokens: what they run on.
        sites: `resid_pre.0`, `resid_post.N` or `final_norm`.
        batch: sequences that run together.
        what: everything else that determines the result.
        progress: called with the share that is done.

    Raises:
        NotRun: where the disk is too small.
    """
    key = content_key(
        {**what, "tokens": _digest(tokens), "sites": list(sites), "torch": torch.__version__}
    )
    folder = cache_directory() / "activations" / key
    shape = (len(models), tokens.numel(), d_model)
    sequence = torch.arange(len(tokens)).repeat_interleave(tokens.shape[1])
    kept = _KeptSites(folder, shape)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f"{key}.lock"):  # a second process waits, and finds them
        if kept.whole(sites):
            return Activations(kept, sequence)
        _check_disk(folder.parent, len(sites) * math.prod(shape) * np.float32().itemsize)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{key}."))
        try:
            _write(temporary, shape, models, tokens, sites, batch, progress)
            index = {site: sha256(temporary / site) for site in sites}
            (temporary / INDEX).write_text(json.dumps(index))
            shutil.rmtree(folder, ignore_errors=True)  # damaged, if it is there at all
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return Activations(kept, sequence)


def read_sites(
    model: nn.Module, tokens: Sequences, sites: Sequence[str]
) -> dict[str, Float[Tensor, "sequence position d_model"]]:
    """Run a model over sequences; return what stands at the sites, as float32 on the CPU."""
    base = getattr(model, "base_model", model)  # without the unembedding
    device = next(model.parameters()).device
    with torch.inference_mode(), recorded(model, *sites) as found:
        base(input_ids=tokens.to(device), use_cache=False)
    return {site: found[site].float().cpu() for site in sites}


class _KeptSites(Mapping[str, Tensor]):
    """The files of a folder, `[seed, token, d_model]` a site; mapped when asked for."""

    def __init__(self, folder: Path, shape: tuple[int, int, int]) -> None:
        self._folder, self._shape = folder, shape
        self._mapped: dict[str, Tensor] = {}

    def whole(self, sites: Sequence[str]) -> bool:
        """Are these sites' files there and what they were when they were written?"""
        try:
            index = json.loads((self._folder / INDEX).read_text())
            return all(sha256(self._folder / site) == index[site] for site in sites)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def __getitem__(self, site: str) -> Tensor:
        if site not in self._mapped:
            file = self._folder / site
            if not file.is_file():
                raise KeyError(site)
            size = math.prod(self._shape)
            # Private: whoever writes to the tensor does not write to the file.
            flat = torch.from_file(str(file), shared=False, size=size, dtype=torch.float32)
            self._mapped[site] = flat.view(self._shape)
        return self._mapped[site]

    def __iter__(self) -> Iterator[str]:
        return iter(json.loads((self._folder / INDEX).read_text()))

    def __len__(self) -> int:
        return len(list(iter(self)))


def _check_disk(folder: Path, needed: int) -> None:
    """Raise NotRun where files would not fit: writing to mapped ones then kills the process."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise NotRun(
            f"the activations need {needed / 2**30:.1f} GiB in {folder} and {free / 2**30:.1f} GiB "
            "are free; set POLYROT_CACHE to a larger disk, or lower tokens.sequences"
        )


def _write(
    folder: Path,
    shape: tuple[int, int, int],
    models: Sequence[Callable[[], nn.Module]],
    tokens: Sequences,
    sites: Sequence[str],
    batch: int,
    progress: Callable[[float], None],
) -> None:
    files = {
        site: np.memmap(folder / site, dtype=np.float32, mode="w+", shape=shape) for site in sites
    }
    length = tokens.shape[1]
    for index, load in enumerate(models):
        model = load()
        for first in range(0, len(tokens), batch):
            found = read_sites(model, tokens[first : first + batch], sites)
            for site, x in found.items():
                rows = slice(first * length, first * length + x.shape[0] * length)
                files[site][index, rows] = x.flatten(0, 1).numpy()
            progress((index + min(1, (first + batch) / len(tokens))) / len(models))
        del model
    for file in files.values():
        file.flush()


def _digest(tokens: Sequences) -> str:
    return hashlib.sha256(np.ascontiguousarray(tokens).tobytes()).hexdigest()
