"""The `polyrot` command."""

from typing import Annotated

import typer

from polyrot.commands import EXIT_CODES, cache, claims, suites
from polyrot.commands.align import align
from polyrot.commands.calibrate import calibrate
from polyrot.commands.diff import diff
from polyrot.commands.doctor import doctor
from polyrot.commands.report import report
from polyrot.commands.train import train

app = typer.Typer(
    no_args_is_help=True,
    help="Published claims about neural-network representations, as tests that can fail.",
    epilog=EXIT_CODES,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help is read in pipes and logs too
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(asked: bool) -> None:
    if asked:
        import polyrot

        typer.echo(f"polyrot {polyrot.__version__}")
        raise typer.Exit


@app.callback()
def polyrot(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Published claims about neural-network representations, as tests that can fail.

    Claims are judged by pytest: `pytest claims/` in a clone, `pytest --pyargs polyrot.claims`
    anywhere else. The commands here do everything else.
    """


app.add_typer(
    suites.app, name="suites", short_help="List the suites, show a suite's file, or check one."
)
app.add_typer(claims.app, name="claims", short_help="List the claims, or show one in full.")
app.add_typer(cache.app, name="cache", short_help="List or clear what is kept between runs.")
app.command(short_help="Train a suite's models and autoencoders.")(train)
app.command(short_help="Count how often bars are met in worlds of known truth.")(calibrate)
app.command(short_help="Fit the rotation between two language models.")(align)
app.command(short_help="Explain why verdicts drifted between two runs.")(diff)
app.command(short_help="Render recorded verdicts again.")(report)
app.command(short_help="Report what would prevent a run, and how to fix it.")(doctor)


def main() -> None:
    """Run the command; report an error in another package's experiment as one message."""
    from polyrot.suites.registry import BrokenExperiment

    try:
        app(prog_name="polyrot")
    except BrokenExperiment as error:
        typer.echo(f"polyrot: {error}", err=True)
        raise SystemExit(2) from None
