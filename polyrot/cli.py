"""The `polyrot` command."""

import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from polyrot.commands import suites
from polyrot.commands.align import align

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Published claims about neural-network representations, as tests that can fail.",
    pretty_exceptions_enable=False,
)


app.add_typer(suites.app, name="suites")
app.command()(align)


@app.command()
def train(
    suite: Annotated[
        str, typer.Argument(help="dyck3, dyck3-independent, dyck3-short, two-back or textlm")
    ],
    out: Annotated[
        Path | None, typer.Option(help="folder to write to; default: the user's cache folder")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    threads: Annotated[int, typer.Option(help="CPU threads; 0 leaves the choice to torch")] = 0,
) -> None:
    """Train a suite's models and autoencoders; run it again to continue after a kill."""
    import torch

    from polyrot.models.cohorts import COHORTS
    from polyrot.suites.build import train_artifacts
    from polyrot.suites.textlm import NAME, train_textlm

    if suite not in (*COHORTS, NAME):
        known = ", ".join((*COHORTS, NAME))
        raise typer.BadParameter(f"Expected a suite among {known} but got {suite!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise typer.BadParameter("torch sees no CUDA device; use --device cpu")
    if threads:
        torch.set_num_threads(threads)
    command = " ".join(["polyrot", *sys.argv[1:]])
    try:
        if suite == NAME:
            folder = train_textlm(command=command, out=out, device=device)
        else:
            folder = train_artifacts(suite, out=out, command=command, device=device)
    except KeyboardInterrupt:
        typer.echo("\nInterrupted; the same command continues where it stopped.", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"trained: {folder}")


@app.command()
def calibrate(
    draws: Annotated[
        int, typer.Option(min=1, help="random draws of each world; fewer than 17 show no power")
    ] = 20,
    world: Annotated[
        list[str] | None, typer.Option(help="only this world, say haar (repeatable)")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="folder for calibration/; default: reports")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="more than one needs pytest-xdist")] = 1,
) -> None:
    """Count how often each claim's bar is met in synthetic worlds of known truth.

    Run it beside the folder claims/; after an interruption the same command continues.
    Verdicts read the matrix in reports/ alone.
    """
    from polyrot.suites.worlds.synthetic import WORLDS, world_name

    if not Path("claims").is_dir():
        raise typer.BadParameter("there is no folder claims/ here; change to a clone of polyrot")
    unknown = [name for name in world or () if name not in WORLDS]
    if unknown:
        raise typer.BadParameter(
            f"Expected worlds among {', '.join(WORLDS)} but got {', '.join(unknown)}",
            param_hint="--world",
        )
    arguments = ["claims/", "-q", "--calibrate", str(draws)]
    arguments += [f"--suite={world_name(name)}" for name in world or ()]
    if out is not None:
        arguments += ["--report-dir", str(out)]
    if processes > 1:
        if find_spec("xdist") is None:
            raise typer.BadParameter("--processes needs pytest-xdist: pip install pytest-xdist")
        arguments += ["-n", str(processes)]
    # A process of its own: pytest cannot rewrite assertions of what is imported already.
    with subprocess.Popen([sys.executable, "-m", "pytest", *arguments]) as run:
        while run.poll() is None:
            # Ctrl-C reaches pytest too, which ends in its own time and says what it did.
            with suppress(KeyboardInterrupt):
                run.wait()
    raise typer.Exit(run.returncode)


@app.command()
def diff(
    old: Annotated[
        Path, typer.Argument(help="verdict.json of an earlier run, or a folder of reports")
    ],
    new: Annotated[Path, typer.Argument(help="the same of a later run")],
    verbose: Annotated[
        bool,
        typer.Option("--verbose", "-v", help="also claims that moved far with the same verdict"),
    ] = False,
) -> None:
    """Explain claim by claim why verdicts drifted between two runs.

    Exits 0 where all verdicts are equal, 1 where one differs, 2 where there is nothing to
    compare.
    """
    from polyrot.report.difference import compare
    from polyrot.report.explanation import explanation
    from polyrot.report.reading import read_both

    try:
        before, after = read_both(old, new)
    except (OSError, ValueError) as error:
        typer.echo(f"polyrot diff: {error}", err=True)
        raise typer.Exit(2) from None
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
