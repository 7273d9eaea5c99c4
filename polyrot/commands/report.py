"""`polyrot report`: the pages of a report, rendered again from its verdicts."""

from pathlib import Path
from typing import Annotated

import typer

from polyrot.commands import failure


def report(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="verdict.json, a folder that holds one, or a folder of reports (repeatable)",
            metavar="PATH",
        ),
    ],
) -> None:
    """Render recorded verdicts again with this version: the page, the table and the figures.

    They are written into the folder of each verdict.json, which is not changed.
    Exits 0, or 2 if there is no report, one cannot be read or a page cannot be written.
    """
    from polyrot.report.files import write_renderings
    from polyrot.report.reading import report_files
    from polyrot.verdict.record import read_verdict

    try:
        # All reports are read before any page is written.
        reports = {file: read_verdict(file) for path in paths for file in report_files(path)}
        for file, read in reports.items():
            for page in write_renderings(read, file):
                typer.echo(f"report: {page}")
    except (OSError, ValueError) as error:
        raise failure("report", error) from None
