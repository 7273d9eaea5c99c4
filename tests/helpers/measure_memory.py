"""Print what streaming a pair takes, as JSON: run in a process of its own.

Peak memory is that beyond what the process has once torch is warm and a chunk is drawn.
"""

import json
import sys
import time
from pathlib import Path
from threading import Event, Lock, Thread

import psutil
import torch

from polyrot.linalg import identifiable
from polyrot.linalg.procrustes import align
from polyrot.linalg.streaming import MomentStream


class Peak:
    """The most memory that the process has had, above what it had at the start."""

    def __init__(self) -> None:
        self._process, self._stop, self._lock = psutil.Process(), Event(), Lock()
        self._start = self._most = self._now()
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _now(self) -> int:
        return self._process.memory_info().rss

    def _watch(self) -> None:
        while not self._stop.wait(0.002):
            with self._lock:
                self._most = max(self._most, self._now())

    def since_last(self) -> int:
        with self._lock:
            most, self._most = self._most, self._now()
        return most - self._start


def measure(d: int, tokens: int, chunk: int, null_draws: int) -> dict[str, float]:
    """Stream tokens of a pair, a quarter of them held out; fit it; find its identifiable rank."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(chunk, d, generator=generator) for _ in range(2))
    torch.linalg.svd(x[:64].double() @ y[:64].double().mT)  # loads the libraries
    identifiable.NULL_DRAWS = null_draws
    found: dict[str, float] = {"d_model": d, "tokens": tokens}
    peak, fit, held = Peak(), MomentStream(), MomentStream()
    start = time.perf_counter()
    for i in range(tokens // chunk):
        (held if i % 4 == 3 else fit).add(x, y)
    seconds = time.perf_counter() - start
    found |= {"stream seconds": seconds, "stream bytes": peak.since_last()}
    moments, held_out = fit.finish(), held.finish()
    start = time.perf_counter()
    alignment = align(moments=moments, holdout_moments=held_out)
    found |= {"fit seconds": time.perf_counter() - start, "fit bytes": peak.since_last()}
    del held_out
    start = time.perf_counter()
    found["identifiable rank"] = alignment.identifiable_rank
    found |= {"rank seconds": time.perf_counter() - start, "rank bytes": peak.since_last()}
    return found


if __name__ == "__main__":
    numbers = (int(argument) for argument in sys.argv[2:])
    Path(sys.argv[1]).write_text(json.dumps(measure(*numbers)))
