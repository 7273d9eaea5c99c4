"""`agreement`: small GPT-2 models of three sizes, trained on a language of agreement; shipped."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.numpy import save_file

from polyrot.experiments.agreement.readers import LanguageReader, copulas
from polyrot.experiments.language.train import TOKENIZER_FILE, TOKENS_FILE
from polyrot.files import write_atomically
from polyrot.models import hub
from polyrot.models.hub import Checkpoint
from polyrot.models.language_training import LanguageConfig, train_language_model
from polyrot.progress import Progress, in_turn, silent, within
from polyrot.provenance import machine, versions
from polyrot.suites.artifacts import MANIFEST, Artifacts, write_manifest
from polyrot.tasks.agreement import draw_prompts
from polyrot.tasks.agreement_language import draw_rows, new_tokenizer
from polyrot.tasks.text import Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

NAME = "agreement"
CONTEXT = 32
TRAINING_SEED, HELD_OUT_SEED = 2_602, 22_600
STORED = torch.float16
"""Precision of stored weights, to halve their size.  Accuracies are those of stored weights."""


def recipe(d_model: int, layers: int, *, steps: int = 1_000) -> LanguageConfig:
    """Return the recipe for models of a size, with 16 dimensions per head."""
    return LanguageConfig(
        vocabulary=len(new_tokenizer()),
        d_model=d_model,
        layers=layers,
        heads=d_model // 16,
        context=CONTEXT,
        steps=steps,
        batch=64,
        learning_rate=3e-3,
        warmup=100,
        bfloat16=False,
        architecture="gpt2",
        rows=True,
    )


@dataclass(frozen=True)
class Size:
    """Models of one size."""

    models: LanguageConfig
    seeds: tuple[int, ...]


def sizes() -> dict[str, Size]:
    """Return the three sizes; the medium one has more seeds, because it is also used for rotations.

    The small ones train longer: after 1,000 steps two of three had not learned agreement.
    """
    return {
        "small": Size(recipe(32, 2, steps=4_000), (11, 12, 13)),
        "medium": Size(recipe(48, 3), (21, 22, 23, 24, 25)),
        "large": Size(recipe(64, 4), (31, 32, 33)),
    }


@dataclass(frozen=True)
class Plan:
    """What is trained; tests make it smaller."""

    sizes: Mapping[str, Size]
    training_rows: int = 16_384
    analysis_rows: int = 256
    sae_rows: int = 1_024


def train(
    name: str,
    folder: Path,
    *,
    work: Path,
    command: str,
    device: str = "cpu",
    progress: Progress = silent,
) -> None:
    """Train models of three sizes; see `polyrot.suites.kind.Trainer`."""
    if not (folder / MANIFEST).is_file():
        plan = Plan(sizes())
        build_agreement(plan, folder, work=work, command=command, device=device, progress=progress)


def build_agreement(
    plan: Plan,
    folder: Path,
    *,
    work: Path,
    command: str,
    device: str = "cpu",
    progress: Progress = silent,
) -> Artifacts:
    """Train every model of a plan and write them, the tokenizer and the held-out tokens.

    Finished parts and checkpoints stay in `work`.
    """
    progress(0, f"{NAME}: drawing sentences")
    tokenizer = new_tokenizer()
    training = _training_tokens(plan, tokenizer)
    files = [_write_tokens(plan, folder, tokenizer), _write_tokenizer(folder, tokenizer)]
    seeds: dict[str, Any] = {}
    sizes = [size.models.steps for size in plan.sizes.values() for _ in size.seeds]
    parts = in_turn(progress, sizes)
    for name, size in plan.sizes.items():
        for seed in size.seeds:
            part = within(next(parts), what=f"{NAME}: {name}, seed {seed}")
            _, model = train_language_model(
                size.models, seed, training, work, device=device, progress=part
            )
            files += _write_model(folder / f"seed{seed}", model, tokenizer)
            stored = hub.load(Checkpoint(str(folder / f"seed{seed}")), torch.float32)
            seeds[str(seed)] = {"size": name, "accuracy": accuracies(stored, tokenizer)}
    description = {
        "name": NAME,
        "command": command,
        "training": {name: asdict(size.models) for name, size in plan.sizes.items()},
        "weights": f"stored as {str(STORED).removeprefix('torch.')}; accuracies are of these",
        "accuracy": "share of the 1,200 published prompts whose head's copulas win the margin",
        "seeds": seeds,
        "versions": versions(),
        "machine": machine(),
    }
    return write_manifest(folder, files, description)


def accuracies(model: Any, tokenizer: "PreTrainedTokenizerFast") -> dict[str, float]:
    """Measure how often the sign of the plural margin matches the head's number.

    On all published prompts, and on those whose pair of nouns no model was trained on.
    """
    prompts = draw_prompts()
    reader = LanguageReader(
        lambda: model, tokenizer(prompts.texts)["input_ids"], copulas(tokenizer)
    )
    right = (reader.observe().margins > 0).numpy() == prompts.plural
    held_out = prompts.held_out
    return {
        "all prompts": round(float(right.mean()), 4),
        "held-out pairs": round(float(right[held_out].mean()), 4),
    }


def _training_tokens(plan: Plan, tokenizer: "PreTrainedTokenizerFast") -> Tokens:
    rng = np.random.default_rng(TRAINING_SEED)
    rows = draw_rows(tokenizer, plan.training_rows, CONTEXT + 1, held_out=False, rng=rng)
    return rows.astype(np.int32).reshape(-1)


def _write_tokens(plan: Plan, folder: Path, tokenizer: "PreTrainedTokenizerFast") -> str:
    """Write sentences of the held-out pairs, for other measurements on the models."""
    rng = np.random.default_rng(HELD_OUT_SEED)
    arrays = {
        name: draw_rows(tokenizer, count, CONTEXT, held_out=True, rng=rng)
        for name, count in (("analysis", plan.analysis_rows), ("sae", plan.sae_rows))
    }
    write_atomically(folder / TOKENS_FILE, partial(save_file, arrays))
    return TOKENS_FILE


def _write_tokenizer(folder: Path, tokenizer: "PreTrainedTokenizerFast") -> str:
    write_atomically(
        folder / TOKENIZER_FILE, lambda path: tokenizer.backend_tokenizer.save(str(path))
    )
    return TOKENIZER_FILE


def _write_model(folder: Path, model: Any, tokenizer: "PreTrainedTokenizerFast") -> list[str]:
    with hub.quiet():
        model.to(STORED).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return [f"{folder.name}/{file.name}" for file in sorted(folder.iterdir())]
