"""How many tokens a dictionary needs to find planted subspaces, by their dimension."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from polyrot.cache import content_key
from polyrot.capabilities.autoencoder_training import fingerprint
from polyrot.files import write_atomically
from polyrot.progress import Progress, in_turn, within
from polyrot.sae.activations import GroupTopK
from polyrot.sae.metrics import squared_error
from polyrot.sae.model import SAE
from polyrot.sae.recipe import SAEConfig
from polyrot.sae.subspaces import largest_angle, match, principal
from polyrot.sae.training import train_saes
from polyrot.tasks.subspaces import Features, gaussian, random_bases

Samples = Mapping[int, list[int | None]]
"""Tokens that every repetition needed, by dimension; None if no number was enough."""

DIMS = (1, 2, 3, 4, 6, 8, 12, 16)
COUNTS = tuple(2**power for power in range(4, 14))
"""Tokens to train on: 16 to 8,192."""
REFINED = 2
"""Number of bisections between a sufficient number of tokens and half of it."""
RESOLUTION = 2 ** (0.5**REFINED)
"""Of the number that is found."""
REPETITIONS, STARTS = 12, 4
"""Draws of features and tokens, and runs on each; the run with the lowest loss counts."""
FEATURES, ACTIVE, GROUPS, D_MODEL = 4, 2, 8, 128
DEGREES = 5.0
"""Largest principal angle at which a subspace counts as found; half of the features must be."""
TOKENS = 4_096
"""Tokens on which it is measured where a unit writes."""
RECIPE = SAEConfig(steps=2_000, batch=128, learning_rate=2e-3, decay=0.2)
SWEEP_STEPS = len(DIMS) * (1 + REFINED) * RECIPE.steps
"""Steps of all trainings of the sweep together."""


def planted(dim: int, repetition: int) -> Features:
    """Plant orthogonal features of one dimension."""
    bases = random_bases((dim,) * FEATURES, D_MODEL, repetition, orthogonal=True)
    return Features(bases, (gaussian,) * FEATURES, ACTIVE, (1.0,) * FEATURES)


def missing(samples: Samples) -> str:
    """Say in which dimensions no number of tokens sufficed; empty if one always did."""
    short = {dim: counts.count(None) for dim, counts in samples.items()}
    said = [f"{count} of {len(samples[dim])} at {dim}" for dim, count in short.items() if count]
    return f"repetitions found no subspace: {', '.join(said)}" if said else ""


def samples_needed(work: Path, progress: Progress) -> dict[str, list[int | None]]:
    """Train dictionaries on more and more tokens; finished stacks stay in `work`."""
    parts = in_turn(within(progress, what="samples"), [1] * len(DIMS))
    return {
        f"{dim}": _needed(dim, work, within(part, what=f"dimension {dim}"))
        for dim, part in zip(DIMS, parts, strict=True)
    }


def _needed(dim: int, work: Path, progress: Progress) -> list[int | None]:
    """Find the least power of two that is enough, in every repetition; then bisect below it."""
    first, *closer = in_turn(progress, [1] * (1 + REFINED))
    runs = [(repetition, count) for repetition in range(REPETITIONS) for count in COUNTS]
    angles = dict(zip(runs, _angles(dim, runs, work, first), strict=True))
    least: list[int | None] = [
        next((n for n in COUNTS if angles[repetition, n] <= DEGREES), None)
        for repetition in range(REPETITIONS)
    ]
    for halved, part in enumerate(closer, start=1):
        share = 2 ** (0.5**halved)
        below = [(i, round(n / share)) for i, n in enumerate(least) if n is not None]
        if not below:
            break
        found = _angles(dim, below, work, within(part, what="closer"))
        for (repetition, count), angle in zip(below, found, strict=True):
            if angle <= DEGREES:
                least[repetition] = count
    return least


def _angles(
    dim: int,
    runs: Sequence[tuple[int, int]],
    work: Path,
    progress: Progress,
) -> list[float]:
    """Measure the median angle in the run with the lowest loss, by repetition and tokens."""
    recipe = replace(RECIPE, columns=GROUPS * dim, activation=GroupTopK(ACTIVE, dim))
    truths = [planted(dim, repetition) for repetition in range(REPETITIONS)]
    data = [features.draw(max(COUNTS), seed).x for seed, features in enumerate(truths)]
    key = content_key(
        {
            "samples": recipe.recipe(),
            "runs": [list(run) for run in runs],
            "starts": STARTS,
            "data": [fingerprint(x) for x in data],
        }
    )
    file = work / f"samples-{key}.json"
    if file.is_file():
        progress(1, "trained earlier")
        kept: list[float] = json.loads(file.read_text())
        return kept
    trained = train_saes(
        [data[repetition][:count] for repetition, count in runs for _ in range(STARTS)],
        [replace(recipe, seed=STARTS * i + start) for i, _ in runs for start in range(STARTS)],
        checkpoint=file.with_suffix(".pt"),
        progress=progress,
    )
    held_out = [features.draw(TOKENS, 10_000 + seed).x for seed, features in enumerate(truths)]
    angles = []
    for run, (repetition, count) in enumerate(runs):
        tokens = data[repetition][:count]
        starts = trained[STARTS * run : STARTS * (run + 1)]
        lowest = min(starts, key=lambda sae: squared_error(sae, tokens))
        angles.append(median_angle(lowest, truths[repetition], held_out[repetition]))
    write_atomically(file, lambda path: path.write_text(json.dumps(angles)))
    return angles


def median_angle(sae: SAE, truth: Features, x: torch.Tensor) -> float:
    """Return the median over features of the largest principal angle to the matched group."""
    _, directions = principal(sae, x)
    units = match(directions, truth.bases)
    angles = [
        largest_angle(directions[unit], basis)
        for unit, basis in zip(units.tolist(), truth.bases, strict=True)
    ]
    return float(torch.tensor(angles).median())
