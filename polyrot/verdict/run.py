"""Run a measurement on the models and in every control's world, and judge it."""

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Protocol

from polyrot.errors import FigureWarning, NotRun
from polyrot.progress import Progress, silent
from polyrot.stats.estimate import Estimate
from polyrot.verdict.calibration import Characteristic
from polyrot.verdict.claim import Draw, Measurement
from polyrot.verdict.figure import Figure
from polyrot.verdict.judge import judge
from polyrot.verdict.record import Record

Estimates = Mapping[str, Estimate]
Figures = Sequence[Figure]
Measure = Callable[..., Estimates]
"""Estimates by part: called with a control's world, or with nothing for the models."""
MODELS = "models"


class Kept:
    """Results of earlier runs: here none, so everything is measured and drawn."""

    def measured(self, world: str, measure: Callable[[], Estimates]) -> Estimates:
        """Return the estimates of a world, `MODELS` or the name of a control."""
        return measure()

    def drawn(self, worlds: Iterable[str], draw: Callable[[], Figures]) -> Figures:
        """Return the figures of the measurement, drawn from the worlds that were measured."""
        return draw()


class Judge(Protocol):
    """Type of the `judge` fixture."""

    def __call__(self, measure: Measure, *, figures: Sequence[Draw] = (), proxy: str = "") -> None:
        """Judge the test's measurement; `proxy` as for `run`.

        `figures` are drawn after those of the measurement; they need more than its estimates.
        """


def run(
    measurement: Measurement,
    measure: Measure,
    *,
    suite: str,
    printed: str = "",
    protocol: str = "",
    proxy: str = "",
    characteristic: Characteristic | None = None,
    figures: Sequence[Draw] = (),
    progress: Progress = silent,
    kept: Kept | None = None,
) -> Record:
    """Measure models and controls by the same code and judge every part.

    A control is measured on every part that it concerns; if its measurement lacks such a part, that
    is an error.  If a control cannot run here, any verdict it could have changed is INCONCLUSIVE.

    Args:
        measurement: its bar, controls and figures.
        measure: gives estimates by part; called without an argument for the models.
        suite: name of the suite, for the record.
        printed: the published numbers, for the record.
        protocol: how it was measured, for the record.
        proxy: how the models differ from the published protocol; empty if they do not.
        characteristic: operating characteristic of the bar, if it was calibrated.
        figures: drawn after the measurement's.  If one fails, the verdict stands, the record says
            why nothing was drawn, and a `FigureWarning` is given.
        progress: receives the share of the measurement that is done.
        kept: what an earlier run measured; see `EstimateCache`.
    """
    start = time.monotonic()
    kept = kept or Kept()
    total = 1 + len(measurement.controls)
    progress(0, MODELS)
    models = kept.measured(MODELS, measure)
    worlds: dict[str, Estimates] = {MODELS: models}
    absent: dict[str, str] = {}
    for done, control in enumerate(measurement.controls, start=1):
        progress(done / total, control.name)
        try:
            worlds[control.name] = kept.measured(control.name, partial(measure, control.world))
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
    draws = (*measurement.figures, *figures)
    drawn: tuple[Figure, ...] = ()
    not_drawn = ""
    try:
        drawn = tuple(
            kept.drawn(worlds, lambda: _distinct([f for draw in draws for f in draw(worlds)]))
        )
    except NotRun as error:
        not_drawn = str(error)
    except Exception as error:  # the measurement itself is not affected
        not_drawn = f"{type(error).__name__}: {error}"
        with warnings.catch_warnings():
            # Even where warnings are errors: this one would cost the verdict.
            warnings.simplefilter("always", FigureWarning)
            warnings.warn(
                f"The figures of {measurement.id} on {suite} were not drawn: {not_drawn}",
                FigureWarning,
                stacklevel=2,
            )
    return Record.of(
        measurement,
        suite,
        parts=parts,
        printed=printed,
        protocol=protocol,
        figures=drawn,
        not_drawn=not_drawn,
        characteristic=characteristic,
        seconds=time.monotonic() - start,
    )


def _distinct(figures: Figures) -> Figures:
    """Refuse figures that would share a file."""
    names = Counter(figure.file_stem for figure in figures)
    if twice := [name for name, count in names.items() if count > 1]:
        raise ValueError(
            f"Expected a different name for each figure but got several of {', '.join(twice)}"
        )
    return figures
