"""Train encoders that predict Markov chains, and write what is shipped."""

from collections.abc import Sequence
from pathlib import Path

import torch

from polyrot.capabilities.autoencoder_training import encoder_saes
from polyrot.experiments.chains import suite as markov
from polyrot.models.encoder import StackedEncoder
from polyrot.models.encoder_cohorts import (
    CHAINS,
    ENCODER_COHORTS,
    describe,
    final_metrics,
    rounded,
    train_encoder_cohort,
)
from polyrot.models.encoder_training import kept_states
from polyrot.models.transformer import State, stack_states
from polyrot.progress import Progress, in_turn, silent
from polyrot.sae.model import SAE
from polyrot.suites.artifacts import Artifacts, SAEName, model_file, write_artifacts

SAE_SEQUENCES, SAE_TOKENS_SEED = 2_048, 2_026


def build_encoder_suite(
    name: str,
    folder: Path,
    *,
    work: Path,
    command: str,
    progress: Progress = silent,
) -> Artifacts:
    """Train a cohort and its autoencoders and write them to `folder`, weights in half precision.

    Finished parts and checkpoints stay in `work`: a second call continues there.
    """
    cohort = ENCODER_COHORTS[name]
    sites = markov.SITES if name == markov.NAME else ()
    models_part, *parts = in_turn(progress, [1] * (1 + len(sites)))
    history = train_encoder_cohort(cohort, directory=work, progress=models_part)
    states = rounded(kept_states(cohort.checkpoint(work), history.epochs[-1]))
    models = dict(zip(map(model_file, cohort.seeds), states, strict=True))
    saes = _markov_saes(states, work, parts) if sites else {}
    description = describe(cohort, history, command) | {"seeds": final_metrics(cohort, states)}
    return write_artifacts(folder, models, saes, description)


def train(
    name: str,
    folder: Path,
    *,
    work: Path,
    command: str,
    device: str = "cpu",
    progress: Progress = silent,
) -> None:
    """Train a cohort and its autoencoders; see `polyrot.suites.kind.Trainer`."""
    build_encoder_suite(name, folder, work=work, command=command, progress=progress)


def _markov_saes(states: list[State], work: Path, parts: Sequence[Progress]) -> dict[SAEName, SAE]:
    """Train one autoencoder per seed and site."""
    cohort = ENCODER_COHORTS[markov.NAME]
    model = StackedEncoder(cohort.architecture, stack_states(states))
    tokens = CHAINS[markov.NAME].sample(SAE_SEQUENCES, seed=SAE_TOKENS_SEED)[:, :-1]
    with torch.inference_mode():
        _, residual = model(tokens.expand(model.seeds, -1, -1))
    saes: dict[SAEName, SAE] = {}
    for site, part in zip(markov.SITES, parts, strict=True):
        saes |= encoder_saes(cohort, site, residual[site].flatten(1, 2), work, part)
    return saes
