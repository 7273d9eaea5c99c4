"""Which entries of the cache were damaged after they were written."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from polyrot.files import sha256
from polyrot.progress import Progress, silent
from polyrot.upkeep.cache_contents import KINDS, Entry, entries


def damaged(progress: Progress = silent) -> Iterator[Entry]:
    """Yield the entries that a run would reject and make again.

    Every file is read.  Unfinished training is not checked, because it has no hashes.
    """
    for kind, whole in _WHOLE.items():
        held = [entry for entry in entries(KINDS[kind]) if not entry.temporary]
        for done, entry in enumerate(held):
            progress(done / len(held), f"reading {kind}")
            try:
                good = whole(entry.path)
            except FileNotFoundError:
                good = not entry.path.exists()  # gone: removed meanwhile; there: a part is missing
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                good = False
            if not good:
                yield entry


def leftovers() -> list[Entry]:
    """List the temporary files left by killed processes."""
    return [entry for kind in KINDS.values() for entry in entries(kind) if entry.leftover]


def _activations(folder: Path) -> bool:
    index = json.loads((folder / "index.json").read_text())
    return all(sha256(folder / site) == digest for site, digest in index.items())


def _artifacts(folder: Path) -> bool:
    if not (folder / "manifest.json").is_file():
        return True  # not finished
    named = json.loads((folder / "manifest.json").read_text())["files"]
    return all(sha256(folder / name) == digest for name, digest in named.items())


def _estimates(file: Path) -> bool:
    seal, _, text = file.read_text().partition("\n")
    return seal == hashlib.sha256(text.encode()).hexdigest()


def _nulls(file: Path) -> bool:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as opened:
            return bool(opened.keys())
    except SafetensorError:
        return False


def _saes(folder: Path) -> bool:
    if not (folder / "index.json").is_file():
        return True  # being trained
    index = json.loads((folder / "index.json").read_text())
    return all(sha256(folder / name) == digest for name, digest in index.items())


def _tokens(file: Path) -> bool:
    import numpy as np

    return bool(np.load(file, mmap_mode="r", allow_pickle=False).ndim == 2)


_WHOLE: dict[str, Callable[[Path], bool]] = {
    "activations": _activations,
    "artifacts": _artifacts,
    "estimates": _estimates,
    "nulls": _nulls,
    "saes": _saes,
    "tokens": _tokens,
}
