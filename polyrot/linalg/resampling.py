"""Bootstrap of an alignment over the tokens that it was fitted to."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from polyrot.linalg.checks import Array, as_activations, check_tokens
from polyrot.linalg.cross import Sums, add_up, find_origins
from polyrot.linalg.polar import polar_factor
from polyrot.linalg.procrustes import sequence_ids
from polyrot.progress import Progress, silent

AT_ONCE = 2**23
"""Numbers of the refitted cross-covariances held in memory at a time: 64 MiB."""


@dataclass(frozen=True)
class Bootstrap:
    """Refits of an orthogonal alignment to resampled tokens."""

    ev: Float[Tensor, " draw"]
    """Explained variance of each refit on the blocks that it did not draw."""
    distance: Float[Tensor, " draw"]
    """`||R_draw - R||_F`, where R is fitted to all tokens: `sqrt(2 d - 2 tr R_draw' R)`."""

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Percentile interval of the explained variance.

        It covers other tokens of these two models, not other seeds.
        """
        tail = (1 - level) / 2
        low, high = np.quantile(self.ev.cpu().numpy(), [tail, 1 - tail])
        return float(low), float(high)


@dataclass(frozen=True)
class _Blocks:
    """Sums of every block of tokens about common origins, stacked."""

    counts: Float[Tensor, " block"]
    sums: tuple[Float[Tensor, "block d_source"], Float[Tensor, "block d_target"]]
    squares: tuple[Float[Tensor, " block"], Float[Tensor, " block"]]
    products: Float[Tensor, "block d_source d_target"]


@dataclass(frozen=True)
class _Weighted:
    """Moments of several weighted samples of the blocks."""

    count: Float[Tensor, " draw"]
    means: tuple[Float[Tensor, "draw d_source"], Float[Tensor, "draw d_target"]]
    variances: tuple[Float[Tensor, " draw"], Float[Tensor, " draw"]]
    cross: Float[Tensor, "draw d_source d_target"]

    @classmethod
    def of(cls, blocks: _Blocks, weights: Float[Tensor, "draw block"]) -> "_Weighted":
        count = weights @ blocks.counts
        x, y = (weights @ sums / count[:, None] for sums in blocks.sums)
        variances = [
            weights @ squares - count * mean.square().sum(1)
            for squares, mean in zip(blocks.squares, (x, y), strict=True)
        ]
        cross = (weights @ blocks.products.flatten(1)).view(-1, *blocks.products.shape[1:])
        cross -= (count[:, None] * x)[:, :, None] * y[:, None]
        return cls(count, (x, y), (variances[0], variances[1]), cross)

    def explained(self, rotation: Float[Tensor, "draw d d"], fit: "_Weighted") -> Tensor:
        """Compute the explained variance of maps that were fitted to other samples."""
        shift = ((self.means[0] - fit.means[0])[:, None] @ rotation)[:, 0]
        shift = shift + fit.means[1] - self.means[1]
        overlap = (rotation * self.cross).sum((1, 2))
        missed = self.count * shift.square().sum(1)
        explained: Tensor = (2 * overlap - self.variances[0] - missed) / self.variances[1]
        return explained


