"""`polyrot doctor`: what is installed, what works, and how to fix what does not."""

import typer


def doctor() -> None:
    """Check whether anything would prevent a run: libraries, device, cache, hub, shipped files.

    Each line says ok, warning or problem; warnings and problems say how to fix them.
    Exits 0 if nothing prevents a run, 1 if a problem does.
    """
    from polyrot.progress import ProgressLine
    from polyrot.report.columns import entry
    from polyrot.upkeep.installation import GROUPS, Finding, Level

    def said(finding: Finding) -> None:
        label = f"{finding.level:<9}{finding.what}"
        for row in entry(label, finding.said, 30):
            typer.echo(row)
        if finding.fix:
            for row in entry("", f"fix: {finding.fix}", 30):
                typer.echo(row)

    problems = warnings = 0
    line = ProgressLine()
    for number, (name, look) in enumerate(GROUPS):

        def progress(share: float, what: str, number: int = number) -> None:
            line((number + share) / len(GROUPS), what)

        typer.echo(("\n" if number else "") + name)
        for finding in look(progress):
            line.clear()
            said(finding)
            problems += finding.level is Level.PROBLEM
            warnings += finding.level is Level.WARNING
    line.clear()
    typer.echo("")
    if problems:
        count = "1 problem" if problems == 1 else f"{problems} problems"
        typer.echo(f"{count} to fix before a run; then run polyrot doctor again.")
        raise typer.Exit(1)
    also = f" Warnings: {warnings}." if warnings else ""
    typer.echo(f"Nothing prevents a run.{also}")
