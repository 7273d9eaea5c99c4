"""Train the cohorts of the cores paper and write what is shipped of them."""

from functools import partial
from pathlib import Path

import torch
from filelock import FileLock

from polyrot.cache import cache_directory
from polyrot.experiments.addition.sweep import build_sweep
from polyrot.experiments.addition.train import build_modular_suite
from polyrot.experiments.chains import suite as markov
from polyrot.models.encoder import StackedEncoder
from polyrot.models.encoder_cohorts import (
    CHAINS,
    ENCODER_COHORTS,
    MODULAR,
    SWEEP,
)
from polyrot.models.encoder_training import kept_states
from polyrot.models.transformer import State, stack_states
from polyrot.progress import Progress
from polyrot.sae.model import SAE
from polyrot.suites.artifacts import Artifacts, SAEName, model_file, write_artifacts
from polyrot.suites.training import (
    Report,
    _saes,
    _trained,
    describe,
    final_metrics,
    retrained_directory,
    rounded,
)

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
