"""`polyrot claims`: the claims, how they are measured, and their last verdicts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from polyrot.commands import failure
from polyrot.commands.names import complete_claim
from polyrot.suggestions import unknown

if TYPE_CHECKING:
    from polyrot.verdict.record import Report

app = typer.Typer(invoke_without_command=True, add_completion=False)


@app.callback()
def claims(context: typer.Context) -> None:
    """List every claim with its statement and its measurements.

    Those in the folder claims/ here, else those that come with polyrot.
    Exits 0, or 2 if there are none.
    """
    if context.invoked_subcommand is not None:
        return
    from polyrot.catalogue import find_claims
    from polyrot.report.claim_list import claim_list

    folder, found = find_claims()
    if folder is None:
        raise failure("claims", NOWHERE)
    for line in claim_list(found, folder):
        typer.echo(line)


@app.command(short_help="Describe a claim in full.")
def show(
    id: Annotated[
        str,
        typer.Argument(
            help="claim, for example PIR-04, or one of its measurements: PIR-04/published",
            autocompletion=complete_claim,
        ),
    ],
    reports: Annotated[
        Path | None,
        typer.Option(help="folder of reports to take the last verdicts from; default: reports"),
    ] = None,
) -> None:
    """Describe a claim in full: source, protocol, bars, controls, calibration, last verdicts.

    For suites that the folder of reports lacks, polyrot's reference verdicts are shown; a report
    that cannot be read is left out, with a note.
    Exits 0, or 2 if there is no such claim or folder, or the claim's module cannot be imported.
    """
    from polyrot.catalogue import find_claims, load_module
    from polyrot.locations import calibration_file
    from polyrot.report.claim_page import claim_page
    from polyrot.verdict.calibration import read_calibration

    folder, found = find_claims()
    if folder is None:
        raise failure("claims show", NOWHERE)
    by_id = {claim.id: claim for claim in found}
    claim_id, slash, which = _meant(id).partition("/")
    claim = by_id.get(claim_id)
    if claim is None:
        raise failure("claims show", unknown("a claim", id, by_id))
    only = f"{claim_id}/{which}" if slash else ""
    if only and only not in claim.measurements:
        known = claim.measurements
        raise failure("claims show", unknown(f"a measurement of {claim_id}", id, known))
    try:
        matrix = calibration_file(Path())
        calibration = read_calibration(matrix) if matrix else None
        last, notes = _last(reports)
        for line in claim_page(claim, load_module(claim.file), calibration, last, only):
            typer.echo(line)
        for note in notes:
            typer.echo(f"note: {note}", err=True)
    except (OSError, ValueError) as error:
        raise failure("claims show", error) from None


NOWHERE = "there is no folder claims/ here, and none in this installation"


def _meant(id: str) -> str:
    """Read `pir_4` as PIR-04, and `pir_4/published` as PIR-04/published."""
    claim, slash, which = id.replace("_", "-").partition("/")
    family, _, number = claim.upper().partition("-")
    return f"{family}-{number:0>2}{slash}{which.lower()}"


def _last(folder: Path | None) -> "tuple[dict[Path, Report], list[str]]":
    """Read a folder's reports, and reference verdicts of other suites; list unreadable reports."""
    from polyrot.locations import REPORTS, VERDICTS, reference_verdicts
    from polyrot.report.reading import report_files
    from polyrot.verdict.record import read_verdict

    found: dict[Path, Report] = {}
    notes = []
    if folder is not None and not folder.exists():
        raise ValueError(f"--reports: there is no folder {folder}")
    paths = report_files(folder) if folder else sorted(Path(REPORTS).glob(f"*/{VERDICTS}"))
    for path in paths:
        try:
            found[path] = read_verdict(path)
        except (OSError, ValueError) as error:
            notes.append(f"left out: {error}")
    suites = {report.suite for report in found.values()}
    for path in reference_verdicts().values():
        report = read_verdict(path)
        if report.suite not in suites:
            found[path] = report
    return dict(sorted(found.items(), key=lambda item: item[1].suite)), notes
