"""Run a measurement on the models and in every control's world, and judge it."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from polyrot.missing import NotRun as NotRun
from polyrot.stats.estimate import Estimate
from polyrot.verdict.calibration import Characteristic
from polyrot.verdict.claim import Measurement
from polyrot.verdict.judge import judge
from polyrot.verdict.record import Record

Estimates = Mapping[str, Estimate]
Measure = Callable[..., Estimates]
"""Estimates by part: called with a control's world, or with nothing for the models."""


class Judge(Protocol):
    """What the `judge` fixture is."""

    def __call__(self, measure: Measure, *, proxy: str = "") -> None:
        """Judge the test's measurement; `proxy` as for `run`."""


def run(
    measurement: Measurement,
    measure: Measure,
    *,
    suite: str,
    printed: str = "",
    proxy: str = "",
    characteristic: Characteristic | None = None,
    progress: Callable[[int, int, str], None] = lambda done, total, what: None,
    keep: Callable[[str, Callable[[], Estimates]], Estimates] = lambda world, measure: measure(),
) -> Record:
    """Measure models and controls by the same code and judge every part.

    A control is given every part that it concerns; a measurement whose control lacks
    such a part is an error, not a control that behaved.  A control that cannot run here leaves
    open what it would have decided.  `proxy` says what is not as the
    published protocol asks; empty where all is.  `characteristic` is the bar's, where it was
    calibrated.  `keep(world, measure)` may return estimates of an earlier run instead of
    measuring; see `EstimateCache`.
    """
    start = time.monotonic()
    total = 1 + len(measurement.controls)
    progress(0, total, "models")
    models = keep("models", measure)
    worlds: dict[str, Estimates] = {}
    absent: dict[str, str] = {}
    for done, control in enumerate(measurement.controls, start=1):
        progress(done, total, control.name)
        try:
            worlds[control.name] = keep(control.name, partial(measure, control.world))
        except NotRun as error:
            absent[control.name] = str(error)
    parts = tuple(
        judge(
            name,
            measurement.bar,
            estimate,
            [
                (control.name, control.kind, worlds[control.name][name])
                for control in measurement.controls
                if control.concerns(name) and control.name in worlds
            ],
            absent=[
                (control.name, control.kind, absent[control.name])
                for control in measurement.controls
                if control.concerns(name) and control.name in absent
            ],
            proxy=proxy,
            characteristic=characteristic,
        )
        for name, estimate in models.items()
    )
    return Record.of(
        measurement,
        suite,
        parts=parts,
        printed=printed,
        characteristic=characteristic,
        seconds=time.monotonic() - start,
    )
