"""One progress line, for whatever takes longer than three seconds."""

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import TextIO

QUIET_SECONDS = 3.0
LOG_SECONDS = 15.0
"""Where the stream is no terminal, one line as often as this."""

Uncaptured = Callable[[], AbstractContextManager[object]]


class Progress:
    """Call it with `(done, total, what)`; it shows the share done and the time left.

    On a terminal one line is redrawn and finally erased; elsewhere a line is printed now
    and then.  Nothing is shown in the first three seconds.
    """

    def __init__(
        self, label: str, uncaptured: Uncaptured | None = nullcontext, stream: TextIO | None = None
    ) -> None:
        """Show `label`; `uncaptured` lifts output capture, `None` shows nothing at all."""
        self._label = label
        self._uncaptured = uncaptured
        self._stream = stream
        self._start = time.monotonic()
        self._shown = float("-inf")
        self._drawn = False

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._drawn and self._uncaptured is not None:
            with self._uncaptured():
                self._out().write("\r\x1b[K")
                self._out().flush()

    def __call__(self, done: int, total: int, what: str = "") -> None:
        now = time.monotonic()
        elapsed = now - self._start
        if self._uncaptured is None or elapsed < QUIET_SECONDS:
            return
        left = f", {duration(elapsed / done * (total - done))} left" if done else ""
        text = f"{self._label}: {what} ({done} of {total}{left})"
        with self._uncaptured():
            out = self._out()
            if out.isatty():
                if now - self._shown < 0.2:
                    return
                out.write("\r" + text[:79] + "\x1b[K")
                self._drawn = True
            elif now - self._shown >= LOG_SECONDS:
                out.write(f"\n{text}")
            else:
                return
            out.flush()
        self._shown = now

    def _out(self) -> TextIO:
        return self._stream or sys.stderr


def duration(seconds: float) -> str:
    """Round a time for a reader: `40 s`, `12 min`, `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
