"""The most memory that a call takes beyond what there was before it."""

import ctypes
import gc
from pathlib import Path

import torch

_PROCESS = Path("/proc/self")


class Peak:
    """Reads the peak from the system's own counter, round by round, outside the clock.

    `before()` and `after()` enclose a round; `bytes` is the most of any round, and `None` where
    there is no such counter.  Allocations below a few MiB may come from memory that the process
    holds already, and are then not seen.
    """

    def __init__(self, device: str) -> None:
        """Give back to the system what is free already, so that it is seen when it is taken."""
        self.bytes: int | None = None
        self._cuda = device == "cuda"
        self._start = 0
        gc.collect()
        try:
            ctypes.CDLL(None).malloc_trim(0)
        except (AttributeError, OSError):  # another C library
            return

    def before(self) -> None:
        """Forget the peak so far."""
        if self._cuda:
            self._start = torch.cuda.memory_allocated()
            torch.cuda.reset_peak_memory_stats()
            return
        try:
            (_PROCESS / "clear_refs").write_text("5")
            self._start = _status("VmRSS")
        except OSError:
            self._start = -1

    def after(self) -> None:
        """Keep the peak since `before` if it is the highest."""
        if self._start < 0:
            return
        peak = torch.cuda.max_memory_allocated() if self._cuda else _status("VmHWM")
        self.bytes = max(self.bytes or 0, peak - self._start)


def _status(field: str) -> int:
    for line in (_PROCESS / "status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no {field} in the process's status")
