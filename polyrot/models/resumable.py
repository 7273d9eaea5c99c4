"""Saving a training so that it can be resumed: at intervals, and however it ends."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CHECKPOINT_SECONDS = 30.0


class Saves:
    """Saves a training between its steps, never within one: resuming would repeat half a step."""

    def __init__(self, save: Callable[[], None]) -> None:
        self._save, self._last = save, time.monotonic()
        self.whole = True
        """Is no step half done?"""

    @contextmanager
    def step(self) -> Iterator[None]:
        """Change what is saved; an interrupt within keeps what was saved before."""
        self.whole = False
        yield
        self.whole = True

    def now_and_then(self) -> None:
        """Save if the last time is long ago."""
        if time.monotonic() - self._last > CHECKPOINT_SECONDS:
            self._save()
            self._last = time.monotonic()


@contextmanager
def saving(save: Callable[[], None]) -> Iterator[Saves]:
    """Save at the end too, and on an interrupt unless it comes within a step."""
    saves = Saves(save)
    try:
        yield saves
    finally:
        if saves.whole:
            save()
