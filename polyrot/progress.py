"""One progress line for work that takes longer than three seconds.

Not a library's progress bar: the line must also appear while pytest captures output,
and as plain lines in a log.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TextIO

QUIET_SECONDS = 3.0
LOG_SECONDS = 15.0
"""Interval between lines if the stream is not a terminal."""

Uncaptured = Callable[[], AbstractContextManager[object]]

Progress = Callable[[float, str], None]
"""Called by all long work with the share done, from 0 to 1, and what is being done."""


def silent(share: float, what: str) -> None:
    """Show no progress."""


def within(progress: Progress, first: float = 0.0, last: float = 1.0, what: str = "") -> Progress:
    """Make the progress callback of one part of the work.

    Args:
        progress: callback of the whole work.
        first: share of the whole that is done when the part begins.
        last: share of the whole that is done when the part ends.
        what: the name of the part, put before its own messages.

    >>> fitting = within(lambda share, what: print(f"{share:.0%} {what}"), 0.5, 1.0, "fit")
    >>> fitting(0.5, "step 1 of 2")
    75% fit, step 1 of 2
    """

    def part(share: float, said: str) -> None:
        progress(first * (1 - share) + last * share, ", ".join(filter(None, (what, said))))

    return part


def in_turn(progress: Progress, sizes: Sequence[float]) -> Iterator[Progress]:
    """Yield the progress callbacks of parts that are done one after another.

    Args:
        progress: callback of the whole work.
        sizes: how long each part takes, in any unit.
    """
    done = 0.0
    for size in sizes:
        yield within(progress, done / sum(sizes), (done + size) / sum(sizes))
        done += size


class ProgressLine:
    """Call it with the share done and what is being done; it adds the time left.

    On a terminal one line is redrawn, and erased by `clear`; elsewhere a line is printed
    now and then.  Nothing is shown in the first three seconds.
    """

    def __init__(
        self, uncaptured: Uncaptured | None = nullcontext, stream: TextIO | None = None
    ) -> None:
        """Write to `stream` (standard error); `uncaptured` lifts output capture, `None` mutes."""
        self._uncaptured = uncaptured
        self._stream = stream
        self._start = time.monotonic()
        self._first: float | None = None
        self._shown = float("-inf")
        self._drawn = False

    def __call__(self, share: float, what: str) -> None:
        now = time.monotonic()
        elapsed = now - self._start
        if self._first is None:
            self._first = share  # done by an earlier run that this one continues
        if self._uncaptured is None or elapsed < QUIET_SECONDS:
            return
        done = share - self._first
        left = f", about {duration(elapsed / done * (1 - share))} left" if done > 0 else ""
        text = f"{share:4.0%}{left}: {what}"
        with self._uncaptured():
            out = self._out()
            if out.isatty():
                out.write("\r" + text[:79] + "\x1b[K")
                self._drawn = True
            elif now - self._shown >= LOG_SECONDS:
                self._shown = now
                out.write(f"\n{text}")
            out.flush()

    def clear(self) -> None:
        """Erase the line from a terminal."""
        if self._drawn and self._uncaptured is not None:
            with self._uncaptured():
                self._out().write("\r\x1b[K")
                self._out().flush()
            self._drawn = False

    def _out(self) -> TextIO:
        # Looked up at every call, because pytest's capturing replaces it.
        return self._stream or sys.stderr


def duration(seconds: float) -> str:
    """Format a time, rounded: `40 s`, `12 min`, `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
