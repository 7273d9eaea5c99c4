"""The built-in cohorts: which seeds are trained, on what, and what they share.

Cohort A (`dyck3`): seed 0 is trained normally; seeds 1-4 take seed 0's trained
embedding and unembeddings, frozen.  Cohort B (`dyck3-independent`): seeds
100-104 share only the analytic positions.  (arXiv 2605.24577, Setup.)
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from polyrot.cache import content_key
from polyrot.models.training import TrainingConfig, evaluate, train
from polyrot.models.transformer import (
    SHARED_IO,
    StackedTransformer,
    State,
    TransformerConfig,
    initial_state,
    stack_states,
)
from polyrot.progress import Progress, in_turn, silent, within

FINAL_METRIC_SEQUENCES = 20_000
FINAL_METRIC_SEED = 2_000_003

Accuracy = dict[str, dict[str, float]]
"""Accuracy by held-out set and head."""


@dataclass(frozen=True)
class Cohort:
    """Seeds trained in the same way.  With `shared_io` all use the first seed's I/O tensors."""

    name: str
    seeds: tuple[int, ...]
    shared_io: bool
    architecture: TransformerConfig = TransformerConfig()
    training: TrainingConfig = TrainingConfig()


CONTROL_COHORT = "two-back"
"""Models of the same architecture and inputs, trained on another task."""

SHORT_COHORT = "dyck3-short"
"""The independent cohort from the same initial weights, trained on lengths 2-48."""

CONTROLS = (CONTROL_COHORT, SHORT_COHORT)
"""Cohorts that serve only as comparisons; no claim needs their half-way weights."""

COMPARED_WITH = {"dyck3-independent": ("dyck3", SHORT_COHORT)}
"""Other cohorts that a suite's claims compare it with."""

COHORTS = {
    cohort.name: cohort
    for cohort in (
        Cohort("dyck3", seeds=(0, 1, 2, 3, 4), shared_io=True),
        Cohort("dyck3-independent", seeds=(100, 101, 102, 103, 104), shared_io=False),
        Cohort(
            SHORT_COHORT,
            seeds=(100, 101, 102, 103, 104),
            shared_io=False,
            # Its held-out sets have longer sequences: selecting on them would favour weights
            # that extrapolate.
            training=TrainingConfig(task="dyck3-short", last=True),
        ),
        Cohort(
            CONTROL_COHORT,
            seeds=(200, 201, 202, 203, 204),
            shared_io=False,
            training=TrainingConfig(task="two-back", steps=2_000),
        ),
    )
}


@dataclass(frozen=True)
class TrainedSeed:
    """One trained model: its best weights, its half-way weights and its accuracy."""

    best: State
    half_way: State
    best_step: int
    accuracy: Accuracy
    seconds: float
    """Training time of its stack, divided equally among the seeds."""


def train_cohort(
    cohort: Cohort,
    *,
    directory: Path,
    device: str = "cpu",
    progress: Progress = silent,
) -> dict[int, TrainedSeed]:
    """Train every seed of a cohort, resuming from the checkpoints in `directory`.

    `progress` is called after every step of every stack, and once more before its final
    accuracy is measured.
    """
    if not cohort.shared_io:
        return _train_stack(cohort, cohort.seeds, None, directory, device, progress)
    first, *others = cohort.seeds
    alone, together = in_turn(progress, (1, 1))
    trained = _train_stack(cohort, (first,), None, directory, device, alone)
    shared = {name: trained[first].best[name] for name in SHARED_IO}
    return trained | _train_stack(cohort, tuple(others), shared, directory, device, together)


def final_accuracy(model: StackedTransformer, training: TrainingConfig) -> list[Accuracy]:
    """Measure every seed of a stack on sequences that did not select a checkpoint."""
    with torch.inference_mode():
        return evaluate(model, training, sequences=FINAL_METRIC_SEQUENCES, seed=FINAL_METRIC_SEED)


def lowest(accuracy: Accuracy) -> float:
    """Return the lowest accuracy of any head on any held-out set."""
    return min(min(heads.values()) for heads in accuracy.values())


def _train_stack(
    cohort: Cohort,
    seeds: tuple[int, ...],
    shared: State | None,
    directory: Path,
    device: str,
    progress: Progress,
) -> dict[int, TrainedSeed]:
    states = [initial_state(cohort.architecture, seed) | (shared or {}) for seed in seeds]
    model = StackedTransformer(cohort.architecture, stack_states(states)).to(device)
    if shared:
        model.freeze(SHARED_IO)
    key = content_key(
        {
            "architecture": asdict(cohort.architecture),
            "training": asdict(cohort.training),
            "seeds": seeds,
            "shared_io_of": cohort.seeds[0] if shared else None,
        }
    )
    progress = within(progress, what=f"{cohort.name}: seeds {_span(seeds)}")
    result = train(
        model,
        seeds,
        cohort.training,
        checkpoint=directory / f"{cohort.name}-{key}.pt",
        progress=progress,
    )
    progress(1, "measuring final accuracy")
    best = StackedTransformer(cohort.architecture, stack_states(result.best)).to(device)
    accuracies = final_accuracy(best, cohort.training)
    return {
        seed: TrainedSeed(
            result.best[i],
            result.half_way[i],
            result.best_step[i],
            accuracies[i],
            result.seconds / len(seeds),
        )
        for i, seed in enumerate(seeds)
    }


def _span(seeds: tuple[int, ...]) -> str:
    return str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]}-{seeds[-1]}"
