"""Train the models and autoencoders of a suite, and write them with a manifest."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from polyrot.capabilities import dictionaries as dictionary_kinds
from polyrot.capabilities.autoencoder_training import (
    NOISE,
    SAES_STORED_AS,
    noise_activations,
    train_sae_stack,
)
from polyrot.capabilities.streams import HALF_WAY, IMAGE, IMAGE_SAE_SEED, LATE_SITE, haar_image
from polyrot.experiments.dyck.suite import HALF_WAY_SITES, INTERNAL_SITES
from polyrot.models.cohorts import (
    COHORTS,
    CONTROL_COHORT,
    CONTROLS,
    SHORT_COHORT,
    Cohort,
    TrainedSeed,
    lowest,
    train_cohort,
)
from polyrot.models.harvest import harvest
from polyrot.models.transformer import StackedTransformer, State, stack_states
from polyrot.progress import Progress, in_turn, silent, within
from polyrot.provenance import machine, versions
from polyrot.sae.model import SAE
from polyrot.sae.recipe import SAEConfig
from polyrot.suites.artifacts import Artifacts, SAEName, model_file, write_artifacts
from polyrot.tasks import dyck

SAE_SEQUENCES = 4_096
SAE_TOKENS_SEED = 2_026


Plan = Mapping[str, list[SAEName]]
"""Autoencoders by the site whose activations they are trained on."""


def build_suite(
    cohort: Cohort,
    folder: Path,
    *,
    work: Path,
    command: str,
    sae_config: SAEConfig = SAEConfig(),
    dictionary_config: SAEConfig = dictionary_kinds.RECIPE,
    device: str = "cpu",
    progress: Progress = silent,
) -> Artifacts:
    """Train a cohort, its autoencoders and its dictionaries, and write them to `folder`.

    Finished parts and checkpoints stay in `work`: a second call continues there.
    """
    plan = sae_plan(cohort)
    recipes = (sae_config, dictionary_config)
    steps = (1 + cohort.shared_io) * cohort.training.steps, sum(_steps(plan, recipes))
    models_part, saes_part = in_turn(progress, steps)
    trained = train_cohort(cohort, directory=work, device=device, progress=models_part)
    states = {
        "": [result.best for result in trained.values()],
        HALF_WAY: [result.half_way for result in trained.values()],
    }
    saes = train_planned(
        cohort, states, plan, recipes, work=work, device=device, progress=saes_part
    )
    models = {model_file(seed): result.best for seed, result in trained.items()}
    if cohort.name not in CONTROLS:
        before = {model_file(s, half_way=True): result.half_way for s, result in trained.items()}
        models |= before
    description = {
        "name": cohort.name,
        "command": command,
        "architecture": asdict(cohort.architecture),
        "training": asdict(cohort.training),
        "shared_io_of": cohort.seeds[0] if cohort.shared_io else None,
        "sae_training": sae_config.recipe(),
        "seeds": {str(seed): _metrics(result) for seed, result in trained.items()},
        "versions": versions(),
        "machine": machine(),
    }
    if saes:
        description |= SAES_STORED_AS
    if any(name.kind for name in saes):
        description |= described_dictionaries(dictionary_config)
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
    cohort = COHORTS[name]
    build_suite(cohort, folder, work=work, command=command, device=device, progress=progress)


def described_dictionaries(config: SAEConfig) -> dict[str, Any]:
    """Describe the training of every kind of dictionary, for a manifest."""
    kinds = {
        kind: dictionary_kinds.recipe_of(kind, config).recipe() for kind in dictionary_kinds.KINDS
    }
    return {"dictionary_training": kinds}


def _steps(plan: Plan, recipes: tuple[SAEConfig, SAEConfig]) -> list[int]:
    """Return the training steps of each stack of autoencoders, in the order of training."""
    stacks = [stack[0] for names in plan.values() for stack in _stacks(names)]
    return [_recipe(name, recipes).steps for name in stacks]


def _recipe(name: SAEName, recipes: tuple[SAEConfig, SAEConfig]) -> SAEConfig:
    """Return the recipe of an autoencoder: of the PIR claims, or of its kind of dictionary."""
    if name.kind in dictionary_kinds.KINDS:
        return dictionary_kinds.recipe_of(name.kind, recipes[1])
    return recipes[0]


def _stacks(names: list[SAEName]) -> list[list[SAEName]]:
    """Group the autoencoders of one site into stacks that are trained together."""
    keys = sorted({(name.kind, name.sae_seed) for name in names})
    return [[name for name in names if (name.kind, name.sae_seed) == key] for key in keys]


def sae_plan(cohort: Cohort) -> dict[str, list[SAEName]]:
    """Name the autoencoders of a cohort, by the site whose activations train together.

    Every model and site has one from the SAE seed 0 that all share, as in the paper.  At the late
    site every model also has one from a separate SAE seed, one of a Haar image of its activations,
    and the dictionaries of `polyrot.capabilities.dictionaries`; if the models share nothing, the
    first one has these from a second SAE seed too.  Every model half way through its training has
    one at each site, the embedding's included, as in the paper's comparison of checkpoints.  The
    short cohort is measured only by its outputs and has none.
    """
    if cohort.name == SHORT_COHORT:
        return {}
    shared = {site: [SAEName(s, site, 0) for s in cohort.seeds] for site in INTERNAL_SITES}
    if cohort.name == CONTROL_COHORT:
        return {site: [SAEName(s, site, 0) for s in cohort.seeds] for site in (LATE_SITE, NOISE)}
    separate = [SAEName(seed, LATE_SITE, 1 + index) for index, seed in enumerate(cohort.seeds)]
    kinds = dictionary_kinds.KINDS
    compared = [SAEName(seed, LATE_SITE, 0, kind) for kind in kinds for seed in cohort.seeds]
    if not cohort.shared_io:
        compared += [SAEName(cohort.seeds[0], LATE_SITE, 1, kind) for kind in kinds]
    images = [SAEName(seed, LATE_SITE, IMAGE_SAE_SEED, IMAGE) for seed in cohort.seeds]
    plan = {**shared, LATE_SITE: shared[LATE_SITE] + separate + compared + images}
    for site in HALF_WAY_SITES:
        half_way = [SAEName(seed, site, 0, HALF_WAY) for seed in cohort.seeds]
        plan[site] = plan.get(site, []) + half_way
    return plan


def sae_tokens() -> dyck.LabelledSequences:
    """Return the autoencoders' training batch: 4,096 sequences of content lengths 2-48."""
    rng = np.random.default_rng(SAE_TOKENS_SEED)
    return dyck.sample(SAE_SEQUENCES, rng=rng, lengths=dyck.ANALYSIS_LENGTHS)


