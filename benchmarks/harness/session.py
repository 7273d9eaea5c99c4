"""The state of a run: its rows, its tables, its files and whether a ratio fell."""

import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness import machine, table
from harness.compare import fallen, unknown
from harness.group import Group
from harness.measure import Measure
from harness.report import committed, write
from harness.roofline import ceilings_sentence, sentence
from harness.rows import Ceilings, GroupFacts, Results, Row, base, short
from polyrot import provenance


class BenchSession:
    """Collects rows while benchmarks run; shows, writes and compares them at the end."""

    def __init__(self, config: pytest.Config, root: Path, reports: Path) -> None:
        self.device: str = config.getoption("--device")
        self.smoke: bool = config.getoption("--smoke")
        self._full: bool = config.getoption("--full")
        self._root, self._benchmarks, self._reports = root, root / "benchmarks", reports
        self._folder: Path | None = config.getoption("--bench-dir")
        if self.smoke and self._full:
            raise pytest.UsageError("Expected one of --smoke and --full but got both")
        self._compares = self.smoke and not self._folder
        self._kept = f"{self.device}-smoke" if self.smoke else self.device
        self._threads: int = config.getoption("--threads") or (1 if self.smoke else 2)
        self._ceilings: Ceilings | None = None
        self._groups: dict[str, Group] = {}
        self._rows: list[Row] = []
        self._partial = ""
        self._fallen: list[str] = []

    def pytest_report_header(self) -> str:
        """Set the threads, and say how many there are."""
        machine.set_threads(self._threads)
        threads = ", ".join(f"{name} {n}" for name, n in machine.threads().items())
        return f"benchmarks on {self.device}; threads: {threads}"

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Notice where this run is a part: files that were not named, benchmarks deselected."""
        chosen = {item.path.name for item in session.items}
        left_out = [p.name for p in self._benchmarks.glob("bench_*.py") if p.name not in chosen]
        if left_out:
            self._partial = f"{', '.join(sorted(left_out))} left out"

    def pytest_deselected(self) -> None:
        """Remember that this run is a part."""
        self._partial = "not all benchmarks were chosen"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember that something failed or was left out."""
        if report.failed:
            self._partial = f"{report.nodeid} failed"
        elif report.skipped and self.device == "cpu":
            self._partial = self._partial or f"{report.nodeid} was skipped"

    def start(self, group: Group) -> None:
        """Before the first benchmark, measure the machine; before each, set the threads."""
        if self._ceilings is None:
            self._ceilings = machine.ceilings(self.device)
        # A library that was imported since has threads of its own mind.
        machine.set_threads(self._threads)
        self._groups[group.name] = group

    def finish(self, item: pytest.Item, clock: Measure) -> None:
        """Keep the row of a benchmark that ran to its end."""
        report = item.stash.get(CALL, None)
        if report is not None and report.passed:
            self._rows.append(clock.row())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Any:
        """Let `finish` know how the benchmark went."""
        report = yield
        if report.when == "call":
            item.stash[CALL] = report
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a smoke run in which a ratio fell; know one that was cut short."""
        if session.exitstatus != pytest.ExitCode.OK:
            self._partial = self._partial or "the run did not end well"
        old = committed(self._reports, self._kept) if self._compares else None
        if old is not None:
            self._fallen = fallen(self._rows, old.rows)
            if self._fallen and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the tables, then what became of them."""
        if self._ceilings is None or not self._rows:
            return
        results = self._results(self._ceilings)
        write_line = terminalreporter.write_line
        for facts in results.groups:
            if results.of(facts.name):
                write_line("")
                self._show(facts, results, write_line)
        write_line("")
        for line in wrapped(ceilings_sentence(results.ceilings)):
            write_line(line)
        self._conclude(results, write_line)

    def _show(self, facts: GroupFacts, results: Results, write_line: Any) -> None:
        rows = results.of(facts.name)
        first, *others = table.terminal(facts, rows)
        write_line(first, bold=True)
        for line in others:
            write_line(line)
        for ours in dict.fromkeys(base(row, rows) for row in short(rows)):
            assert ours is not None
            for line in wrapped(f"short: {sentence(ours, results.ceilings)}"):
                write_line(line)

    def _conclude(self, results: Results, write_line: Any) -> None:
        if self._compares:
            old = committed(self._reports, self._kept)
            new = unknown(results.rows, old.rows if old else [])
            for name in new:
                write_line(f"new, nothing to compare with: {name}")
            for text in self._fallen:
                write_line(f"FALLEN below a third: {text}", red=True)
            compared = sum(not row.ours for row in results.rows) - len(new)
            write_line(f"{compared} ratios compared with the committed ones")
        elif self._partial and self._folder is None:
            write_line(f"nothing written ({self._partial}); --bench-dir DIR writes a part")
        else:
            folder = self._folder or self._reports
            for path in write(results, folder, self._reports.parent):
                write_line(f"wrote {path}")

    def _results(self, ceilings: Ceilings) -> Results:
        facts = tuple(
            GroupFacts(g.name, g.title, g.axis, g.unit, g.error, g.note)
            for g in self._groups.values()
        )
        return Results(
            device=self._kept,
            full=self._full,
            date=datetime.now(UTC).date().isoformat(),
            commit=provenance.commit(self._root),
            machine=machine.machine(self.device),
            threads=machine.threads(),
            versions=machine.versions(),
            ceilings=ceilings,
            groups=facts,
            rows=tuple(self._rows),
        )


def wrapped(text: str) -> list[str]:
    """Break a sentence into lines of a terminal."""
    return textwrap.wrap(text, table.WIDTH - 2, initial_indent="  ", subsequent_indent="    ")


CALL = pytest.StashKey[pytest.TestReport]()
