"""`polyrot suites`: the suites, their files, and the problems of a suite file."""

from pathlib import Path
from typing import Annotated

import typer

from polyrot.commands import failure
from polyrot.commands.names import complete_suite_file
from polyrot.locations import guide
from polyrot.suggestions import unknown

app = typer.Typer(invoke_without_command=True, add_completion=False)


@app.callback()
def suites(context: typer.Context) -> None:
    """List the suites that come with polyrot and what they need.

    Exits 0.
    """
    if context.invoked_subcommand is not None:
        return
    from polyrot.locations import judging
    from polyrot.report.suite_list import suite_list
    from polyrot.suites import registry

    for line in suite_list(registry.described_suites(), judging=judging()):
        typer.echo(line)


@app.command(short_help="Print the file of a built-in suite.")
def show(
    name: Annotated[
        str,
        typer.Argument(help="a listed suite that has a file", autocompletion=complete_suite_file),
    ],
) -> None:
    """Print the file of a built-in suite: what it measures, and a template for yours.

    Exits 2 if the suite has no file.
    """
    from polyrot.suites import registry

    files = registry.suite_files()
    if name not in files:
        raise failure("suites show", unknown("a suite that a file describes", name, files))
    typer.echo(files[name].read_text(encoding="utf-8"), nl=False)


@app.command(short_help="Find every problem of a suite file.")
def check(
    file: Annotated[Path, typer.Argument(help="suite file (.toml), or the name of a built-in one")],
) -> None:
    """Check a suite file without loading weights; list every problem with its line.

    Exits 0 if it can run, 1 if it has problems, 2 if there is no such file.
    """
    from polyrot.suites import registry

    path = registry.suite_files().get(str(file), file)
    try:
        problems = registry.problems_of(path)
    except OSError as error:
        raise failure("suites check", error) from None
    for problem in problems:
        typer.echo(f"{path}:{problem.line}: {problem}")
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        typer.echo(f"{count}; {guide()} describes every field")
        raise typer.Exit(1)
    for line in registry.summary_of(path):
        typer.echo(line)
