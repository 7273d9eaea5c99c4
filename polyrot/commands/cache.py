"""`polyrot cache`: what is kept between runs, and how to remove it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from polyrot.commands import failure
from polyrot.commands.names import complete_kind
from polyrot.suggestions import unknown

if TYPE_CHECKING:
    from polyrot.upkeep.cache_contents import Entry

app = typer.Typer(invoke_without_command=True, add_completion=False)


@app.callback()
def cache(context: typer.Context) -> None:
    """List what the cache holds by kind: how many entries, how large, how old.

    POLYROT_CACHE moves the cache. Exits 0.
    """
    if context.invoked_subcommand is None:
        show()


@app.command("list", short_help="List what the cache holds; the same as `polyrot cache`.")
def show() -> None:
    """List what the cache holds by kind: how many entries, how large, how old.

    Exits 0.
    """
    for row in _table(_look()):
        typer.echo(row)


@app.command("size", short_help="Print the total size of the cache.")
def total() -> None:
    """Print the total size of the cache, and where it is.

    Exits 0.
    """
    from polyrot.cache import cache_directory
    from polyrot.report.columns import size

    held = [entry for entries in _look().values() for entry in entries]
    typer.echo(f"{size(sum(entry.bytes for entry in held))} in {cache_directory()}")


@app.command(short_help="Remove what the cache holds.")
def clear(
    kinds: Annotated[
        list[str] | None,
        typer.Argument(
            help="for example activations estimates; default: all except those that take hours to "
            "make again (artifacts, saes, training)",
            autocompletion=complete_kind,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask for confirmation")] = False,
) -> None:
    """Remove what the cache holds; later runs make it again.

    Removes only what polyrot wrote, and nothing that another process is writing. A run in progress
    can still use what it has read.
    Exits 0, 1 if you did not confirm or something could not be removed, 2 if there is no such
    kind.
    """
    from polyrot.progress import ProgressLine
    from polyrot.report.columns import size
    from polyrot.upkeep import cache_contents

    known = cache_contents.KINDS
    for name in kinds or ():
        if name not in known:
            raise failure("cache clear", unknown("a kind", name, known))
    chosen = kinds or [name for name, kind in known.items() if not kind.costly]
    found = {name: held for name, held in _look().items() if name in chosen and held}
    doomed = [entry for held in found.values() for entry in held]
    if not doomed:
        typer.echo(f"Nothing to remove: there are no {', '.join(chosen)}.")
        return
    if not yes:
        for row in _table(found):
            typer.echo(row)
        typer.confirm("Remove these?", abort=True)
    line = ProgressLine()
    cleared = cache_contents.clear(doomed, line)
    line.clear()
    typer.echo(f"removed: {cleared.removed} of {len(doomed)} entries, {size(cleared.bytes)}")
    if cleared.in_use:
        typer.echo(
            f"kept: {cleared.in_use} that another process has locked or may still be writing"
        )
    if cleared.failed:
        typer.echo(f"polyrot cache clear: {cleared.failed}", err=True)
        raise typer.Exit(1)


def _look() -> "dict[str, list[Entry]]":
    from polyrot.progress import ProgressLine
    from polyrot.upkeep.cache_contents import KINDS, entries

    line = ProgressLine()
    found = {name: entries(kind, line) for name, kind in KINDS.items()}
    line.clear()
    return found


def _table(found: "Mapping[str, Sequence[Entry]]") -> Iterator[str]:
    """Yield the folder, a row for each kind, and the total."""
    from polyrot.cache import cache_directory
    from polyrot.report.columns import size
    from polyrot.upkeep.cache_contents import KINDS

    yield f"{cache_directory()}"
    yield ""
    yield f"{'kind':<13}{'entries':>8}{'size':>12}{'newest':>10}{'oldest':>10}   what"
    for name, held in found.items():
        yield f"{name:<13}{_figures(held)}   {KINDS[name].holds}"
    together = [entry for held in found.values() for entry in held]
    yield f"{'total':<13}{len(together):>8}{size(sum(e.bytes for e in together)):>12}"


def _figures(held: "Sequence[Entry]") -> str:
    from polyrot.report.columns import age, size

    times = [time.time() - entry.modified for entry in held]
    newest, oldest = (age(min(times)), age(max(times))) if times else ("", "")
    return f"{len(held):>8}{size(sum(e.bytes for e in held)):>12}{newest:>10}{oldest:>10}"
