"""Saving a training so that it can be resumed: now and then, and when it ends in whatever way."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

CHECKPOINT_SECONDS = 30.0


class Saves:
    """Saves a training between its steps, never within one: half a step would be made again."""

    def __init__(self, save: Callable[[], None]) -> None:
        self._save, self._last = save, time.monotonic()
        self.whole = True
        """Is no step half made?"""

    @contextmanager
    def step(self) -> Iterator[None]:
        """Change what is saved; an interrupt in here leaves what was saved before."""
        self.whole = False
        yield
        self.whole = True

    def now_and_then(self) -> None:
        """Save where the last time is long ago."""
        if time.monotonic() - self._last > CHECKPOINT_SECONDS:
            self._save()
            self._last = time.monotonic()


@contextmanager
def saving(save: Callable[[], None]) -> Iterator[Saves]:
    """Save at the end too, and at an interrupt unless it strikes within a step."""
    saves = Saves(save)
    try:
        yield saves
    finally:
        if saves.whole:
            save()