def train_planned(
    cohort: Cohort,
    states: Mapping[str, Sequence[State]],
    plan: Plan,
    recipes: tuple[SAEConfig, SAEConfig],
    *,
    work: Path,
    device: str = "cpu",
    progress: Progress = silent,
) -> dict[SAEName, SAE]:
    """Train autoencoders of a cohort's models on the activations of `sae_tokens`.

    Args:
        cohort: whose architecture and seeds these are.
        states: the models' weights in the order of its seeds, last ones under the empty name and
            those half way through training under `HALF_WAY`.
        plan: which autoencoders to train.
        recipes: of the autoencoders without a kind, and of the dictionaries.
        work: folder of finished stacks, and of the checkpoint of the current one.
        device: where to train.
        progress: called after every step.
    """
    if not plan:
        return {}
    batch = sae_tokens()
    activations = {
        when: harvest(
            StackedTransformer(cohort.architecture, stack_states(of_cohort)).to(device),
            batch,
            tuple(s for s, names in plan.items() if s != NOISE and _any(names, when)),
        )
        for when, of_cohort in states.items()
        if any(_any(names, when) for names in plan.values())
    }
    tokens = len(next(iter(activations.values())).sequence)
    saes: dict[SAEName, SAE] = {}
    parts = in_turn(progress, _steps(plan, recipes))
    for site, names in plan.items():
        for stack in _stacks(names):
            if site == NOISE:
                d_model = cohort.architecture.d_model
                data = [noise_activations(n.seed, tokens, d_model).to(device) for n in stack]
            else:
                of_models = [
                    activations[_when(n)].at(site)[cohort.seeds.index(n.seed)] for n in stack
                ]
                if stack[0].kind == IMAGE:
                    of_models = [
                        haar_image(x, n.seed) for x, n in zip(of_models, stack, strict=True)
                    ]
                data = [x.to(device) for x in of_models]
            kind, sae_seed = stack[0].kind, stack[0].sae_seed
            config = _recipe(stack[0], recipes)
            label = f"{cohort.name}: SAE {site}, SAE seed {sae_seed}" + (kind and f", {kind}")
            part = within(next(parts), what=label)
            saes |= train_sae_stack(stack, data, replace(config, seed=sae_seed), work, part)
    return saes


def _when(name: SAEName) -> str:
    return HALF_WAY if name.kind == HALF_WAY else ""


def _any(names: list[SAEName], when: str) -> bool:
    return any(_when(name) == when for name in names)


def _metrics(result: TrainedSeed) -> dict[str, Any]:
    return {
        "step": result.best_step,
        "lowest accuracy": lowest(result.accuracy),
        "accuracy": result.accuracy,
        "training seconds": round(result.seconds, 1),
    }
