"""Two language models at one site and another: the rotation between them, and how good it is.

Each model runs once over the text.  The maps are fitted on the first sequences, from moments
alone; the rest only scores them, so that neither activations nor held-out moments are kept.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from safetensors.torch import save_file
from scipy import stats
from torch import Tensor, nn

from polyrot.files import write_atomically
from polyrot.linalg.battery import HaarTest, haar_test
from polyrot.linalg.procrustes import Alignment, Group, align_all
from polyrot.linalg.streaming import MomentStream
from polyrot.stats.estimate import CONFIDENCE, Estimate
from polyrot.suites.activations import read_sites
from polyrot.suites.tokens import Sequences

ALTERNATIVES: tuple[Group, ...] = ("identity", "signed-permutation", "permutation", "affine")

Progress = Callable[[float, str], None]


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
    source: nn.Module,
    target: nn.Module,
    tokens: Sequences,
    sites: Sequence[str],
    *,
    batch: int = 16,
    held_out: float = 0.25,
    seed: int = 0,
    progress: Progress = lambda share, what: None,
) -> list[SiteComparison]:
    """Fit a rotation at every site on some sequences and score it on the others.

    Args:
        source: a causal language model, whose activations are carried.
        target: another, as wide.
        tokens: what both run on, every row a sequence.
        sites: places of the residual stream that both have.
        batch: sequences that run together.
        held_out: share of the sequences that only score.
        seed: chooses them, and draws the nulls.
        progress: called with the share that is done and what is being done.

    Raises:
        ValueError: where fewer than two sequences would be left on either side.
    """
    count = round(held_out * len(tokens))
    if not 2 <= count <= len(tokens) - 2:
        raise ValueError(
            f"Expected at least two sequences to fit and two to score but got {len(tokens)} "
            f"with {held_out=}"
        )
    order = torch.randperm(len(tokens), generator=torch.Generator().manual_seed(seed))
    done = 0

    def run(rows: Tensor, what: str) -> Iterator[tuple[dict[str, Tensor], dict[str, Tensor]]]:
        nonlocal done
        for chunk in rows.split(batch):
            yield read_sites(source, tokens[chunk], sites), read_sites(target, tokens[chunk], sites)
            done += len(chunk)
            progress(done / len(tokens), what)

    moments = {site: MomentStream() for site in sites}
    for x, y in run(order[count:], "running both models to fit"):
        for site in sites:
            moments[site].add(x[site].flatten(0, 1), y[site].flatten(0, 1))
    groups: tuple[Group, ...] = ("O", *ALTERNATIVES)
    fits = {}
    for site in sites:
        finished = moments.pop(site).finish()
        fits[site] = align_all(finished, groups, seed=seed)
    scores = {site: _Scores(fits[site]) for site in sites}
    for x, y in run(order[:count], "running both models to score"):
        for site in sites:
            scores[site].add(x[site], y[site])
    return [
        SiteComparison(
            site,
            fits[site]["O"],
            scores[site].estimates(),
            haar_test(fits[site]["O"].rotation, seed=seed),
        )
        for site in sites
    ]


class _Scores:
    """Residual of every held-out sequence under each map, and its variance."""

    def __init__(self, fits: Mapping[Group, Alignment]) -> None:
        self._fits = fits
        self._residual: dict[Group, list[float]] = {group: [] for group in fits}
        self._square: list[float] = []
        self._sum: list[Float[Tensor, " d_model"]] = []
        self._tokens: list[int] = []

    def add(
        self,
        x: Float[Tensor, "sequence position d_model"],
        y: Float[Tensor, "sequence position d_model"],
    ) -> None:
        for source, target in zip(x, y, strict=True):
            for group, fit in self._fits.items():
                residual = fit.apply(source) - target
                self._residual[group].append(float(residual.square().sum()))
            # About the mean of the fit: what it is about the held-out mean follows.
            centred = target.double() - self._fits["O"].target_mean
            self._square.append(float(centred.square().sum()))
            self._sum.append(centred.sum(0))
            self._tokens.append(len(target))

    def estimates(self) -> dict[str, Estimate]:
        """EV over all sequences, with a delete-one-sequence jackknife interval."""
        square, tokens = np.array(self._square), np.array(self._tokens)
        sums = torch.stack(self._sum).numpy()
        total = sums.sum(0)
        variance = square.sum() - total @ total / tokens.sum()
        without = ((total - sums) ** 2).sum(1)
        variances = square.sum() - square - without / (tokens.sum() - tokens)
        return {
            group: _jackknife(np.array(residual), variance, variances)
            for group, residual in self._residual.items()
        }


def _jackknife(residual: np.ndarray, variance: float, variances: np.ndarray) -> Estimate:
    n = len(residual)
    value = 1 - float(residual.sum() / variance)
    left_out = 1 - (residual.sum() - residual) / variances
    error = ((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum()) ** 0.5
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * error)
    method = "delete-one-sequence jackknife, t"
    return Estimate(value, value - half, value + half, "sequence", n, method)


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
