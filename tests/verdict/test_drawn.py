"""Figures of a measurement: drawn after the verdict, which they never change."""

from dataclasses import replace
from pathlib import Path

import pytest

from polyrot.errors import FigureWarning, NotRun
from polyrot.stats.estimate import Estimate
from polyrot.verdict.bar import Bar
from polyrot.verdict.cache import EstimateCache
from polyrot.verdict.claim import Claim, Control, Draw, Measurement, negative
from polyrot.verdict.figure import Figure, Mark
from polyrot.verdict.judge import Verdict
from polyrot.verdict.record import Record
from polyrot.verdict.run import run

BAR = Bar.at_least(0.5, "score")
IN, OUT = (Estimate(v, v - 0.05, v + 0.05, "seed", 20, "by hand") for v in (0.65, 0.15))
GONE = "no models of another task"


def missing(world: str = "") -> dict[str, Estimate]:
    raise NotRun(GONE)


def toy(*controls: Control) -> Measurement:
    return Measurement(Claim("TOY-01", "The number is large", "a toy"), BAR, controls)


FIGURE = Figure("curve", "A curve", "", "x", "y", Mark.LINES, ())


def drawn(figures: Draw) -> Record:
    """Judge something inside its bar; whatever becomes of the figures, it is the same verdict."""
    record = run(
        toy(negative("false", OUT)),
        lambda world=IN: {"part": world},
        suite="toy",
        figures=[figures],
    )
    assert (record.verdict, len(record.parts)) == (Verdict.REPLICATED, 1)
    assert Record.from_json(record.to_json()).to_json() == record.to_json()
    return record


def test_figures_are_kept_in_the_record() -> None:
    record = drawn(lambda worlds: [FIGURE, replace(FIGURE, name="other")])
    assert [figure.name for figure in record.figures] == ["curve", "other"]
    assert record.not_drawn == ""


def test_figures_that_lack_something_leave_the_verdict_and_say_what() -> None:
    record = drawn(lambda worlds: missing())  # a warning would be an error here
    assert (record.figures, record.not_drawn) == ((), GONE)


def test_figures_that_fail_leave_the_verdict_and_are_warned_of() -> None:
    with pytest.warns(FigureWarning, match="of TOY-01 on toy were not drawn: ZeroDivisionError: "):
        record = drawn(lambda worlds: [FIGURE] * (1 // 0))
    assert record.figures == ()
    assert record.not_drawn.startswith("ZeroDivisionError: ")


@pytest.mark.parametrize("names", [("curve", "curve"), ("a curve", "a-curve")])
def test_figures_of_one_name_are_refused(names) -> None:
    """Of one file's name: the second would take the place of the first."""
    with pytest.warns(FigureWarning, match="a different name for each figure but got several of"):
        record = drawn(lambda worlds: [replace(FIGURE, name=name) for name in names])
    assert record.not_drawn.endswith(f"several of {names[1]}")


def test_figures_that_were_not_drawn_are_drawn_anew_by_the_next_run(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("POLYROT_CACHE", str(tmp_path))
    cache = EstimateCache(Path(__file__), {"of": "a test"})

    def record(figures: Draw) -> Record:
        return run(toy(), lambda: {"part": IN}, suite="toy", figures=[figures], kept=cache)

    assert record(lambda worlds: missing()).not_drawn == GONE
    assert record(lambda worlds: [FIGURE]).figures == (FIGURE,)
    assert record(lambda worlds: missing()).figures == (FIGURE,)