def bootstrap(
    source: Array,
    target: Array,
    *,
    sequence: Array | None = None,
    blocks: int = 64,
    draws: int = 200,
    seed: int = 0,
    progress: Progress = silent,
) -> Bootstrap:
    """Refit the rotation of source onto target to blocks of tokens drawn with replacement.

    Tokens of one sequence depend on each other: whole sequences are dealt into blocks at
    random, and blocks are drawn (Kunsch 1989, doi:10.1214/aos/1176347265).  The tokens are
    read once: sums over each block are kept and weighted in every refit, which costs
    O(blocks d^2 + d^3) whatever the number of tokens.

    Args:
        source, target: `[token, d_model]`, the same tokens in the same order.
        sequence: `[token]` ids; without them consecutive tokens, as for `align`.
        blocks: their number; `blocks * d_model^2` float64 are kept.
        draws: number of refits.
        seed: seed of the blocks and the draws.
        progress: receives the share of the refits done, and their number.

    Raises:
        TypeError: where an array is not of a floating type.
        ValueError: where token counts or dimensions differ, there are fewer than three
            sequences, `blocks` is below 3 or `draws` below 1, values are not finite, or one
            side does not vary.

    >>> x = torch.randn(900, 4, generator=torch.Generator().manual_seed(0))
    >>> noise = torch.randn(900, 4, generator=torch.Generator().manual_seed(1))
    >>> low, high = bootstrap(x, x + noise).interval()
    >>> 0.4 < low < 0.5 < high < 0.6
    True
    """
    x, y = as_activations("source", source), as_activations("target", target)
    check_tokens({"source": len(x), "target": len(y)})
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"Expected source and target of one d_model but got {x.shape[1]} and {y.shape[1]}"
        )
    if draws < 1:
        raise ValueError(f"Expected at least 1 draw but got draws={draws!r}")
    rng = np.random.default_rng(seed)
    dealt = _deal(sequence_ids(len(x), sequence), blocks, rng)
    sums = _sum_blocks(x, y, dealt)
    whole = _Weighted.of(sums, torch.ones_like(sums.counts)[None])
    for name, variance in zip(("source", "target"), whole.variances, strict=True):
        if float(variance) <= 0:
            raise ValueError(f"Expected {name} to vary over tokens but all its tokens are equal")
    on_device = x.device.type != "cpu"
    rotation = polar_factor(whole.cross, fast=on_device)
    ev, distance = [], []
    at_once = max(1, AT_ONCE // (2 * x.shape[1] ** 2))
    weights = torch.from_numpy(_drawn(len(dealt), draws, rng)).to(x.device)
    for part in weights.split(at_once):
        fit = _Weighted.of(sums, part)
        left_out = _Weighted.of(sums, (part == 0).double())
        refitted = polar_factor(fit.cross, fast=on_device)
        ev.append(left_out.explained(refitted, fit))
        distance.append(torch.linalg.matrix_norm(refitted - rotation))
        done = sum(map(len, ev))
        progress(done / draws, f"{done} of {draws} refits")
    return Bootstrap(torch.cat(ev), torch.cat(distance))


def _deal(sequence: Int[Tensor, " token"], blocks: int, rng: np.random.Generator) -> list[Tensor]:
    """Deal whole sequences into blocks whose sizes differ by at most one sequence."""
    sequences = int(sequence.max()) + 1
    if blocks < 3 or sequences < 3:
        raise ValueError(
            f"Expected at least 3 blocks of at least 3 sequences but got blocks={blocks!r} and "
            f"{sequences} sequences"
        )
    count = min(blocks, sequences)
    block = torch.from_numpy(rng.permutation(sequences) % count)[sequence]
    return [(block == i).nonzero()[:, 0] for i in range(count)]


def _sum_blocks(x: Tensor, y: Tensor, dealt: list[Tensor]) -> _Blocks:
    sets = (x, y)
    tokens = [block.to(x.device) for block in dealt]
    origins = find_origins(sets, tokens[0])
    found = [add_up(sets, [(0, 1)], block, origins) for block in tokens]

    def stacked(values: Callable[[Sums], Tensor | float]) -> Tensor:
        return torch.stack(
            [torch.as_tensor(values(sums), dtype=torch.float64, device=x.device) for sums in found]
        )

    return _Blocks(
        stacked(lambda block: block.count),
        (stacked(lambda block: block.sums[0]), stacked(lambda block: block.sums[1])),
        (stacked(lambda block: block.squares[0]), stacked(lambda block: block.squares[1])),
        stacked(lambda block: block.products[0]),
    )


def _drawn(blocks: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Count how often each block is drawn; at least one is left out, to score on."""
    counts = rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=draws)
    while bool((full := (counts > 0).all(1)).any()):
        counts[full] = rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=int(full.sum()))
    return counts.astype(np.float64)
