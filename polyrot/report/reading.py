"""The reports that a path names: one file, one folder, or a folder of folders."""

from collections.abc import Collection
from pathlib import Path

from polyrot.locations import VERDICTS, judging
from polyrot.verdict.record import Report, read_verdict


def report_files(path: Path) -> list[Path]:
    """List the reports that a path names; a named file need not exist.

    The path is a `verdict.json`, a folder that holds one, or a folder with one such folder per
    suite.

    Raises:
        FileNotFoundError: if a folder holds no report.
    """
    if not path.is_dir():
        return [path]
    if (path / VERDICTS).is_file():
        return [path / VERDICTS]
    files = sorted(path.glob(f"*/{VERDICTS}"))
    if not files:
        raise FileNotFoundError(
            f"Expected {VERDICTS} in {path} or in its subfolders but found none; `{judging()} "
            f"--report-dir {path}` writes them"
        )
    return files


def expected_files(path: Path, suites: Collection[str]) -> tuple[list[Path], list[str]]:
    """List the reports that a run on these suites is compared with, and a folder's other suites.

    A single report, named by its file or folder, is always compared: a run that does not measure
    its suite fails.  A folder of reports may have more suites than the run measures.

    Raises:
        FileNotFoundError: if a folder holds no report.
        ValueError: if a folder of reports holds a file that is no report, or no report on any of
            the suites.
    """
    files = report_files(path)
    if not _holds_many(path):
        return files, []
    suite_of = {file: read_verdict(file).suite for file in files}
    compared = [file for file, suite in suite_of.items() if suite in suites]
    if not compared:
        raise ValueError(
            f"Expected verdicts on {', '.join(suites)} in {path} but it holds only those on "
            f"{', '.join(sorted(set(suite_of.values())))}; measure one of them, or record verdicts"
        )
    return compared, [suite for suite in suite_of.values() if suite not in suites]


def read_reports(path: Path) -> tuple[dict[str, Report], bool]:
    """Read reports by suite; also return whether the path is a folder of reports.

    Raises:
        FileNotFoundError: if there is no report.
        ValueError: if a file is no report, or if two are of one suite.
    """
    reports: dict[str, Report] = {}
    for file in report_files(path):
        report = read_verdict(file)
        if report.suite in reports:
            raise ValueError(
                f"Expected one report per suite in {path} but two are of {report.suite}; "
                f"name one of them, for example {file}"
            )
        reports[report.suite] = report
    return reports, _holds_many(path)


def _holds_many(path: Path) -> bool:
    """Is this a folder of reports, not one report or its folder?"""
    return path.is_dir() and not (path / VERDICTS).is_file()


def read_both(old: Path, new: Path) -> tuple[dict[str, Report], dict[str, Report]]:
    """Read the reports to compare: all of two folders of reports, else those of common suites.

    Raises:
        OSError, ValueError: as `read_reports`, and if no suite is in both.
    """
    (before, many_old), (after, many_new) = read_reports(old), read_reports(new)
    common = before.keys() & after.keys()
    if not common:
        raise ValueError(
            f"Expected reports of one suite but {old} is of {', '.join(before)} and {new} of "
            f"{', '.join(after)}; choose two of the same suite"
        )
    if many_old and many_new:
        return before, after
    return {suite: before[suite] for suite in common}, {suite: after[suite] for suite in common}
