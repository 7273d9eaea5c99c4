"""The reports that a path names: one file, one folder, or a folder of folders."""

from pathlib import Path

from polyrot.locations import VERDICTS, judging
from polyrot.verdict.record import Report, read_verdict


def report_files(path: Path) -> list[Path]:
    """The reports that a path names, of which a file need not exist.

    A `verdict.json`, a folder that holds one, or a folder that holds one folder a suite.

    Raises:
        FileNotFoundError: where a folder holds no report.
    """
    if not path.is_dir():
        return [path]
    if (path / VERDICTS).is_file():
        return [path / VERDICTS]
    files = sorted(path.glob(f"*/{VERDICTS}"))
    if not files:
        raise FileNotFoundError(
            f"Expected {VERDICTS} in {path} or in its folders but found none; `{judging()} "
            f"--report-dir {path}` writes them"
        )
    return files


def read_reports(path: Path) -> tuple[dict[str, Report], bool]:
    """Read reports by suite, and say whether the path names many: see `report_files`.

    Raises:
        FileNotFoundError: where there is no report.
        ValueError: where a file is no report, or where two are of one suite.
    """
    reports: dict[str, Report] = {}
    for file in report_files(path):
        report = read_verdict(file)
        if report.suite in reports:
            raise ValueError(
                f"Expected one report a suite in {path} but two are of {report.suite}; "
                f"name one of them, say {file}"
            )
        reports[report.suite] = report
    return reports, path.is_dir() and not (path / VERDICTS).is_file()


def read_both(old: Path, new: Path) -> tuple[dict[str, Report], dict[str, Report]]:
    """Read the reports to compare: all of two folders, else the suite of the single one.

    Raises:
        OSError, ValueError: as `read_reports`, and where no suite is in both.
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
