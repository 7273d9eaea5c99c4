"""The cohorts of the cores paper: which encoder seeds are trained, on what, and for how long.

Recipes: arXiv 2602.22600, released code.  Five seeds of the Markov chain, where the paper has
three, and three of modular addition, as in the paper.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from polyrot.cache import content_key
from polyrot.models.encoder import EncoderConfig, StackedEncoder, initial_state
from polyrot.models.encoder_training import (
    EncoderTraining,
    Examples,
    History,
    accuracy,
    kept_states,
    train_encoders,
)
from polyrot.models.transformer import State, stack_states
from polyrot.progress import Progress, silent, within
from polyrot.provenance import machine, versions
from polyrot.tasks import markov, modular
from polyrot.tasks.markov import Chain

CHAINS: dict[str, Chain] = {
    "markov": markov.ring(4),
    "markov-5": markov.ring(5),
    "markov-6": markov.ring(6),
    "markov-two-rows": markov.two_rows(),
}
"""The paper's chain and those of its controls, by cohort."""

CHAIN_SEQUENCES = 3_000
TRAINING_SEED, HELD_OUT_SEED = 0, 999

MODULAR = "modular-addition"
WITHOUT_DECAY = "modular-addition-without-decay"
SWEEP = "grokking-sweep"
FORK_EPOCH = 900
"""Epoch after which the branch without weight decay continues, with a new optimiser."""


@dataclass(frozen=True)
class EncoderCohort:
    """Encoder seeds that are trained in the same way."""

    name: str
    seeds: tuple[int, ...]
    architecture: EncoderConfig
    training: EncoderTraining
    fork_of: str = ""
    """The cohort from whose weights after `training.first_epoch` it starts."""

    def checkpoint(self, directory: Path) -> Path:
        """Return the path of the checkpoint, named by all that determines the training."""
        what = asdict(self)
        if self.name in CHAINS:
            what["chain"] = CHAINS[self.name].rows
        return directory / f"{self.name}-{content_key(what)}.pt"


def _chain_cohort(name: str) -> EncoderCohort:
    return EncoderCohort(
        name,
        (0, 100, 200, 300, 400),
        EncoderConfig(vocabulary=CHAINS[name].states),
        EncoderTraining(
            epochs=40, batch=64, learning_rate=1e-4, weight_decay=0.0, evaluate_every=5
        ),
    )


_DECAYING = EncoderCohort(
    MODULAR,
    (0, 1, 2),
    EncoderConfig(layers=2, d_model=128, d_mlp=512, vocabulary=modular.MODULUS),
    EncoderTraining(
        epochs=20_000,
        batch=512,
        learning_rate=1e-3,
        weight_decay=1.0,
        evaluate_every=10,
        keep=(*range(50, 2_001, 50), *range(2_500, 20_001, 500)),
    ),
)

ENCODER_COHORTS: dict[str, EncoderCohort] = {
    **{name: _chain_cohort(name) for name in CHAINS},
    MODULAR: _DECAYING,
    WITHOUT_DECAY: replace(
        _DECAYING,
        name=WITHOUT_DECAY,
        training=replace(_DECAYING.training, weight_decay=0.0, first_epoch=FORK_EPOCH),
        fork_of=MODULAR,
    ),
}


def train_encoder_cohort(
    cohort: EncoderCohort, *, directory: Path, progress: Progress = silent
) -> History:
    """Train every seed of a cohort, resuming from the checkpoint in `directory`.

    Kept weights lie in the same folder; see `EncoderCohort.checkpoint`.
    """
    if cohort.fork_of:
        origin = ENCODER_COHORTS[cohort.fork_of].checkpoint(directory)
        states = kept_states(origin, cohort.training.first_epoch)
    else:
        states = [initial_state(cohort.architecture, seed) for seed in cohort.seeds]
    training, held_out = examples(cohort.name)
    return train_encoders(
        StackedEncoder(cohort.architecture, stack_states(states)),
        cohort.seeds,
        cohort.training,
        training,
        held_out,
        checkpoint=cohort.checkpoint(directory),
        progress=within(progress, what=f"{cohort.name}: models"),
    )


def examples(name: str) -> tuple[Examples, Examples]:
    """Return the training and the held-out examples of a cohort."""
    if name in CHAINS:
        drawn = (
            CHAINS[name].sample(CHAIN_SEQUENCES, seed=seed)
            for seed in (TRAINING_SEED, HELD_OUT_SEED)
        )
        training, held_out = (Examples(states[:, :-1], states[:, 1:]) for states in drawn)
        return training, held_out
    pairs, train = modular.questions(), modular.is_training()
    sums = modular.answers(pairs)[:, None]
    return Examples(pairs[train], sums[train]), Examples(pairs[~train], sums[~train])


def rounded(states: list[State]) -> list[State]:
    """Round weights to half precision, as shipped and as claims are measured on."""
    return [{name: tensor.half() for name, tensor in state.items()} for state in states]


def describe(cohort: EncoderCohort, history: History, command: str) -> dict[str, Any]:
    """Describe a cohort for its manifest, apart from its files and seeds."""
    return {
        "name": cohort.name,
        "command": command,
        "architecture": asdict(cohort.architecture),
        "training": asdict(cohort.training),
        "stored as": "float16; accuracies are of the rounded weights",
        "training seconds": round(history.seconds, 1),
        "versions": versions(),
        "machine": machine(),
    }


def final_metrics(cohort: EncoderCohort, states: list[State]) -> Mapping[str, Any]:
    """Measure the accuracies of every seed on training and held-out examples."""
    model = StackedEncoder(cohort.architecture, stack_states(states))
    training, held_out = (accuracy(model, split).tolist() for split in examples(cohort.name))
    return {
        str(seed): {
            "lowest accuracy": held_out[i],
            "accuracy": {"training": training[i], "held out": held_out[i]},
        }
        for i, seed in enumerate(cohort.seeds)
    }
