"""Rotations between all pairs of several activation sets, from one pass over the tokens."""

from collections.abc import Sequence
from itertools import combinations

import torch

from polyrot.linalg.checks import Array, as_activations, check_tokens
from polyrot.linalg.cross import cross_moments
from polyrot.linalg.procrustes import Alignment, Group, fit_parts, split_tokens
from polyrot.progress import Progress, silent

AT_ONCE = 2**22
"""Entries of the cross-covariances that are decomposed in one batch: 32 MiB."""


def align_pairs(
    activations: Sequence[Array],
    *,
    group: Group = "O",
    holdout: float = 0.25,
    sequence: Array | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[tuple[int, int], Alignment]:
    """Fit the rotation of every ordered pair of activation sets of the same tokens.

    The same as `align(activations[i], activations[j])` for every pair, in less time: each
    chunk of tokens is converted once for all pairs, and one product and one decomposition
    serve both directions of a pair.

    Args:
        activations: one array per seed, `[token, d_model]`, the same tokens in the same order.
        group: `"O"`, `"SO"` or `"scaled"`.
        holdout, sequence, seed: as for `align`.
        progress: receives the share of the pairs fitted, and their number.

    Returns:
        One alignment for every (source, target), positions in `activations`.

    Raises:
        TypeError: where an array is not of a floating type.
        ValueError: where token counts or dimensions differ, there are fewer than two sets,
            values are not finite, or one set does not vary.

    >>> sets = [torch.randn(300, 4, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    >>> sorted(align_pairs(sets))
    [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    """
    if len(activations) < 2:
        raise ValueError(f"Expected at least 2 activation sets but got {len(activations)}")
    if group not in ("O", "SO", "scaled"):
        raise ValueError(f"Expected group among 'O', 'SO', 'scaled' but got group={group!r}")
    sets = [as_activations(f"activations[{i}]", x) for i, x in enumerate(activations)]
    check_tokens({f"activations[{i}]": len(x) for i, x in enumerate(sets)})
    widths = [x.shape[1] for x in sets]
    if len(set(widths)) > 1:
        raise ValueError(f"Expected activations of one d_model but got {widths}")
    pairs = list(combinations(range(len(sets)), 2))
    parts = split_tokens(len(sets[0]), sequence, holdout, seed)
    moments = [cross_moments(sets, pairs, part.to(sets[0].device)) for part in parts]
    found: dict[tuple[int, int], Alignment] = {}
    at_once = max(1, AT_ONCE // sets[0].shape[1] ** 2)
    for first in range(0, len(pairs), at_once):
        batch = range(first, min(first + at_once, len(pairs)))
        decomposed = torch.linalg.svd(torch.stack([moments[0][i].cross for i in batch]))
        for i, u, s, vh in zip(batch, *decomposed, strict=True):
            (a, b), pair_moments = pairs[i], [part[i] for part in moments]
            found[a, b] = fit_parts(pair_moments, group, seed, (u, s, vh))
            swapped = [part.swap() for part in pair_moments]
            found[b, a] = fit_parts(swapped, group, seed, (vh.mT, s, u.mT))
        fitted = batch[-1] + 1
        progress(fitted / len(pairs), f"{fitted} of {len(pairs)} pairs")
    return found
