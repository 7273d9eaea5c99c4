"""`polyrot train`: a suite's models and autoencoders, from scratch."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from polyrot.commands.names import complete_trainable
from polyrot.suggestions import unknown


def train(
    suite: Annotated[
        str,
        typer.Argument(
            help="a suite that polyrot can train, for example dyck3 or markov, or models that "
            "suites are compared with, for example two-back; an unknown name lists all",
            autocompletion=complete_trainable,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="folder to write to; default: the user's cache folder")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    threads: Annotated[
        int, typer.Option(min=0, help="CPU threads; 0 leaves the choice to torch")
    ] = 0,
) -> None:
    """Train a suite's models and autoencoders; if interrupted, the same command continues.

    Exits 0 if they are trained, 2 if the suite or the device does not exist, 130 after Ctrl-C.
    """
    import torch

    from polyrot.progress import ProgressLine
    from polyrot.suites import registry

    known = registry.trainers()
    if suite not in known:
        raise typer.BadParameter(unknown("a suite", suite, known))
    if device not in ("cpu", "cuda"):
        raise typer.BadParameter(f"Expected cpu or cuda but got {device!r}", param_hint="--device")
    if device == "cuda" and not torch.cuda.is_available():
        raise typer.BadParameter("torch sees no CUDA device; use --device cpu")
    if device not in known[suite].devices:
        raise typer.BadParameter(f"{suite} is trained only on the CPU", param_hint="--device")
    if threads:
        torch.set_num_threads(threads)
    command = " ".join(["polyrot", *sys.argv[1:]])
    line = ProgressLine()
    try:
        folder = registry.train(suite, out=out, command=command, device=device, progress=line)
    except KeyboardInterrupt:
        line.clear()
        typer.echo("\nInterrupted; the same command continues where it stopped.", err=True)
        raise typer.Exit(130) from None
    line.clear()
    typer.echo(f"trained: {folder}")
