"""Train dictionaries on planted subspaces and write their weights."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor

from polyrot.cache import content_key
from polyrot.capabilities.autoencoder_training import fingerprint
from polyrot.experiments.planted.constructed import planted_decoder
from polyrot.experiments.planted.plan import SAMPLES_FILE, SUBSPACES, Experiment, plan
from polyrot.experiments.planted.samples import SWEEP_STEPS, samples_needed
from polyrot.files import write_atomically
from polyrot.progress import Progress, in_turn, silent, within
from polyrot.provenance import machine, versions
from polyrot.sae.activations import Activation, GroupTopK, JumpReLU
from polyrot.sae.model import SAE, WEIGHTS
from polyrot.sae.recipe import BatchTopK, LearnedThresholds, SAEConfig
from polyrot.sae.training import SAEStack, train_saes
from polyrot.suites.artifacts import Artifacts, write_artifacts
from polyrot.tasks.subspaces import Features

State = dict[str, Tensor]
"""Weights of dictionaries, stacked."""


def weights_file(experiment: str, arm: str) -> str:
    """Return the name of an arm's file."""
    return f"{experiment}-{re.sub(r'[^a-z0-9]+', '-', arm.lower())}.safetensors"


def build_dictionaries(
    name: str,
    folder: Path,
    *,
    work: Path,
    command: str,
    progress: Progress = silent,
) -> Artifacts:
    """Train all experiments of a suite and write them to `folder` in half precision.

    Finished arms and checkpoints stay in `work`: a second call continues there.
    """
    states: dict[str, State] = {}
    swept = SWEEP_STEPS if name == SUBSPACES else 0
    steps = [
        recipe.steps for experiment in plan(name).values() for recipe in experiment.arms.values()
    ]
    parts = in_turn(progress, [*steps, swept])
    for title, experiment in plan(name).items():
        for arm, recipe in experiment.arms.items():
            part = within(next(parts), what=f"{name}: {title}, {arm}")
            state = _kept(experiment, recipe, work, part)
            names = ("W_dec",) if experiment.decoders else tuple(state)
            states[weights_file(title, arm)] = {key: state[key].half() for key in names}
    description = {
        "name": name,
        "command": command,
        "stored as": "float16",
        "arms": {
            title: {arm: recipe.recipe() for arm, recipe in experiment.arms.items()}
            for title, experiment in plan(name).items()
        },
        "seeds": sorted({seed for experiment in plan(name).values() for seed in experiment.seeds}),
        "versions": versions(),
        "machine": machine(),
    }
    others = []
    if name == SUBSPACES:
        found = json.dumps(samples_needed(work, next(parts)), indent=1) + "\n"
        write_atomically(folder / SAMPLES_FILE, lambda path: path.write_text(found))
        others.append(SAMPLES_FILE)
    return write_artifacts(folder, states, {}, description, others=others)


def train(
    name: str,
    folder: Path,
    *,
    work: Path,
    command: str,
    device: str = "cpu",
    progress: Progress = silent,
) -> None:
    """Train all experiments of a suite; see `polyrot.suites.kind.Trainer`."""
    build_dictionaries(name, folder, work=work, command=command, progress=progress)


def loaded(state: Mapping[str, Tensor], recipe: SAEConfig, index: int) -> SAE:
    """Extract one dictionary from an arm's weights, in single precision."""
    tensors = {key: tensor[index].float() for key, tensor in state.items()}
    trained = recipe.activation
    rule: Activation
    if isinstance(trained, BatchTopK | LearnedThresholds):
        rule = JumpReLU(tensors["threshold"])
    else:
        rule = trained
    return SAE(
        tensors["W_enc"], tensors["b_enc"], tensors["W_dec"], tensors["b_dec"], activation=rule
    )


def _kept(experiment: Experiment, recipe: SAEConfig, work: Path, progress: Progress) -> State:
    """Train an arm, or read it from `work` if it was trained on the same tokens."""
    planted = [experiment.features(seed) for seed in experiment.seeds]
    data = [
        features.draw(experiment.tokens, seed).x
        for features, seed in zip(planted, experiment.seeds, strict=True)
    ]
    key = content_key(
        {
            "dictionaries": recipe.recipe(),
            "starts": experiment.starts,
            "polished": experiment.polished,
            "seeds": experiment.seeds,
            "data": [fingerprint(x) for x in data],
        }
    )
    file = work / f"dictionaries-{key}.safetensors"
    if file.is_file():
        progress(1, "trained earlier")
        return load_file(file)
    trained = train_saes(
        [x for x in data for _ in range(experiment.starts)],
        [
            replace(recipe, seed=experiment.starts * seed + start)
            for seed in experiment.seeds
            for start in range(experiment.starts)
        ],
        checkpoint=file.with_suffix(".pt"),
        progress=progress,
    )
    if experiment.polished:
        trained += _polish(planted, data, recipe)
    state = {name: torch.stack([getattr(sae, name) for sae in trained]) for name in WEIGHTS}
    if isinstance(trained[0].activation, JumpReLU):
        thresholds = [sae.activation.threshold for sae in trained]  # type: ignore[union-attr]
        state["threshold"] = torch.stack(thresholds)
    write_atomically(file, partial(save_file, state))
    return state


def _polish(
    planted: Sequence[Features],
    data: Sequence[Float[Tensor, "token d_model"]],
    recipe: SAEConfig,
) -> list[SAE]:
    """Train from the planted solution instead of from random weights."""
    assert isinstance(recipe.activation, GroupTopK)
    rank = recipe.activation.rank
    stack = SAEStack(data, [replace(recipe, seed=seed) for seed in range(len(data))])
    with torch.no_grad():
        for index, features in enumerate(planted):
            groups = recipe.features(data[index].shape[1]) // rank
            decoder = planted_decoder(features, groups, rank)
            stack.weights["W_dec"][index] = decoder
            stack.weights["W_enc"][index] = decoder.mT
    while stack.left:
        stack.step()
    return stack.autoencoders()
