"""Write the files of a run: `verdict.json` and `verdict.md` for each suite."""

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from polyrot.files import write_atomically
from polyrot.provenance import commit, machine, versions
from polyrot.report.markdown import markdown
from polyrot.suites.release_name import parse_released
from polyrot.verdict.policy import Policy
from polyrot.verdict.record import Record, Report, read_verdict


def write_reports(
    records: Sequence[Record],
    folder: Path,
    *,
    root: Path,
    keep: Collection[Path],
    policy: Policy,
    provenance: Callable[[str], Mapping[str, Any]],
    may_shrink: bool,
) -> tuple[list[Path], list[Path]]:
    """Write one report a suite; return the files written and those kept.

    A `verdict.json` in `keep`, against which this run was compared, is left alone when a
    verdict drifted: the new one is written beside it as `verdict-drifted.json`.  Unless it
    `may_shrink`, a report that holds measurements which did not run now is left alone.
    """
    written: list[Path] = []
    kept: list[Path] = []
    for suite in dict.fromkeys(record.suite for record in records):
        own = sorted((r for r in records if r.suite == suite), key=lambda record: record.id)
        report = Report(
            suite,
            tuple(own),
            {
                "commit": commit(root),
                "versions": versions(),
                "machine": machine(),
                **provenance(suite),
            },
            {
                "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "seconds": {record.id: round(record.seconds, 2) for record in own},
            },
        )
        name = "verdict"
        path = folder / report_folder(suite) / "verdict.json"
        if not may_shrink and _measured(path) - report.verdicts.keys():
            continue
        drifted = any(policy.expected.get((suite, r.id)) is not r.verdict for r in own)
        if path.resolve() in keep and drifted:
            kept.append(path)
            name = "verdict-drifted"
        for suffix, text in (("json", report.to_json()), ("md", markdown(report))):
            target = folder / report_folder(suite) / f"{name}.{suffix}"
            write_atomically(target, partial(_write_text, text=text))
            written.append(target)
        _append_summary(markdown(report))
    return written, kept


def report_folder(suite: str) -> str:
    """Name the folder of a suite's report: `world:haar` is no name for one everywhere."""
    if released := parse_released(suite):
        return released.report_folder
    return suite.replace(":", "-")


def _measured(path: Path) -> set[str]:
    """Ids of the measurements that a report holds; none where there is no readable report."""
    try:
        return set(read_verdict(path).verdicts)
    except (OSError, ValueError):
        return set()


def _write_text(path: Path, *, text: str) -> None:
    path.write_text(text)


def _append_summary(text: str) -> None:
    """Show the report on the page of a CI job, where the service names a file for it."""
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with Path(summary).open("a") as file:
            file.write(text)
