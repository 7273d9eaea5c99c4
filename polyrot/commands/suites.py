"""`polyrot suites`: the suites, their files, and the problems of a suite file."""

from collections.abc import Iterator
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

    for line in suite_list(_described(), judging=judging()):
        typer.echo(line)


def _described() -> Iterator[tuple[str, str]]:
    """Yield every suite, and every pattern of names, with its description and requirements."""
    from polyrot.suites import registry

    for kind in registry.kinds():
        for suite in kind.suites:
            needed = kind.needs(suite) if kind.needs else ""
            yield suite.name, "; ".join(part for part in (suite.about, needed) if part)
    yield "world:NAME", f"synthetic, with known truth: {', '.join(registry.worlds())}"
    for kind in registry.kinds():
        for pattern, about in kind.more:
            yield pattern, about.format(guide=guide())


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
    kinds = registry.kinds()
    try:
        problems = [p for kind in kinds if kind.file_problems for p in kind.file_problems(path)]
    except OSError as error:
        raise failure("suites check", error) from None
    for problem in problems:
        typer.echo(f"{path}:{problem.line}: {problem}")
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        typer.echo(f"{count}; {guide()} describes every field")
        raise typer.Exit(1)
    for kind in kinds:
        for line in kind.file_summary(path) if kind.file_summary else ():
            typer.echo(line)
