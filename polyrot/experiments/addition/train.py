"""Train modular addition, with and without weight decay, and write what is shipped."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from polyrot.capabilities.autoencoder_training import encoder_saes
from polyrot.experiments.addition import suite as modular
from polyrot.experiments.addition.curves import curves
from polyrot.experiments.addition.models import (
    END,
    END_WITHOUT_DECAY,
    GROKKED,
    MEMORISED,
    AdditionModels,
)
from polyrot.experiments.addition.sweep import build_sweep
from polyrot.files import write_atomically
from polyrot.models.encoder import StackedEncoder
from polyrot.models.encoder_cohorts import (
    ENCODER_COHORTS,
    MODULAR,
    SWEEP,
    WITHOUT_DECAY,
    describe,
    final_metrics,
    rounded,
    train_encoder_cohort,
)
from polyrot.models.encoder_training import MASTERED, kept_states
from polyrot.models.transformer import State, stack_states
from polyrot.progress import Progress, in_turn, silent
from polyrot.sae.model import SAE
from polyrot.suites.artifacts import Artifacts, SAEName, write_artifacts

SIZES = (10, 10, 1)
"""Rough shares of time: the models, those without weight decay, and the autoencoders."""


def train(
    name: str,
    folder: Path,
    *,
    work: Path,
    command: str,
    device: str = "cpu",
    progress: Progress = silent,
) -> None:
    """Train the models or the sweep; see `polyrot.suites.kind.Trainer`."""
    build = build_sweep if name == SWEEP else build_modular_suite
    build(folder, work=work, command=command, progress=progress)


def build_modular_suite(
    folder: Path,
    *,
    work: Path,
    command: str,
    progress: Progress = silent,
) -> Artifacts:
    """Train modular addition with weight decay, and without it from the fork; write both.

    Written are weights at four times, in half precision, and the curves of both branches.  Finished
    parts and checkpoints stay in `work`: a second call continues there.
    """
    decaying, without = (ENCODER_COHORTS[name] for name in (MODULAR, WITHOUT_DECAY))
    first, second, saes_part = in_turn(progress, SIZES)
    history = train_encoder_cohort(decaying, directory=work, progress=first)
    forked = train_encoder_cohort(without, directory=work, progress=second)
    if history.memorised is None or history.grokked is None:
        raise RuntimeError(f"{MODULAR} never reached {MASTERED:.0%} on held-out questions")
    epochs = {
        MEMORISED: (decaying, history.memorised),
        GROKKED: (decaying, history.grokked),
        END: (decaying, history.epochs[-1]),
        END_WITHOUT_DECAY: (without, forked.epochs[-1]),
    }
    models: dict[str, State] = {}
    seeds: dict[str, Any] = {str(seed): {} for seed in decaying.seeds}
    for checkpoint, (cohort, epoch) in epochs.items():
        states = rounded(kept_states(cohort.checkpoint(work), epoch))
        for seed, metrics in final_metrics(cohort, states).items():
            seeds[seed][checkpoint] = {"epoch": epoch, **metrics["accuracy"]}
            if checkpoint == END:
                seeds[seed]["lowest accuracy"] = metrics["lowest accuracy"]
        names = (modular.checkpoint_file(seed, checkpoint) for seed in cohort.seeds)
        models |= dict(zip(names, states, strict=True))
        if checkpoint == END:
            saes = _modular_saes(states, work, saes_part)
    progress(1, f"{MODULAR}: cores of what was kept")
    branches = ((decaying, history), (without, forked))
    text = json.dumps(
        {cohort.name: curves(cohort, recorded, work) for cohort, recorded in branches}
    )
    write_atomically(folder / modular.CURVES, lambda path: path.write_text(text))
    description = describe(decaying, history, command) | {
        "without decay": asdict(without.training),
        "seeds": seeds,
    }
    return write_artifacts(folder, models, saes, description, others=(modular.CURVES,))


def _modular_saes(states: list[State], work: Path, progress: Progress) -> dict[SAEName, SAE]:
    """Train one autoencoder per seed, on the questions that are not held out."""
    cohort = ENCODER_COHORTS[MODULAR]
    models = AdditionModels.of(StackedEncoder(cohort.architecture, stack_states(states)))
    x = models.activations[:, ~modular.held_out_questions()].float()
    return encoder_saes(cohort, modular.SITE, x, work, progress)
