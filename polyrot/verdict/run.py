"""Run a measurement on the models and in every control's world, and judge it."""

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from polyrot.errors import FigureWarning, NotRun
from polyrot.progress import Progress, silent
from polyrot.stats.estimate import Estimate
from polyrot.verdict.calibration import Characteristic
from polyrot.verdict.claim import MODELS, PRECONDITION, Draw, Measurement, names_of
from polyrot.verdict.figure import Figure
from polyrot.verdict.judge import ControlResult, Evidence, Met, Part, judge
from polyrot.verdict.levels import place_parts
from polyrot.verdict.record import Record

Estimates = Mapping[str, Estimate]
Figures = Sequence[Figure]
Measure = Callable[..., Estimates]
"""Estimates by part: called with a control's world, or with nothing for the models."""


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

    def __call__(
        self,
        measure: Measure,
        *,
        precondition: Callable[[], Estimates] | None = None,
        figures: Sequence[Draw] = (),
        proxy: str = "",
    ) -> None:
        """Judge the test's measurement; `precondition` and `proxy` as for `run`.

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
    precondition: Callable[[], Estimates] | None = None,
    characteristic: Characteristic | None = None,
    uncalibrated: bool = False,
    figures: Sequence[Draw] = (),
    progress: Progress = silent,
    kept: Kept | None = None,
) -> Record:
    """Measure models and controls by the same code and judge every part.

    Intervals are made on the scale of the part's bar.  A control is measured on every part that it
    concerns.  If it cannot run here, any verdict it could have changed is INCONCLUSIVE.

    Args:
        measurement: its bar, controls and figures.
        measure: gives estimates by part; called without an argument for the models.
        suite: name of the suite, for the record.
        printed: the published numbers, for the record.
        protocol: how it was measured, for the record.
        proxy: how the models differ from the published protocol; empty if they do not.
        precondition: measures what the measurement presupposes, on the models, by part; an estimate
            under the empty name is for all of them.
        characteristic: operating characteristic of the bar, if it was calibrated.
        uncalibrated: whether the claim names worlds for it but it was not.
        figures: drawn after the measurement's.  If one fails, the verdict stands, the record says
            why nothing was drawn, and a `FigureWarning` is given.
        progress: receives the share of the measurement that is done.
        kept: what an earlier run measured; see `EstimateCache`.

    Raises:
        ValueError: where there is no part, a control names a part that the models lack or lacks
            one that they have, or a declared precondition is not measured.
    """
    start = time.monotonic()
    kept = kept or Kept()
    total = 1 + len(measurement.controls)
    worlds: dict[str, Estimates] = {}
    absent: dict[str, str] = {}

    def measured(world: str, measure: Callable[[], Estimates]) -> None:
        found = kept.measured(world, measure)
        worlds[world] = {p: e.on(measurement.bar_of(p).scale) for p, e in found.items()}

    progress(0, MODELS)
    measured(MODELS, measure)
    presupposed = _precondition(measurement, precondition, kept)
    for done, control in enumerate(measurement.controls, start=1):
        progress(done / total, control.name)
        try:
            measured(control.name, partial(measure, control.world))
        except NotRun as error:
            absent[control.name] = str(error)
    parts = _judged(measurement, worlds, absent, presupposed, proxy, characteristic, uncalibrated)
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


def _precondition(
    measurement: Measurement, measure: Callable[[], Estimates] | None, kept: Kept
) -> Mapping[str, Met]:
    declared = measurement.precondition
    if (declared is None) != (measure is None):
        raise ValueError(
            f"Expected the measurement {measurement.id} to declare a precondition and the test to "
            "measure it, or neither"
        )
    if declared is None or measure is None:
        return {}
    bar = declared.bar
    estimates = {p: e.on(bar.scale) for p, e in kept.measured(PRECONDITION, measure).items()}
    return {
        part: Met(declared.what, f"{bar.quantity} {bar}", replace(e, left_out={}), bar.place(e))
        for part, e in estimates.items()
    }


def _judged(
    measurement: Measurement,
    worlds: Mapping[str, Estimates],
    absent: Mapping[str, str],
    presupposed: Mapping[str, Met],
    proxy: str,
    characteristic: Characteristic | None,
    uncalibrated: bool,
) -> tuple[Part, ...]:
    models = worlds[MODELS]
    bars = {part: measurement.bar_of(part) for part in models}
    _check_parts(measurement, worlds)
    placed = place_parts(bars, models)
    parts = []
    for name, estimate in models.items():
        concerned = [control for control in measurement.controls if control.concerns(name)]
        evidence = Evidence(
            bars[name],
            estimate,
            placed[name],
            parts=len(models),
            controls=tuple(
                ControlResult.of(c.name, c.kind, bars[name], worlds[c.name][name], estimate)
                for c in concerned
                if c.name in worlds
            ),
            absent=tuple((c.name, c.kind, absent[c.name]) for c in concerned if c.name in absent),
            proxy=proxy,
            precondition=presupposed.get(name, presupposed.get("")),
            characteristic=characteristic,
            uncalibrated=uncalibrated,
        )
        if presupposed and evidence.precondition is None:
            raise ValueError(f"Expected a precondition of the part {name!r} but it has none")
        parts.append(judge(name, evidence, own_bar=bars[name] != measurement.bar))
    return tuple(parts)


def _check_parts(measurement: Measurement, worlds: Mapping[str, Estimates]) -> None:
    """Refuse controls of parts that are not there: they would control nothing."""
    models = worlds[MODELS]
    if not models:
        raise ValueError(f"Expected at least one part of {measurement.id} but got none")
    for control in measurement.controls:
        known = {name for part in models for name in names_of(part)}
        if unknown := [part for part in control.parts if part not in known]:
            raise ValueError(
                f"Expected the control {control.name!r} to concern parts among "
                f"{', '.join(models)} but it names {', '.join(unknown)}"
            )
        there = worlds.get(control.name, models)
        if more := [part for part in there if part not in models and not control.parts]:
            raise ValueError(
                f"Expected the parts of the control {control.name!r} in the models too but they "
                f"lack {', '.join(more)}"
            )
        if lacking := [p for p in models if control.concerns(p) and p not in there]:
            raise ValueError(
                f"Expected every part in the control {control.name!r} but it lacks "
                f"{', '.join(lacking)}"
            )


def _distinct(figures: Figures) -> Figures:
    """Refuse figures that would share a file."""
    names = Counter(figure.file_stem for figure in figures)
    if twice := [name for name, count in names.items() if count > 1]:
        raise ValueError(
            f"Expected a different name for each figure but got several of {', '.join(twice)}"
        )
    return figures
