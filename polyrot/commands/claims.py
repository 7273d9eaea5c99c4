"""`polyrot claims`: what is claimed, how it is measured, and what came out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from polyrot.commands import failure, unknown
from polyrot.commands.names import complete_claim

if TYPE_CHECKING:
    from polyrot.verdict.record import Report

app = typer.Typer(invoke_without_command=True, add_completion=False)


@app.callback()
def claims(context: typer.Context) -> None:
    """List every claim with its statement and its measurements.

    Those in the folder claims/ here, else those that come with polyrot.
    Exits 0, or 2 where there are none.
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


@app.command(short_help="Tell all about a claim.")
def show(
    id: Annotated[
        str, typer.Argument(help="of a claim, say PIR-04", autocompletion=complete_claim)
    ],
    reports: Annotated[
        Path, typer.Option(help="folder of reports to take the last verdicts from")
    ] = Path("reports"),
) -> None:
    """Tell all about a claim: source, protocol, bars, controls, calibration, last verdicts.

    Where the folder of reports lacks a suite, the reference verdicts of polyrot stand in.
    Exits 0, or 2 where there is no such claim or a report cannot be read.
    """
    from polyrot.catalogue import find_claims, load_module
    from polyrot.report.claim_page import claim_page
    from polyrot.shipped import calibration_file
    from polyrot.verdict.calibration import read_calibration

    folder, found = find_claims()
    if folder is None:
        raise failure("claims show", NOWHERE)
    by_id = {claim.id: claim for claim in found}
    claim = by_id.get(_meant(id))
    if claim is None:
        raise failure("claims show", unknown("a claim", id, by_id))
    try:
        matrix = calibration_file(Path())
        calibration = read_calibration(matrix) if matrix else None
        lines = claim_page(claim, load_module(claim.file), calibration, _last(reports))
        for line in lines:
            typer.echo(line)
    except (OSError, ValueError) as error:
        raise failure("claims show", error) from None


NOWHERE = "there is no folder claims/ here, and none in this installation"


def _meant(id: str) -> str:
    """`pir_4` and `PIR-04/published` are of PIR-04."""
    family, _, number = id.upper().replace("_", "-").partition("/")[0].partition("-")
    return f"{family}-{number:0>2}"


def _last(folder: Path) -> "dict[Path, Report]":
    """The reports in a folder, and the reference verdicts of suites that it lacks."""
    from polyrot.shipped import VERDICTS, reference_verdicts
    from polyrot.verdict.record import read_verdict

    found = {path: read_verdict(path) for path in sorted(folder.glob(f"*/{VERDICTS}"))}
    suites = {report.suite for report in found.values()}
    for path in reference_verdicts().values():
        report = read_verdict(path)
        if report.suite not in suites:
            found[path] = report
    return dict(sorted(found.items(), key=lambda item: item[1].suite))
