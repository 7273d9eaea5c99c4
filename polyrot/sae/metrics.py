"""Explained variance, by its two definitions, and sparsity."""

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.sae.activations import GroupTopK, TopK
from polyrot.sae.model import SAE

Activations = Float[Tensor, "token d_model"]


def ev(reconstruction: Activations, x: Activations) -> float:
    """Explained variance about the mean of each dimension, in float64.

    `1 - sum (reconstruction - x)^2 / sum (x - mean of its dimension)^2`: the mean over
    tokens explains nothing.

    Args:
        reconstruction, x: `[token, d_model]`.

    Returns:
        1 for a perfect reconstruction, 0 for the mean, below 0 for worse than the mean; nan
        where `x` does not vary.

    >>> x = torch.tensor([[0.0, 10.0], [2.0, 12.0]])
    >>> ev(x.mean(0).expand(2, 2), x), ev(x, x)
    (0.0, 1.0)
    """
    r, x = reconstruction.double(), x.double()
    return float(1 - (r - x).square().sum() / (x - x.mean(0)).square().sum())


def ev_published(reconstruction: Activations, x: Activations) -> float:
    """Explained variance about one mean of all entries, as arXiv 2605.24577 computes it.

    `1 - mean (reconstruction - x)^2 / var(x)` with a single variance (n - 1) over every
    entry, so reproducing the differences between the dimensions' means counts as explaining.

    Args:
        reconstruction, x: `[token, d_model]`.

    >>> x = torch.tensor([[0.0, 10.0], [2.0, 12.0]])
    >>> round(ev_published(x.mean(0).expand(2, 2), x), 3)  # the mean, which `ev` calls 0
    0.971
    """
    r, x = reconstruction.double(), x.double()
    return float(1 - (r - x).square().mean() / x.var())


def reconstruct(sae: SAE, x: Activations) -> Activations:
    """Encode and decode tokens in bounded memory."""
    if isinstance(sae.activation, TopK | GroupTopK):
        return sae.decode_sparse(sae.encode_sparse(x))
    return torch.cat([sae.decode(sae.encode(chunk)) for chunk in x.split(8192)])


def squared_error(sae: SAE, x: Activations) -> float:
    """Sum the squared error of the reconstruction over dimensions; mean over tokens, float64."""
    left = x.double() - reconstruct(sae, x).double()
    return float(left.square().sum(1).mean())


def l0(sae: SAE, x: Activations) -> float:
    """Mean number of active features per token."""
    active = sum(int((sae.encode(chunk) != 0).sum()) for chunk in x.split(8192))
    return active / len(x)


def firing_correlation(sae: SAE, x: Activations, y: Activations) -> float:
    """Correlate every feature's activation on `x` with that on `y`, token by token.

    Pearson's r over the tokens, averaged over all features; one that is silent on either counts as
    0 (arXiv 2605.24577, released code).  Float64.
    """
    count, sums = len(x), torch.zeros(5, sae.features, dtype=torch.float64)
    # Small pieces stay in the processor's cache: twice as fast as large ones.
    for a, b in zip(x.split(512), y.split(512), strict=True):
        u, v = sae.encode(a).double(), sae.encode(b).double()
        sums += torch.stack([u.sum(0), v.sum(0), (u * u).sum(0), (v * v).sum(0), (u * v).sum(0)])
    mean_u, mean_v, uu, vv, uv = sums / count
    # A constant's variance is rounding error and does not count.
    varies_x, varies_y = (
        square - mean**2 > 1e-12 * square for square, mean in ((uu, mean_u), (vv, mean_v))
    )
    both = varies_x & varies_y
    r = torch.zeros_like(uu)
    r[both] = ((uv - mean_u * mean_v) / ((uu - mean_u**2) * (vv - mean_v**2)).sqrt())[both]
    return float(r.mean())
