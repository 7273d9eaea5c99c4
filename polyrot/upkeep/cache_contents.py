"""The contents of the cache folder, kind by kind, and how to remove them.

`$POLYROT_CACHE` may be a folder that holds other files.  So only files that this package writes are
counted and removed: those in the folders of the kinds below, with names in this package's format.
"""

import re
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from polyrot.cache import cache_directory
from polyrot.progress import Progress, silent
from polyrot.suites import registry

IN_USE = "in-use.lock"
"""Lock that a command holds in its working folder."""
LEFTOVER_SECONDS = 24 * 3600
"""A temporary file not written to for this long was left by a killed process."""

_KEY = "[0-9a-f]{24}"
_ARTIFACTS = "|".join(map(re.escape, registry.trainers()))


@dataclass(frozen=True)
class Kind:
    """One of the folders in the cache."""

    name: str
    holds: str
    pattern: str
    """Names of finished files or folders in it; temporary ones begin with a dot."""
    costly: bool = False
    """Do its entries take hours to make again?"""
    passing: bool = False
    """Do its entries exist only while a command runs?"""

    @property
    def folder(self) -> Path:
        return cache_directory() / self.name


KINDS = {
    kind.name: kind
    for kind in (
        Kind("activations", "what models compute", _KEY),
        Kind("artifacts", "trained models", _ARTIFACTS, costly=True),
        Kind("comparisons", "running `polyrot align`", r"tmp\w+", passing=True),
        Kind("estimates", "measured numbers", rf"{_KEY}\.json"),
        Kind("nulls", "null distributions", rf"{_KEY}\.safetensors"),
        Kind("saes", "autoencoders", _KEY, costly=True),
        Kind("tokens", "text, tokenised", rf"{_KEY}\.npy"),
        Kind("training", "unfinished training", rf"[\w-]+-{_KEY}(\.pt)?", costly=True),
    )
}


@dataclass(frozen=True)
class Entry:
    """A file or folder of the cache."""

    kind: Kind
    path: Path
    bytes: int
    modified: float
    """When it, or anything in it, was last written."""
    temporary: bool
    """Is it being written, or was it left by a killed process?"""

    @property
    def leftover(self) -> bool:
        """Is it temporary, and has it not been written to for a day?"""
        return self.temporary and time.time() - self.modified > LEFTOVER_SECONDS


def entries(kind: Kind, progress: Progress = silent) -> list[Entry]:
    """List the entries of a kind; other files in its folder are not polyrot's."""
    whole, partly = re.compile(kind.pattern), re.compile(rf"\.(activations|{kind.pattern})\..*")
    try:
        names = sorted(kind.folder.iterdir())
    except OSError:
        return []
    found = []
    for done, path in enumerate(names):
        progress(done / len(names), f"looking at {kind.name}")
        temporary = partly.fullmatch(path.name) is not None
        if temporary or whole.fullmatch(path.name):
            found.append(Entry(kind, path, *_extent(path), temporary or kind.passing))
    return found


def _extent(path: Path) -> tuple[int, float]:
    """Return the bytes of a file or of a folder's files, and when they were last written."""
    total, last = 0, 0.0
    inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
    for file in (path, *inside):
        try:
            status = file.lstat()
        except OSError:
            continue  # removed meanwhile
        last = max(last, status.st_mtime)
        total += 0 if file.is_dir() else status.st_size
    return total, last


@dataclass
class Cleared:
    """What happened to the entries that were to be removed."""

    removed: int = 0
    bytes: int = 0
    in_use: int = 0
    failed: str = ""
    """Why an entry could not be removed; empty if all were."""


def clear(chosen: Sequence[Entry], progress: Progress = silent) -> Cleared:
    """Remove entries, except those whose lock another process holds.

    A process that reads an entry has loaded or mapped it before it releases the lock.  Lock files
    stay: they are empty, and another process may be waiting for one.
    """
    cleared = Cleared()
    for done, entry in enumerate(chosen):
        progress(done / len(chosen), f"removing {entry.kind.name}")
        locks = list(_locks(entry))
        with ExitStack() as held:
            try:
                for lock in locks:
                    held.enter_context(FileLock(lock, timeout=0))
            except Timeout:
                cleared.in_use += 1
                continue
            except OSError as error:
                cleared.failed = f"cannot lock what it would remove: {error}"
                continue
            # An entry whose lock is free is not being written; without a lock, its age decides.
            if entry.temporary and not locks and not entry.leftover:
                cleared.in_use += 1
                continue
            try:
                _remove(entry.path)
            except OSError as error:
                cleared.failed = str(error)
                continue
        cleared.removed += 1
        cleared.bytes += entry.bytes
    return cleared


def _locks(entry: Entry) -> Iterator[Path]:
    """Yield the existing lock files of processes that write this entry."""
    training = KINDS["training"].folder
    if entry.kind.name == "training":
        locks: Collection[Path] = sorted(training.glob("*.lock"))
    elif entry.kind.name == "artifacts":
        locks = [training / f"{entry.path.name}.lock"]
    elif entry.kind.name == "comparisons":
        locks = [entry.path / IN_USE]
    else:
        key = re.match(rf"\.?({_KEY})", entry.path.name)
        locks = [entry.kind.folder / f"{key[1]}.lock"] if key else []
    return (lock for lock in locks if lock.is_file())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
