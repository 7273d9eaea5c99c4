"""Null distributions drawn once: kept on disk, keyed by everything that determines them."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from polyrot.cache import cache_directory, content_key
from polyrot.files import write_atomically

Draws = dict[str, Float[Tensor, " draw"]]
"""Null draws of each statistic, in ascending order of the draw."""

_memory: dict[Path, Draws] = {}


def cached_draws(what: Mapping[str, object], draw: Callable[[], Draws]) -> Draws:
    """Return the null that `what` determines: from memory, from disk, or drawn and kept.

    `what` must name the statistics and their code version, the dimension, the group, the
    number of draws and the seed.  A damaged file is drawn again.
    """
    path = cache_directory() / "nulls" / f"{content_key(what)}.safetensors"
    if path not in _memory:
        null = _read(path)
        if null is None:
            null = {name: values.contiguous() for name, values in draw().items()}
            with suppress(OSError):  # with a full disk the next run draws again
                write_atomically(path, lambda p: save_file(null, p))
        _memory[path] = null
    return _memory[path]


def _read(path: Path) -> Draws | None:
    try:
        return load_file(path)
    except (OSError, SafetensorError):  # not there, or damaged
        return None
