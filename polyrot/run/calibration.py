"""`pytest claims/ --calibrate DRAWS`: how often every bar is met in worlds of known truth.

Claims run with the same code as for a verdict: with their controls on the first draw of every
world, then without them on many more draws of the worlds that they name as true or false.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from polyrot.locations import of_the_wheel
from polyrot.run.items import measurement_of, record_of
from polyrot.run.session import DEFAULT_REPORT_DIR, Session

if TYPE_CHECKING:
    from polyrot.verdict.calibration import Calibration
    from polyrot.verdict.claim import Measurement
    from polyrot.verdict.policy import Policy
    from polyrot.verdict.run import Kept, Measure

PROPERTY = "polyrot.draw"


@dataclass(frozen=True)
class Drawn:
    """One measurement in one draw of a world."""

    id: str
    bar: str
    quantity: str
    suite: str
    true_in: list[str]
    false_in: list[str]
    met: bool
    missed: bool = False
    verdict: str = ""
    not_run: str = ""

    @property
    def world(self) -> str:
        return self.suite.split(":")[1]


class CalibrationSession(Session):
    """State of a calibration run: whether every measurement met its bar in every draw."""

    def __init__(self, config: pytest.Config) -> None:
        super().__init__(config)
        self._drawn: list[Drawn] = []
        self._result: Calibration | None = None
        self._suites = self._draws()

    def _draws(self) -> list[str]:
        from polyrot.suites.registry import world_name, worlds

        option = self.config.getoption
        draws = option("--calibrate")
        if draws < 1:
            raise pytest.UsageError(f"--calibrate: expected at least 1 draw but got {draws}")
        for other in ("--require", "--expect", "--retrain"):
            if option(other):
                raise pytest.UsageError(f"--calibrate gives no verdicts: leave {other} out")
        known = {world_name(world): world for world in worlds()}
        names = list(dict.fromkeys(option("--suite") or known))
        wrong = [name for name in names if name not in known]
        if wrong:
            raise pytest.UsageError(
                f"--calibrate: expected --suite among {', '.join(known)} but got {', '.join(wrong)}"
            )
        return [world_name(known[name], draw) for name in names for draw in range(draws)]

    @property
    def policy(self) -> Policy:
        """There are no verdicts, so a missing capability fails no test, even with --strict."""
        from polyrot.verdict.policy import Policy

        return Policy()

    @property
    def suites(self) -> Sequence[str]:
        """All draws of every world, or of those chosen."""
        return self._suites

    def applies(self, item: pytest.Item) -> bool:
        """Every measurement runs on a world's first draw, and on all where its claim names it."""
        measurement = measurement_of(item)
        if measurement is None or not isinstance(item, pytest.Function):
            return True
        claim, suite = measurement.claim, str(item.callspec.params["suite_name"])
        return super().applies(item) and self._is_drawn(suite, (*claim.true_in, *claim.false_in))

    @classmethod
    def _is_drawn(cls, suite: str, named: Collection[str]) -> bool:
        return cls._is_first(suite) or suite.split(":")[1] in named

    def judge(
        self,
        item: pytest.Item,
        measurement: Measurement,
        suite: str,
        measure: Measure,
        *,
        kept: Kept,
        **options: Any,
    ) -> None:
        """Record whether the bar was met at every part; on the first draw, the verdict too.

        The other draws are measured without controls.
        """
        from polyrot.verdict.bar import Placement
        from polyrot.verdict.claim import MODELS
        from polyrot.verdict.run import run

        self.show(0, f"{measurement.id} on {suite}")
        claim, verdict = measurement.claim, ""
        if self._is_first(suite):
            bare, options["figures"] = replace(measurement, figures=()), ()
            record = run(bare, measure, suite=suite, kept=kept, **options)
            verdict = str(record.verdict)
        placed = set()
        for part, estimate in kept.measured(MODELS, measure).items():
            bar = measurement.bar_of(part)
            placed.add(bar.place(estimate.on(bar.scale)))
        drawn = Drawn(
            measurement.id,
            measurement.bar_text,
            measurement.quantity,
            suite,
            list(claim.true_in),
            list(claim.false_in),
            met=placed == {Placement.INSIDE},
            missed=Placement.OUTSIDE in placed,
            verdict=verdict,
        )
        item.user_properties.append((PROPERTY, json.dumps(asdict(drawn))))

    @staticmethod
    def _is_first(suite: str) -> bool:
        from polyrot.suites.registry import world_name

        return suite == world_name(suite.split(":")[1])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """Give each draw to one worker, so that its autoencoders are trained only once."""
        from xdist.scheduler import LoadScopeScheduling

        class BySuite(LoadScopeScheduling):  # type: ignore[misc]  # xdist is not typed
            def _split_scope(self, nodeid: str) -> str:
                return nodeid.rpartition("[")[2]

        return BySuite(config, log)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self._advance()
        if report.when == "teardown":
            return
        for name, value in report.user_properties:
            if name == PROPERTY:
                self._drawn.append(Drawn(**json.loads(str(value))))
        record = record_of(report)
        if record is not None and report.skipped:
            reason = record.reason.replace(record.suite, "a synthetic world")
            self._drawn.append(
                Drawn(
                    record.id,
                    record.bar,
                    record.quantity,
                    record.suite,
                    [],
                    [],
                    met=False,
                    not_run=reason,
                )
            )

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if hasattr(self.config, "workerinput"):
            return
        whole = {(d.id, d.suite) for d in self._drawn}
        if exitstatus != pytest.ExitCode.OK or not self._expected() <= whole or not whole:
            self._ending = (
                "Not every draw was measured, so nothing was written; the same command "
                "continues with what is missing."
            )
            return
        from polyrot.report.calibration import write_calibration
        from polyrot.suites.registry import kinds

        self._result = self._matrix()
        chosen = self.config.getoption("--report-dir")
        folder = Path(chosen or self.base / DEFAULT_REPORT_DIR) / "calibration"
        if chosen is None and (lost := self._lost(folder)):
            self._ending = (
                f"No report: the one in {folder} holds {', '.join(lost)}, which did not run now "
                "(choose a folder with --report-dir)."
            )
            return
        try:
            about = [worlds.about for kind in kinds() for worlds in kind.worlds]
            self._written = write_calibration(self._result, folder, worlds=about)
        except OSError as error:
            self._ending = f"The calibration could not be written: {error}."
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.config.option.collectonly or hasattr(self.config, "workerinput"):
            return
        from polyrot.report.calibration import findings
        from polyrot.report.columns import width

        terminalreporter.section("calibration")
        lines = [*findings(self._result)] if self._result else []
        if not self._written:
            lines.append(self._ending)
        for text in lines:
            for line in textwrap.wrap(text, width(), subsequent_indent=" " * 18):
                terminalreporter.write_line(line)
        for path in self._written:
            terminalreporter.write_line(f"report: {path}")

    def _expected(self) -> set[tuple[str, str]]:
        """Every measurement that ran, with each draw that it applies to."""
        from polyrot.suites.registry import applies_to

        named = {drawn.id: (*drawn.true_in, *drawn.false_in) for drawn in self._drawn}
        return {
            (id, suite)
            for id, worlds in named.items()
            for suite in self._suites
            if self._is_drawn(suite, worlds) and applies_to(id, suite)
        }

    def _lost(self, folder: Path) -> list[str]:
        """List what the matrix in a folder has and this one lacks."""
        old, new = self.calibration, self._result
        if old is None or new is None or not (folder / "calibration.json").is_file():
            return []  # the matrix that was read may be the wheel's, which is not overwritten
        kept = {*new.worlds, *(row.id for row in new.rows)}
        lost = [name for name in (*old.worlds, *(row.id for row in old.rows)) if name not in kept]
        more = max((cell.draws for row in old.rows for cell in row.cells), default=0)
        return lost + ([f"{more} draws"] if more > self.config.getoption("--calibrate") else [])

    def _matrix(self) -> Calibration:
        from polyrot.provenance import commit, machine, versions
        from polyrot.verdict.calibration import Calibration, Cell, Row
        from polyrot.verdict.record import METRICS

        worlds = tuple(dict.fromkeys(suite.split(":")[1] for suite in self._suites))
        rows = []
        for id in sorted({drawn.id for drawn in self._drawn}):
            draws = [drawn for drawn in self._drawn if drawn.id == id]
            cells = []
            for world in worlds:
                here = [d for d in draws if d.world == world and not d.not_run]
                if here:
                    met, missed = sum(d.met for d in here), sum(d.missed for d in here)
                    verdict = next((d.verdict for d in here if d.verdict), "")
                    cells.append(Cell(world, met, len(here), missed, verdict))
            first = next((drawn for drawn in draws if not drawn.not_run), draws[0])
            rows.append(
                Row(
                    id,
                    first.bar,
                    first.quantity,
                    tuple(cells),
                    tuple(first.true_in),
                    tuple(first.false_in),
                    first.not_run,
                )
            )
        provenance = {
            "commit": commit(None if of_the_wheel(self.asked) else self.config.rootpath),
            "versions": versions(),
            "machine": machine(),
        }
        return Calibration(worlds, tuple(rows), METRICS, provenance)
