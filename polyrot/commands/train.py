"""`polyrot train`: a suite's models and autoencoders, from nothing."""

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
            help="dyck3, dyck3-independent, markov, modular-addition, agreement, "
            "subspaces, subspaces-full or textlm; a cohort of controls, say two-back or markov-5; "
            "or grokking-sweep, whose delays CORE-10 judges",
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
    """Train a suite's models and autoencoders; run it again to continue after a kill.

    Exits 0 where they are trained, 2 where the suite or the device does not exist, 130 after
    Ctrl-C.
    """
    import torch

    from polyrot.experiments.agreement.train import train_agreement
    from polyrot.experiments.chains.train import train_encoder_artifacts
    from polyrot.experiments.dyck.train import train_artifacts
    from polyrot.experiments.language.checkpoints import AGREEMENT
    from polyrot.experiments.language.train import NAME, train_textlm
    from polyrot.experiments.planted.plan import FULL, SUBSPACES
    from polyrot.experiments.planted.train import train_dictionaries
    from polyrot.models.cohorts import COHORTS
    from polyrot.models.encoder_cohorts import TRAINABLE

    if suite not in (known := (*COHORTS, *TRAINABLE, NAME, AGREEMENT, SUBSPACES, FULL)):
        raise typer.BadParameter(unknown("a suite", suite, known))
    if device not in ("cpu", "cuda"):
        raise typer.BadParameter(f"Expected cpu or cuda but got {device!r}", param_hint="--device")
    if device == "cuda" and not torch.cuda.is_available():
        raise typer.BadParameter("torch sees no CUDA device; use --device cpu")
    if device == "cuda" and suite in (*TRAINABLE, SUBSPACES, FULL):
        raise typer.BadParameter(f"{suite} is trained on the CPU alone", param_hint="--device")
    if threads:
        torch.set_num_threads(threads)
    command = " ".join(["polyrot", *sys.argv[1:]])
    try:
        if suite == NAME:
            folder = train_textlm(command=command, out=out, device=device)
        elif suite in TRAINABLE:
            folder = train_encoder_artifacts(suite, out=out, command=command)
        elif suite in (SUBSPACES, FULL):
            folder = train_dictionaries(suite, out=out, command=command)
        elif suite == AGREEMENT:
            folder = train_agreement(command=command, out=out, device=device)
        else:
            folder = train_artifacts(suite, out=out, command=command, device=device)
    except KeyboardInterrupt:
        typer.echo("\nInterrupted; the same command continues where it stopped.", err=True)
        raise typer.Exit(130) from None
    typer.echo(f"trained: {folder}")
