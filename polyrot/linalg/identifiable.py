"""The directions of a cross-covariance that the data determine, and a random map of the others."""

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.linalg.moments import Moments
from polyrot.linalg.polar import polar_factor

NULL_DRAWS = 39
NULL_NUMBERS = 2**24
"""Numbers of the null held in memory at a time: 128 MiB, and at least one draw."""


def identifiable_rank(moments: Moments, seed: int) -> int:
    """Count leading singular values above those of `NULL_DRAWS` shuffled pairings.

    Horn's parallel analysis (1965, doi:10.1007/BF02289447): the i-th value is compared with
    the largest i-th value of any shuffle, up to the first that fails.  Under a random pairing
    of tokens the cross-covariance is asymptotically Gaussian with covariance source (x)
    target / count (the permutation central limit theorem), so a shuffle is drawn from the
    moments, in O(d^3) whatever the number of tokens.
    """
    root_x, root_y = _square_root(moments.source), _square_root(moments.target)
    generator = torch.Generator().manual_seed(seed)
    s = torch.linalg.svdvals(moments.cross)
    d = len(s)
    highest = torch.zeros_like(s)
    at_once = max(1, NULL_NUMBERS // d**2)
    for first in range(0, NULL_DRAWS, at_once):
        count = min(at_once, NULL_DRAWS - first)
        noise = torch.randn(count, d, d, generator=generator, dtype=torch.float64).to(s.device)
        shuffled = root_x @ noise @ root_y / max(1, moments.count - 1) ** 0.5
        highest = torch.maximum(highest, torch.linalg.svdvals(shuffled).amax(0))
    rounding = 8 * d * torch.finfo(s.dtype).eps * s[0]
    above = s > highest.clamp(min=rounding)
    return int(above.long().cumprod(0).sum())


def turn_undetermined(
    u: Float[Tensor, "d d"], s: Float[Tensor, " d"], vh: Float[Tensor, "d d"], seed: int
) -> Float[Tensor, "d d"]:
    """Replace the columns of u that rounding alone chose; with vh they form a random map.

    Where singular values are zero, up to the error of the decomposition, every orthogonal
    map between the two null spaces fits equally well, and the one that a decomposition
    returns differs between machines.  Here it is drawn from the Haar measure on these maps:
    the polar factor of a Gaussian matrix, from `seed`, between the two spaces.  It depends on
    the spaces but not on their bases, and hence not on rounding; a Haar rotation stays Haar.

    >>> u, s, vh = torch.linalg.svd(torch.diag(torch.tensor([2.0, 0.0], dtype=torch.float64)))
    >>> signs = [float((turn_undetermined(u, s, vh, i) @ vh)[1, 1]) for i in range(6)]
    >>> set(signs) == {-1.0, 1.0}
    True
    """
    d = len(s)
    null = s <= d * torch.finfo(s.dtype).eps * s[0]
    if not bool(null.any()):
        return u
    generator = torch.Generator().manual_seed(seed)
    gaussian = torch.randn(d, d, generator=generator, dtype=s.dtype).to(s.device)
    turned = u.clone()
    turned[:, null] = u[:, null] @ polar_factor(u[:, null].mT @ gaussian @ vh[null].mT)
    return turned


def _square_root(covariance: Float[Tensor, "d d"]) -> Float[Tensor, "d d"]:
    values, vectors = torch.linalg.eigh(covariance)
    root: Tensor = vectors * values.clamp(min=0).sqrt() @ vectors.mT
    return root
