"""The rotation between two language models at each site, and how well it fits.

Maps are fitted to the moments of some sequences and scored on the others.  Each model runs over
every sequence once, and neither activations nor held-out moments are stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from polyrot.compare.joint_fits import fit_pairs
from polyrot.compare.joint_moments import gather_moments
from polyrot.compare.scoring import score_pairs
from polyrot.experiments.language.tokens import Sequences
from polyrot.files import write_atomically
from polyrot.linalg.battery import HaarTest, haar_test
from polyrot.linalg.procrustes import Alignment, Group
from polyrot.models.sources import ModelSource
from polyrot.progress import Progress, silent, within
from polyrot.stats.estimate import Estimate

PAIR = ("source", "target")
ALTERNATIVES: tuple[Group, ...] = ("identity", "signed-permutation", "permutation", "affine")


@dataclass(frozen=True)
class SiteComparison:
    """The rotation between two models at a site."""

    site: str
    fit: Alignment
    """From the source onto the target, over O(d)."""
    ev: Mapping[str, Estimate]
    """Held-out alignment EV of the rotation, `O`, and of each alternative."""
    haar: HaarTest


def compare_models(
    source: ModelSource,
    target: ModelSource,
    tokens: Sequences,
    sites: Sequence[str],
    folder: Path,
    *,
    batch: int = 16,
    held_out: float = 0.25,
    seed: int = 0,
    progress: Progress = silent,
) -> list[SiteComparison]:
    """Fit a rotation at every site on some sequences and score it on the others.

    Running a shard, fitting a site and scoring a shard are units of work.

    Args:
        source: a causal language model, whose activations are carried.
        target: another of the same width.
        tokens: input of both, every row a sequence.
        sites: sites of the residual stream that both have.
        folder: where moments and maps go; it must exist as long as the rotations are used.
        batch: sequences per batch.
        held_out: share of the sequences that are used only for scoring.
        seed: random seed for the choice of these sequences and for the nulls.
        progress: called with the share that is done and what is being done.

    Raises:
        ValueError: if there are fewer than two sequences to fit or to score.
        NotRun: if a model is not available.
    """
    count = round(held_out * len(tokens))
    if not 2 <= count <= len(tokens) - 2:
        raise ValueError(
            f"Expected at least two sequences to fit and two to score but got {len(tokens)} "
            f"with {held_out=}"
        )
    order = torch.randperm(len(tokens), generator=torch.Generator().manual_seed(seed))
    joint = gather_moments(
        {PAIR[0]: source, PAIR[1]: target},
        tokens[order[count:]],
        torch.zeros(len(tokens) - count, dtype=torch.bool),
        sites,
        folder,
        batch=batch,
        progress=within(progress, 0, 0.7, "running both models to fit"),
    )
    fitted = fit_pairs(joint, groups=("O", *ALTERNATIVES), seed=seed)
    scores = score_pairs(
        joint,
        fitted,
        tokens[order[:count]],
        progress=within(progress, 0.7, 0.9, "running both models to score"),
    )
    comparisons = []
    for done, maps in enumerate(fitted):
        progress(0.9 + 0.1 * done / len(fitted), f"testing the rotation at {maps.site}")
        fit = maps.read(joint.at(maps.site, PAIR)[0])["O"]
        test = haar_test(fit.rotation, seed=seed)
        comparisons.append(SiteComparison(maps.site, fit, scores[maps.site], test))
    return comparisons


def write_rotations(
    path: Path, comparisons: Sequence[SiteComparison], names: Mapping[str, str]
) -> None:
    """Write the rotations as safetensors: `SITE.rotation`, `.source_mean` and `.target_mean`.

    Row vectors are carried by `(x - source_mean) @ rotation + target_mean`.
    """
    tensors = {}
    for c in comparisons:
        tensors[f"{c.site}.rotation"] = c.fit.rotation.contiguous()
        tensors[f"{c.site}.source_mean"] = c.fit.source_mean.contiguous()
        tensors[f"{c.site}.target_mean"] = c.fit.target_mean.contiguous()
    write_atomically(path, lambda p: save_file(tensors, p, metadata=dict(names)))
