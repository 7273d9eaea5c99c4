"""The curves of grokking: accuracies, and ranks of cores, at the kept checkpoints."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from polyrot.experiments.addition.models import AdditionModels
from polyrot.models.encoder import StackedEncoder
from polyrot.models.encoder_cohorts import EncoderCohort
from polyrot.models.encoder_training import History, kept_file, kept_states
from polyrot.models.transformer import stack_states
from polyrot.tasks import modular


def curves(cohort: EncoderCohort, history: History, work: Path) -> Mapping[str, Any]:
    """Measure the cores of every kept checkpoint of a training.

    Returns:
        `accuracy`: by evaluated epoch and seed, of training and of held-out questions; `cores`:
        by kept epoch and seed, the ranks on held-out questions and what `fit_shift` finds in the
        necessary core.
    """
    checkpoint = cohort.checkpoint(work)
    epochs = [epoch for epoch in history.epochs if kept_file(checkpoint, epoch).is_file()]
    return {
        "accuracy": {
            "epoch": history.epochs,
            "training": _rounded(history.training),
            "held out": _rounded(history.held_out),
        },
        "cores": {
            "epoch": epochs,
            "seeds": [_of_states(cohort, kept_states(checkpoint, epoch)) for epoch in epochs],
        },
    }


def _of_states(cohort: EncoderCohort, states: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    models = AdditionModels.of(StackedEncoder(cohort.architecture, stack_states(states)))
    return [measured(models, index) for index in range(len(states))]


def measured(models: AdditionModels, index: int) -> dict[str, Any]:
    """Measure the ranks of a seed's core, and how well a cyclic shift fits it."""
    ranks = models.ranks(index, ~modular.is_training())
    shift = models.shift(index, ranks.necessary)
    return vars(ranks) | {
        "R2": round(shift.r2, 6),
        "R2 held out": round(shift.r2_held_out, 6),
        "ring share": round(shift.ring_share, 6),
        "modes": len(shift.modes),
    }


def _rounded(accuracies: list[list[float]]) -> list[list[float]]:
    return [[round(value, 5) for value in seeds] for seeds in accuracies]
