"""Train the cohorts of the cores paper and write what is shipped of them."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from jaxtyping import Float
from torch import Tensor

from polyrot.cache import cache_directory
from polyrot.experiments.addition import suite as modular
from polyrot.experiments.addition.curves import curves
from polyrot.experiments.addition.models import QuestionModels
from polyrot.experiments.addition.sweep import build_sweep
from polyrot.experiments.chains import suite as markov
from polyrot.experiments.dyck.train import Report, retrained_directory, train_sae_stack
from polyrot.files import write_atomically
from polyrot.models.encoder import StackedEncoder
from polyrot.models.encoder_cohorts import (
    CHAINS,
    ENCODER_COHORTS,
    MODULAR,
    SWEEP,
    WITHOUT_DECAY,
    EncoderCohort,
    examples,
    train_encoder_cohort,
)
from polyrot.models.encoder_training import MASTERED, History, accuracy, kept_states
from polyrot.models.transformer import State, stack_states
from polyrot.progress import Progress
from polyrot.provenance import machine, versions
from polyrot.sae.model import SAE
from polyrot.sae.recipe import SAEConfig
from polyrot.suites.artifacts import Artifacts, SAEName, model_file, write_artifacts

SAE_RECIPE = SAEConfig(expansion=4, l1=1e-3, steps=2_000, batch=1_024, learning_rate=1e-3)
SAE_SEQUENCES, SAE_TOKENS_SEED = 2_048, 2_026


def build_encoder_suite(
    name: str,
    folder: Path,
    *,
    work: Path,
    command: str,
    report: Report = lambda what, step, steps, remark: None,
) -> Artifacts:
    """Train a cohort and its autoencoders and write them to `folder`, weights in half precision.

    Finished parts and checkpoints stay in `work`: a second call continues there.
    """
    cohort = ENCODER_COHORTS[name]
    history = _trained(cohort, work, report)
    states = rounded(kept_states(cohort.checkpoint(work), history.epochs[-1]))
    models = dict(zip(map(model_file, cohort.seeds), states, strict=True))
    saes = _markov_saes(states, work, report) if name == markov.NAME else {}
    description = describe(cohort, history, command) | {"seeds": final_metrics(cohort, states)}
    return write_artifacts(folder, models, saes, description)


def build_modular_suite(
    folder: Path,
    *,
    work: Path,
    command: str,
    report: Report = lambda what, step, steps, remark: None,
) -> Artifacts:
    """Train modular addition with weight decay, and without it from the fork; write four times.

    As `build_encoder_suite`; with the curves of both branches.
    """
    decaying, without = (ENCODER_COHORTS[name] for name in (MODULAR, WITHOUT_DECAY))
    history, forked = (_trained(cohort, work, report) for cohort in (decaying, without))
    if history.memorised is None or history.grokked is None:
        raise RuntimeError(f"{MODULAR} never reached {MASTERED:.0%} on held-out questions")
    epochs = {
        modular.MEMORISED: (decaying, history.memorised),
        modular.GROKKED: (decaying, history.grokked),
        modular.END: (decaying, history.epochs[-1]),
        modular.END_WITHOUT_DECAY: (without, forked.epochs[-1]),
    }
    models: dict[str, State] = {}
    seeds: dict[str, Any] = {str(seed): {} for seed in decaying.seeds}
    for checkpoint, (cohort, epoch) in epochs.items():
        states = rounded(kept_states(cohort.checkpoint(work), epoch))
        for seed, metrics in final_metrics(cohort, states).items():
            seeds[seed][checkpoint] = {"epoch": epoch, **metrics["accuracy"]}
            if checkpoint == modular.END:
                seeds[seed]["lowest accuracy"] = metrics["lowest accuracy"]
        names = (modular.checkpoint_file(seed, checkpoint) for seed in cohort.seeds)
        models |= dict(zip(names, states, strict=True))
        if checkpoint == modular.END:
            saes = _modular_saes(states, work, report)
    report(f"{MODULAR}: cores of what was kept", 0, 1, "")
    branches = ((decaying, history), (without, forked))
    text = json.dumps({cohort.name: curves(cohort, own, work) for cohort, own in branches})
    write_atomically(folder / modular.CURVES, lambda path: path.write_text(text))
    description = describe(decaying, history, command) | {
        "without decay": asdict(without.training),
        "seeds": seeds,
    }
    return write_artifacts(folder, models, saes, description, others=(modular.CURVES,))


def train_encoder_artifacts(
    name: str, *, command: str, out: Path | None = None, progress: Progress | None = None
) -> Path:
    """Train a cohort with a progress line; return the folder written.

    `out` is by default a folder of the cache directory, which `pytest --retrain` uses.
    Two processes that ask for one cohort train it once: the second waits, and finds what is done.
    """
    folder = out or retrained_directory() / name
    work = cache_directory() / "training"
    work.mkdir(parents=True, exist_ok=True)
    line = progress or Progress()

    def report(what: str, step: int, steps: int, remark: str) -> None:
        line(step / steps, f"{what}, {step} of {steps}  {remark}")

    builds = {MODULAR: build_modular_suite, SWEEP: build_sweep}
    build = builds.get(name) or partial(build_encoder_suite, name)
    with FileLock(work / f"{name}.lock"):
        build(folder, work=work, command=command, report=report)
    line.clear()
    return folder


def rounded(states: list[State]) -> list[State]:
    """Round weights to half precision: what is shipped, and all that claims are measured on."""
    return [{name: tensor.half() for name, tensor in state.items()} for state in states]


def describe(cohort: EncoderCohort, history: History, command: str) -> dict[str, Any]:
    """What a manifest says of a cohort besides its files and its seeds."""
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
    """Accuracies of every seed, by what it was trained on and what it was held to."""
    model = StackedEncoder(cohort.architecture, stack_states(states))
    training, held_out = (accuracy(model, own).tolist() for own in examples(cohort.name))
    return {
        str(seed): {
            "lowest accuracy": held_out[i],
            "accuracy": {"training": training[i], "held out": held_out[i]},
        }
        for i, seed in enumerate(cohort.seeds)
    }


def _trained(cohort: EncoderCohort, work: Path, report: Report) -> History:
    epochs = cohort.training.epochs
    return train_encoder_cohort(
        cohort,
        directory=work,
        report=lambda epoch, text: report(f"{cohort.name}: epoch", epoch, epochs, text),
    )


def _markov_saes(states: list[State], work: Path, report: Report) -> dict[SAEName, SAE]:
    """One autoencoder a seed and site."""
    cohort = ENCODER_COHORTS[markov.NAME]
    model = StackedEncoder(cohort.architecture, stack_states(states))
    tokens = CHAINS[markov.NAME].sample(SAE_SEQUENCES, seed=SAE_TOKENS_SEED)[:, :-1]
    with torch.inference_mode():
        _, residual = model(tokens.expand(model.seeds, -1, -1))
    saes: dict[SAEName, SAE] = {}
    for site in markov.SITES:
        saes |= _saes(cohort, site, residual[site].flatten(1, 2), work, report)
    return saes


def _modular_saes(states: list[State], work: Path, report: Report) -> dict[SAEName, SAE]:
    """One autoencoder a seed, on the questions that are not held out."""
    cohort = ENCODER_COHORTS[MODULAR]
    models = QuestionModels.of(StackedEncoder(cohort.architecture, stack_states(states)))
    x = models.activations[:, ~modular.held_out_questions()].float()
    return _saes(cohort, modular.SITE, x, work, report)


def _saes(
    cohort: EncoderCohort,
    site: str,
    x: Float[Tensor, "seed token d_model"],
    work: Path,
    report: Report,
) -> dict[SAEName, SAE]:
    """Train one autoencoder a seed, from the SAE seed 0 that all share."""
    names = [SAEName(seed, site, 0) for seed in cohort.seeds]
    data = [own.clone() for own in x]
    return train_sae_stack(names, data, SAE_RECIPE, work, f"{cohort.name}: SAE {site}", report)
