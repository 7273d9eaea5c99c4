"""The `polyrot` command."""

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Published claims about neural-network representations, as tests that can fail.",
    pretty_exceptions_enable=False,
)


@app.callback()
def main() -> None:
    """Keep `train` a subcommand while it is the only one."""


@app.command()
def train(
    suite: Annotated[str, typer.Argument(help="dyck3, dyck3-independent or two-back")],
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

    if suite not in COHORTS:
        raise typer.BadParameter(f"Expected a suite among {', '.join(COHORTS)} but got {suite!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise typer.BadParameter("torch sees no CUDA device; use --device cpu")
    if threads:
        torch.set_num_threads(threads)
    command = " ".join(["polyrot", *sys.argv[1:]])
    try:
        folder = train_artifacts(suite, out=out, command=command, device=device)
    except KeyboardInterrupt:
        typer.echo("\nInterrupted; the same command continues where it stopped.", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"trained: {folder}")
