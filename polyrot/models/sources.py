"""Sources of language models: small enough to send to another process, which loads the model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from polyrot.models import hub
from polyrot.models.hub import Checkpoint

KEPT_BYTES = 2**31
"""Size of the weights that stay loaded until others are asked for."""


@dataclass(frozen=True)
class ModelSource:
    """A checkpoint, how to load it and where."""

    checkpoint: Checkpoint
    dtype: torch.dtype
    device: str = "cpu"
    drawn: int | None = None
    """Seed from which untrained weights are drawn, instead of loading trained ones."""

    def load(self) -> nn.Module:
        """Load the model, or draw it.

        Raises:
            NotRun: as `hub.load`.
        """
        if self.drawn is not None:
            return hub.untrained(self.checkpoint, self.drawn, self.dtype, self.device)
        return hub.load(self.checkpoint, self.dtype, self.device)

    @property
    def anywhere(self) -> "ModelSource":
        """The same source for a process in another folder."""
        if self.checkpoint.revision:
            return self
        return replace(self, checkpoint=Checkpoint(str(Path(self.checkpoint.place).absolute())))

    @property
    def bytes(self) -> int:
        """Memory of the weights."""
        parameters = hub.skeleton(self.checkpoint).parameters()
        return sum(p.numel() for p in parameters) * self.dtype.itemsize


_Key = tuple[ModelSource, tuple[tuple[str, int, int], ...]]
_kept: dict[_Key, nn.Module] = {}


def loaded(sources: Sequence[ModelSource]) -> list[nn.Module]:
    """Return models, each loaded once per process; the latest stay loaded, up to `KEPT_BYTES`.

    Models that are asked for together stay loaded together, whatever their size.
    """
    keys = [(source, _files(source.checkpoint)) for source in sources]
    new = {key: key[0].bytes for key in keys if key not in _kept}
    held = {key: key[0].bytes for key in _kept}
    for key in [key for key in _kept if key not in keys]:  # the least recently used first
        if sum(held.values()) + sum(new.values()) <= KEPT_BYTES:
            break
        del _kept[key], held[key]
    for key in dict.fromkeys(keys):
        model = _kept.pop(key, None)
        _kept[key] = key[0].load() if model is None else model
    return [_kept[key] for key in keys]


def _files(checkpoint: Checkpoint) -> tuple[tuple[str, int, int], ...]:
    """Identify a folder's files, to tell if they were rewritten; those of a revision never are."""
    if checkpoint.revision or not Path(checkpoint.place).is_dir():
        return ()
    files = sorted(Path(checkpoint.place).iterdir())
    return tuple((file.name, (stat := file.stat()).st_mtime_ns, stat.st_size) for file in files)
