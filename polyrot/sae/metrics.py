"""Explained variance, by its two definitions, and sparsity."""

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.sae.model import SAE

Activations = Float[Tensor, "token d_model"]


def ev(reconstruction: Activations, x: Activations) -> float:
    """Explained variance about the mean of each dimension, in float64.

    1 - sum (reconstruction - x)^2 / sum (x - mean of its dimension)^2: the mean over
    tokens explains nothing.
    """
    r, x = reconstruction.double(), x.double()
    return float(1 - (r - x).square().sum() / (x - x.mean(0)).square().sum())


def ev_published(reconstruction: Activations, x: Activations) -> float:
    """Explained variance about one mean of all entries, as arXiv 2605.24577 computes it.

    1 - mean (reconstruction - x)^2 / var(x) with a single variance (n - 1) over every
    entry, so that reproducing the differences between the dimensions' means counts as
    explaining.
    """
    r, x = reconstruction.double(), x.double()
    return float(1 - (r - x).square().mean() / x.var())


def reconstruct(sae: SAE, x: Activations) -> Activations:
    """Encode and decode tokens in bounded memory."""
    return torch.cat([sae.decode(sae.encode(chunk)) for chunk in x.split(8192)])


def l0(sae: SAE, x: Activations) -> float:
    """Mean number of active features per token."""
    active = sum(int((sae.encode(chunk) > 0).sum()) for chunk in x.split(8192))
    return active / len(x)
