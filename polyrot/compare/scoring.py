"""How well fitted maps explain held-out sequences, with intervals over sequences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from scipy import stats
from torch import Tensor

from polyrot.compare.joint_fits import FittedPair
from polyrot.compare.joint_moments import SHARD_TOKENS, Joint
from polyrot.experiments.language.activations import read_sites
from polyrot.experiments.language.tokens import Sequences
from polyrot.linalg.procrustes import Alignment, Group
from polyrot.models.sources import loaded
from polyrot.parallel import run_units
from polyrot.progress import Progress, silent
from polyrot.stats.estimate import CONFIDENCE, Estimate


@dataclass(frozen=True)
class Scores:
    """The residual of every sequence under each map, and the sums that its variance needs."""

    residual: Mapping[Group, Float[Tensor, " sequence"]]
    """Sum of squares, by group."""
    square: Float[Tensor, " sequence"]
    """Sum of squares of the target, centred by its mean on the fitted sequences."""
    sum: Float[Tensor, "sequence d_model"]
    """Sum of the centred target."""
    tokens: int
    """Tokens per sequence."""

    def __add__(self, other: "Scores") -> "Scores":
        return Scores(
            {g: torch.cat([r, other.residual[g]]) for g, r in self.residual.items()},
            torch.cat([self.square, other.square]),
            torch.cat([self.sum, other.sum]),
            self.tokens,
        )

    def estimates(self) -> dict[str, Estimate]:
        """Return the EV over all sequences by group, with a delete-one-sequence jackknife."""
        n = len(self.square)
        total = self.sum.sum(0)
        # About the mean of all sequences, and about that of all but one.
        variance = self.square.sum() - total @ total / (n * self.tokens)
        without = (total - self.sum).square().sum(1) / ((n - 1) * self.tokens)
        variances = self.square.sum() - self.square - without
        return {
            group: _jackknife(residual.numpy(), float(variance), variances.numpy())
            for group, residual in self.residual.items()
        }


def score_pairs(
    joint: Joint,
    fitted: Sequence[FittedPair],
    tokens: Sequences,
    *,
    progress: Progress = silent,
) -> dict[str, dict[str, Estimate]]:
    """Score the maps of one pair on held-out sequences; return EV by site and group.

    A shard of sequences is a unit of work.
    """
    file = joint.file("scored")
    np.save(file, tokens.numpy())
    size = max(1, SHARD_TOKENS // tokens.shape[1])
    shards = [range(i, min(i + size, len(tokens))) for i in range(0, len(tokens), size)]
    units = [(joint, tuple(fitted), file, shard) for shard in shards]
    parts = run_units(score_shard, units, progress=progress)
    return {
        fit.site: reduce(Scores.__add__, [part[fit.site] for part in parts]).estimates()
        for fit in fitted
    }


def score_shard(
    joint: Joint, fitted: tuple[FittedPair, ...], tokens: Path, shard: range
) -> dict[str, Scores]:
    """Unit of work: run the two models over some sequences, and score the maps of each site."""
    rows = np.load(tokens, mmap_mode="r")
    pair = fitted[0].pair
    models = loaded([joint.models[name] for name in pair])
    maps = {fit.site: fit.read(joint.at(fit.site, pair)[0]) for fit in fitted}
    found: dict[str, list[Scores]] = {site: [] for site in maps}
    for first in shard[:: joint.batch]:
        chunk = torch.from_numpy(rows[first : min(first + joint.batch, shard.stop)].copy())
        x, y = (read_sites(model, chunk, joint.sites) for model in models)
        for site, of_site in maps.items():
            found[site].append(_score(of_site, x[site], y[site]))
    return {site: reduce(Scores.__add__, parts) for site, parts in found.items()}


def _score(
    maps: Mapping[Group, Alignment],
    x: Float[Tensor, "sequence position d_model"],
    y: Float[Tensor, "sequence position d_model"],
) -> Scores:
    residual = {
        group: (fit.apply(x.flatten(0, 1)).view(x.shape) - y).square().sum((1, 2))
        for group, fit in maps.items()
    }
    centred = y.double() - next(iter(maps.values())).target_mean
    return Scores(residual, centred.square().sum((1, 2)), centred.sum(1), x.shape[1])


def _jackknife(residual: np.ndarray, variance: float, variances: np.ndarray) -> Estimate:
    n = len(residual)
    value = 1 - float(residual.sum() / variance)
    left_out = 1 - (residual.sum() - residual) / variances
    error = ((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum()) ** 0.5
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * error)
    method = "delete-one-sequence jackknife, t"
    return Estimate(value, value - half, value + half, "sequence", n, method)
