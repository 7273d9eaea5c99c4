"""Commands of `polyrot`, each on a page of its own."""

from collections.abc import Collection
from difflib import get_close_matches

import typer

EXIT_CODES = (
    "Exit codes: 0 done; 1 a finding: verdicts differ, a suite file or this installation has "
    "problems; 2 the command line is wrong, or what it names is missing; 130 interrupted."
)


def failure(command: str, error: object) -> typer.Exit:
    """Say in a line why a command could not do what it was asked; it exits 2."""
    typer.echo(f"polyrot {command}: {error}", err=True)
    return typer.Exit(2)


def unknown(what: str, got: str, known: Collection[str]) -> str:
    """Name what is nearest to what was given; all that there is where nothing is near."""
    by_capital = {name.upper(): name for name in known}
    near = [by_capital[name] for name in get_close_matches(got.upper(), by_capital, 3, 0.7)]
    if near:
        return f"Expected {what} but got {got!r}; nearest: {', '.join(near)}"
    return f"Expected {what} among {', '.join(known)} but got {got!r}"
