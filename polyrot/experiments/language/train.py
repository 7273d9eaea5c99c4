"""`textlm`: language models without downloads, trained on the standard library's text."""

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

from polyrot.files import write_atomically
from polyrot.models import hub
from polyrot.models.language_training import (
    LanguageConfig,
    new_model,
    next_token_loss,
    train_language_model,
)
from polyrot.progress import Progress, in_turn, silent, within
from polyrot.provenance import machine, versions
from polyrot.suites.artifacts import MANIFEST, Artifacts, write_manifest
from polyrot.tasks import text
from polyrot.tasks.text import Document, Tokens

NAME = "textlm"
SEEDS = (1, 2, 3, 4, 5)
CONTROL_SEEDS = (201, 202, 203, 204, 205)
"""Models of the same architecture, trained on another task: see `LanguageConfig.two_back`."""
ANALYSIS_SEQUENCES, SAE_SEQUENCES = 256, 1_024
TOKENS_FILE, TOKENIZER_FILE = "tokens.safetensors", "tokenizer.json"


@dataclass(frozen=True)
class Plan:
    """What to train; tests use smaller plans."""

    models: LanguageConfig = LanguageConfig(vocabulary=text.VOCABULARY)
    control_steps: int = 300
    seeds: tuple[int, ...] = SEEDS
    control_seeds: tuple[int, ...] = CONTROL_SEEDS

    @property
    def controls(self) -> LanguageConfig:
        return replace(self.models, two_back=True, steps=self.control_steps)

    @property
    def steps(self) -> int:
        """Training steps of all models together."""
        return len(self.seeds) * self.models.steps + len(self.control_seeds) * self.control_steps


def train(
    name: str,
    folder: Path,
    *,
    work: Path,
    command: str,
    device: str = "cpu",
    progress: Progress = silent,
) -> None:
    """Train every model of `textlm`; see `polyrot.suites.kind.Trainer`."""
    if not (folder / MANIFEST).is_file():
        build_textlm(
            Plan(),
            text.standard_library(),
            folder,
            work=work,
            command=command,
            device=device,
            progress=progress,
        )


def build_textlm(
    plan: Plan,
    documents: tuple[Document, ...],
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
    progress(0, f"{NAME}: reading the standard library")
    tokenizer = text.train_tokenizer(documents, plan.models.vocabulary)
    training, held_out = (
        text.encode(tokenizer, documents, held_out=which) for which in (False, True)
    )
    sequences = _sequences(held_out, plan.models.context)
    files = [_write_tokens(folder, sequences), _write_tokenizer(folder, tokenizer)]
    seeds: dict[str, Any] = {}
    trained = [(plan.models, s) for s in plan.seeds]
    trained += [(plan.controls, s) for s in plan.control_seeds]
    parts = in_turn(progress, [config.steps for config, _ in trained])
    for config, seed in trained:
        part = within(next(parts), what=f"{NAME}: seed {seed}")
        half_way, last = train_language_model(
            config, seed, training, work, device=device, progress=part
        )
        files += _write_model(folder, f"seed{seed}", last)
        if config.two_back:
            continue
        files += _write_model(folder, f"seed{seed}-half-way", half_way)
        losses = {
            "before": new_model(config, seed),
            "half way": half_way,
            "after": last,
        }
        batch = torch.from_numpy(sequences["analysis"]).long()
        seeds[str(seed)] = {
            "held-out loss": {
                when: round(next_token_loss(model, batch), 4) for when, model in losses.items()
            }
        }
    description = {
        "name": NAME,
        "command": command,
        "training": asdict(plan.models),
        "controls": asdict(plan.controls),
        "training tokens": len(training),
        "held-out tokens": len(held_out),
        "seeds": seeds,
        "versions": versions(),
        "machine": machine(),
    }
    return write_manifest(folder, files, description)


def _sequences(held_out: Tokens, length: int) -> dict[str, np.ndarray]:
    """Cut the held-out text into sequences to analyse, and others for autoencoders."""
    rows = held_out[: len(held_out) // length * length].reshape(-1, length)
    rows = np.random.default_rng(0).permutation(rows)
    last = ANALYSIS_SEQUENCES + SAE_SEQUENCES
    return {"analysis": rows[:ANALYSIS_SEQUENCES], "sae": rows[ANALYSIS_SEQUENCES:last]}


def _write_tokens(folder: Path, sequences: dict[str, np.ndarray]) -> str:
    arrays = {name: np.ascontiguousarray(rows) for name, rows in sequences.items()}
    write_atomically(folder / TOKENS_FILE, partial(save_file, arrays))
    return TOKENS_FILE


def _write_tokenizer(folder: Path, tokenizer: Any) -> str:
    write_atomically(folder / TOKENIZER_FILE, lambda path: tokenizer.save(str(path)))
    return TOKENIZER_FILE


def _write_model(folder: Path, name: str, model: Any) -> list[str]:
    with hub.quiet():
        model.save_pretrained(folder / name)
    return [f"{name}/{file.name}" for file in sorted((folder / name).iterdir())]
