"""`polyrot calibrate`: how often each bar is met in synthetic worlds of known truth."""

import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from polyrot import locations
from polyrot.commands.names import complete_world
from polyrot.suggestions import unknown


def calibrate(
    draws: Annotated[
        int,
        typer.Option(min=1, help="random draws of each world; fewer than 17 cannot show power"),
    ] = 20,
    world: Annotated[
        list[str] | None,
        typer.Option(
            help="only this world, for example haar (repeatable)", autocompletion=complete_world
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="folder for calibration/; default: reports")
    ] = None,
    processes: Annotated[
        int, typer.Option(min=1, help="processes; more than one needs pytest-xdist")
    ] = 1,
) -> None:
    """Count how often each claim's bar is met in synthetic worlds of known truth.

    Uses the claims in the folder claims/ here, else those of the wheel; after an interruption
    the same command continues. Verdicts use the matrix in reports/ here, else polyrot's.

    Exits as pytest does: 0 if the matrix is complete, 1 if a claim failed, 2 if interrupted or
    an option is wrong, 3 if it could not be written.
    """
    from polyrot.suites import registry

    if Path(locations.CLAIMS).is_dir():
        arguments = [f"{locations.CLAIMS}/"]
    elif locations.IN_WHEEL.is_dir():
        arguments = ["--pyargs", locations.CLAIMS_PACKAGE]
    else:
        raise typer.BadParameter("there is no folder claims/ here; change to a clone of polyrot")
    for name in world or ():
        if name not in registry.worlds():
            raise typer.BadParameter(
                unknown("a world", name, registry.worlds()), param_hint="--world"
            )
    arguments += ["-q", "--calibrate", str(draws)]
    arguments += [f"--suite={registry.world_name(name)}" for name in world or ()]
    if out is not None:
        arguments += ["--report-dir", str(out)]
    if processes > 1:
        if find_spec("xdist") is None:
            raise typer.BadParameter("--processes needs pytest-xdist: pip install pytest-xdist")
        arguments += ["-n", str(processes)]
    # In a separate process: pytest cannot rewrite assertions of modules already imported.
    with subprocess.Popen([sys.executable, "-m", "pytest", *arguments]) as run:
        while run.poll() is None:
            # Ctrl-C reaches pytest too; wait until it has ended and reported.
            with suppress(KeyboardInterrupt):
                run.wait()
    raise typer.Exit(run.returncode)
