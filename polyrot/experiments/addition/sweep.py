"""The recorded result of the grokking sweep: delays by weight decay, with their provenance."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from polyrot.files import write_atomically
from polyrot.models.encoder_cohorts import SWEEP
from polyrot.models.encoder_training import History
from polyrot.models.grokking_sweep import delays, sweep_cohort, train_sweep
from polyrot.progress import Progress, silent
from polyrot.provenance import machine, versions
from polyrot.suites.artifacts import Artifacts, write_manifest

RESULT = "delays.json"
DelaysByDecay = Mapping[float, list[int | None]]
"""Steps of every repetition by weight decay; None if it did not grok."""


def build_sweep(
    folder: Path,
    *,
    work: Path,
    command: str,
    progress: Progress = silent,
) -> Artifacts:
    """Train the sweep and write its delays; finished parts and checkpoints stay in `work`."""
    return write_sweep(folder, train_sweep(directory=work, progress=progress), command=command)


def write_sweep(folder: Path, histories: Mapping[float, History], *, command: str) -> Artifacts:
    """Write the delays of a sweep, the manifest last."""
    found = {f"{decay:g}": delays(decay, histories[decay]) for decay in sorted(histories)}
    text = json.dumps(found, indent=1) + "\n"
    write_atomically(folder / RESULT, lambda path: path.write_text(text))
    first = sweep_cohort(min(histories))
    description = {
        "name": SWEEP,
        "command": command,
        "architecture": asdict(first.architecture),
        "training": asdict(first.training) | {"weight_decay": sorted(histories)},
        "training seconds": round(sum(history.seconds for history in histories.values()), 1),
        "versions": versions(),
        "machine": machine(),
        "seeds": {},
    }
    return write_manifest(folder, [RESULT], description)


def read_sweep(folder: Path) -> DelaysByDecay:
    """Read the delays of a sweep.

    Raises:
        MissingArtifact: if there are none.
    """
    artifacts = Artifacts.open(folder)
    found = json.loads((artifacts.folder / RESULT).read_text())
    return {float(decay): steps for decay, steps in found.items()}
