"""Commands of `polyrot`, one per module."""

import typer

EXIT_CODES = (
    "Exit codes: 0 done; 1 a finding: verdicts differ, a suite file or this installation has "
    "problems; 2 the command line is wrong, or what it names is missing; 130 interrupted."
)


def failure(command: str, error: object) -> typer.Exit:
    """Print in one line why a command failed; return its exit, with code 2."""
    typer.echo(f"polyrot {command}: {error}", err=True)
    return typer.Exit(2)
