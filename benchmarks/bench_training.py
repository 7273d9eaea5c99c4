"""Training of five seeds: stacked and bucketed by length, or one after another and padded."""

import tempfile
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from plain_transformer import Plain, loss_of, train_alone

from harness.group import Case, Contender, Group
from harness.measure import Measure
from polyrot.models.training import TASKS, TrainingConfig, train
from polyrot.models.transformer import (
    StackedTransformer,
    State,
    TransformerConfig,
    initial_state,
    stack_states,
)

SEEDS = range(5)
STEPS = 2
ARCHITECTURE = TransformerConfig()
PRECISIONS = {"bfloat16": True, "float32": False}
GROUP = Group(
    "training",
    f"Training of {len(SEEDS)} seeds on Dyck-3, {STEPS} steps of 256 sequences a seed",
    tuple(
        Case(len(SEEDS), name, values={"bfloat16": bfloat16})
        for name, bfloat16 in PRECISIONS.items()
    ),
    axis="precision",
    unit="token that is not padding",
    error="relative difference of the loss after the steps, on other sequences, from ours "
    "(ours: the loss, relative to that before the steps)",
    note="Both start from the same weights and see the same sequences. The recipe's precision is "
    "bfloat16 autocast over float32 weights. Ours also scores its seeds on held-out sequences and "
    "keeps a checkpoint, within its time. The plain form's attention is torch's fused one.",
    devices=("cpu", "cuda"),
)
Losses = list[float]
Models = list[Plain]


def configuration(bfloat16: bool) -> TrainingConfig:
    """The recipe, a few steps of it; a small held-out set, since only the end is scored."""
    return TrainingConfig(
        steps=STEPS, bfloat16=bfloat16, evaluate_every=STEPS, evaluate_sequences=32, last=True
    )


@GROUP.contender("polyrot, stacked", ours=True)
def stacked(config: TrainingConfig, device: str) -> Models:
    model = StackedTransformer(ARCHITECTURE, stack_states(_states())).to(device)
    with tempfile.TemporaryDirectory() as folder:
        trained = train(model, list(SEEDS), config, checkpoint=Path(folder) / "checkpoint.pt")
    return _plain(trained.best, device)


@GROUP.contender("torch.nn, one by one", at_least=2)
def one_by_one(config: TrainingConfig, device: str) -> Models:
    models = _plain(_states(), device)
    for seed, model in zip(SEEDS, models, strict=True):
        train_alone(model, seed, config)
    return models


@pytest.mark.group(GROUP)
def test_training(case: Case, contender: Contender, measure: Measure, device: str) -> None:
    config = configuration(case["bfloat16"])
    tokens = _tokens(config)
    parameters = sum(x.numel() for x in _states()[0].values())
    models = measure(
        lambda: contender.run(config, device),
        per=tokens,
        # Two operations a parameter forward, four backward; attention's own come on top.
        operations=6 * parameters * tokens,
        bytes_moved=0,
        precision="float32",
    )
    found = _losses(models, device)
    if contender.ours:
        _ours[case.label] = found
        before = _losses(_plain(_states(), device), device)
        measure.agrees(max(b / a for a, b in zip(before, found, strict=True)), at_most=1)
    else:
        ours = _ours.get(case.label) or _losses(stacked(config, device), device)
        difference = max(abs(b / a - 1) for a, b in zip(ours, found, strict=True))
        measure.agrees(difference, at_most=1e-2 if config.bfloat16 else 1e-4)


_ours: dict[str, Losses] = {}


@lru_cache(maxsize=1)
def _states() -> list[State]:
    return [initial_state(ARCHITECTURE, seed) for seed in SEEDS]


def _plain(states: list[State], device: str) -> Models:
    return [Plain.of(ARCHITECTURE, state).to(device) for state in states]


def _tokens(config: TrainingConfig) -> int:
    """Count the positions of all batches of all seeds that are not padding."""
    batches = (
        TASKS[config.task](config.batch, rng=np.random.default_rng([seed, step]))
        for seed in SEEDS
        for step in range(config.steps)
    )
    return sum(int(batch.lengths.sum()) for batch in batches)


@torch.no_grad()
def _losses(models: Models, device: str) -> Losses:
    """Loss of every model on sequences that none was trained on."""
    batch = TASKS["dyck3"](256, rng=np.random.default_rng(77))
    return [float(loss_of(model.to(device), batch)) for model in models]
