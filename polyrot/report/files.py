"""Write the files of a run: `verdict.json` and its renderings, for each suite."""

import os
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from polyrot.files import write_atomically
from polyrot.provenance import commit, machine, versions
from polyrot.report.html.drawing import file_text
from polyrot.report.html.page import page
from polyrot.report.markdown import markdown
from polyrot.verdict.figure import Figure
from polyrot.verdict.policy import Policy
from polyrot.verdict.record import Record, Report, read_verdict

NAME = "verdict"
DRIFTED = "verdict-drifted"
FIGURES = "figures"


@dataclass
class Written:
    """The report files that a run wrote, and those that it kept."""

    files: list[Path] = field(default_factory=list)
    verdicts: list[tuple[str, Path]] = field(default_factory=list)
    """Each suite with the file that now holds its verdicts."""
    kept: list[Path] = field(default_factory=list)
    """Files of expected verdicts that were left unchanged because this run drifted from them."""


def reports_of(
    records: Sequence[Record], *, root: Path | None, provenance: Callable[[str], Mapping[str, Any]]
) -> list[Report]:
    """Make one report per suite, with the provenance of its records."""
    common = {"commit": commit(root), "versions": versions(), "machine": machine()}
    finished = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    reports = []
    for suite in dict.fromkeys(record.suite for record in records):
        of_suite = sorted((r for r in records if r.suite == suite), key=lambda record: record.id)
        where_from = {**common, **provenance(suite)}
        seconds = {record.id: round(record.seconds, 2) for record in of_suite}
        timing = {"finished": finished, "seconds": seconds}
        reports.append(Report(suite, tuple(of_suite), where_from, timing))
    return reports


def write_reports(
    reports: Sequence[Report],
    folder: Path,
    *,
    keep: Collection[Path],
    policy: Policy,
    may_shrink: bool,
    folder_of: Callable[[str], str] = lambda suite: suite,
) -> Written:
    """Write the reports, one folder each.

    `keep` lists the `verdict.json` files that this run was compared with.  If verdicts drifted from
    one, it is left unchanged and the new one is written next to it as `verdict-drifted.json`; a
    later run that writes `verdict.json` removes that file.  Unless `may_shrink`, a report is left
    unchanged if it has measurements that did not run this time.
    """
    written = Written()
    for report in reports:
        suite_folder = folder / folder_of(report.suite)
        path = suite_folder / f"{NAME}.json"
        if not may_shrink and _measured(path) - report.verdicts.keys():
            continue
        name = NAME
        if path.resolve() in keep and policy.drifted(report.suite, report.records):
            written.kept.append(path)
            name = DRIFTED
        file = suite_folder / f"{name}.json"
        write_atomically(file, partial(_write_text, text=report.to_json()))
        written.files += [*write_renderings(report, file), file]
        written.verdicts.append((report.suite, file))
        if name == NAME:
            for suffix in ("json", "md", "html"):
                (suite_folder / f"{DRIFTED}.{suffix}").unlink(missing_ok=True)
    return written


def write_renderings(report: Report, verdicts: Path) -> list[Path]:
    """Write a report's renderings into the folder of its verdicts; return page and table.

    The page of `verdict.json` is `index.html`, and its figures are also written as separate files;
    the page of another file has that file's name.
    """
    folder, name = verdicts.parent, verdicts.stem
    page_name = "index.html" if name == NAME else f"{name}.html"
    texts = {page_name: page(report), f"{name}.md": markdown(report)}
    if name == NAME:
        drawn = {
            f"{FIGURES}/{figure_file(record, figure)}": file_text(figure, of=record.id)
            for record in report.records
            for figure in record.figures
        }
        # Only stale figures of these measurements are removed; other files belong to the user.
        for record in report.records:
            for old in (folder / FIGURES).glob(_file_name(record, "*")):
                if f"{FIGURES}/{old.name}" not in drawn:
                    old.unlink(missing_ok=True)
        texts |= drawn
    for path, text in texts.items():
        write_atomically(folder / path, partial(_write_text, text=text))
    return [folder / page_name, folder / f"{name}.md"]


def figure_file(record: Record, figure: Figure) -> str:
    """Name the file of a figure: `PIR-04-published-recovery.svg`."""
    return _file_name(record, figure.file_stem)


def _file_name(record: Record, figure: str) -> str:
    return re.sub(r"[^\w.-]+", "-", record.id) + f"-{figure}.svg"


def append_summary(text: str) -> None:
    """Append a text to the CI job's summary page, if the service names a file for it."""
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        with Path(summary).open("a") as file:
            file.write(text)


def _measured(path: Path) -> set[str]:
    """Ids of the measurements that a report holds; empty if there is no readable report."""
    try:
        return set(read_verdict(path).verdicts)
    except (OSError, ValueError):
        return set()


def _write_text(path: Path, *, text: str) -> None:
    path.write_text(text, encoding="utf-8")
