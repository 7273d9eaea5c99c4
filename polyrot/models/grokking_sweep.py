"""The delay of grokking by weight decay: the sweep of arXiv 2602.22600, released code.

One-layer encoders learn addition modulo 53 at six weight decays, twelve repetitions each, until
all repetitions at a decay have grokked or 20,000 epochs are over.  The delay is the number of
steps from 99% accuracy on training questions to 99% on held-out ones.
"""

from math import ceil
from pathlib import Path

from polyrot.models.encoder import EncoderConfig
from polyrot.models.encoder_cohorts import (
    SWEEP,
    EncoderCohort,
    examples,
    train_encoder_cohort,
)
from polyrot.models.encoder_training import MASTERED, EncoderTraining, History
from polyrot.progress import Progress, in_turn, silent
from polyrot.tasks import modular

DECAYS = (0.3, 0.5, 1.0, 1.5, 2.0, 3.0)
REPETITIONS = 12


def sweep_cohort(decay: float) -> EncoderCohort:
    """The repetitions at one weight decay, trained together."""
    return EncoderCohort(
        f"{SWEEP}-{decay:g}",
        tuple(range(REPETITIONS)),
        EncoderConfig(layers=1, d_model=128, d_mlp=512, vocabulary=modular.MODULUS),
        EncoderTraining(
            epochs=20_000,
            batch=512,
            learning_rate=1e-3,
            weight_decay=decay,
            evaluate_every=5,
            enough=MASTERED,
        ),
    )


def train_sweep(*, directory: Path, progress: Progress = silent) -> dict[float, History]:
    """Train every repetition at every decay, starting with the largest, which takes least time."""
    decays = sorted(DECAYS, reverse=True)
    parts = in_turn(progress, [1] * len(decays))
    return {
        decay: train_encoder_cohort(sweep_cohort(decay), directory=directory, progress=part)
        for decay, part in zip(decays, parts, strict=True)
    }


def delays(decay: float, history: History) -> list[int | None]:
    """Return the delay of every repetition in steps, or None if it did not grok.

    At least the steps between two evaluations, which limit the resolution.
    """
    cohort = sweep_cohort(decay)
    training, _ = examples(cohort.name)
    steps = ceil(len(training) / cohort.training.batch)
    epochs = map(history.delay, range(len(cohort.seeds)))
    least = cohort.training.evaluate_every
    return [None if delay is None else max(least, delay) * steps for delay in epochs]
