"""`polyrot diff`: why verdicts drifted between two runs."""

from typing import Annotated

import typer

from polyrot.commands import failure


def diff(
    old: Annotated[
        str,
        typer.Argument(
            help="verdict.json of an earlier run, a folder of reports, or shipped:SUITE for "
            "polyrot's reference verdicts"
        ),
    ],
    new: Annotated[str, typer.Argument(help="the same for a later run")],
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose", "-v", help="also show claims that moved far but kept their verdict"
        ),
    ] = False,
) -> None:
    """Explain claim by claim why verdicts drifted between two runs.

    Exits 0 if all verdicts are equal, 1 if one differs, 2 if there is nothing to compare.
    """
    from polyrot.locations import verdict_file
    from polyrot.report.difference import compare
    from polyrot.report.explanation import explanation
    from polyrot.report.reading import read_both

    try:
        before, after = read_both(verdict_file(old), verdict_file(new))
    except (OSError, ValueError) as error:
        raise failure("diff", error) from None
    drifted = False
    for number, suite in enumerate({**before, **after}):
        if number:
            typer.echo()
        if suite not in before or suite not in after:
            drifted = True
            typer.echo(f"{suite}: only in {new if suite in after else old}")
            continue
        difference = compare(before[suite], after[suite])
        drifted |= difference.differing > 0
        for line in explanation(difference, verbose=verbose):
            typer.echo(line)
    raise typer.Exit(int(drifted))
