"""What the groups of a dictionary write, and the similarity of two dictionaries by group.

A group of a subspace-aware autoencoder has `rank` decoder rows (arXiv 2606.06333), not all of which
a feature needs: rows that are never used, or always used together, span directions in which nothing
is written.  So groups are compared by what they write on tokens, not by their rows.  The groups of
every other autoencoder are its features, one row each.
"""

import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from polyrot.sae.model import SAE

Written = Float[Tensor, "group rank d_model"]
"""For each group, rows `F` such that `F'F` is the covariance, over tokens, of what it writes."""

Others = Float[Tensor, "other other_rank d_model"]
"""The same for a dictionary that may have more groups, or larger ones."""


def written(sae: SAE, x: Float[Tensor, "token d_model"]) -> Written:
    """Summarise what each group of a dictionary writes on tokens, as float64.

    On a token a group writes its features `[rank]` times its decoder rows `[rank, d_model]`, zero
    where it is inactive.  Its mean over tokens is left out: this is part of the mean of the
    activations, which a shift carries, not a rotation.

    >>> sae = SAE(torch.eye(2), torch.zeros(2), torch.eye(2), torch.zeros(2))
    >>> written(sae, torch.tensor([[3.0, 2.0], [1.0, 2.0]])).tolist()
    [[[1.0, 0.0]], [[0.0, 0.0]]]
    """
    rank = sae.activation.rank
    shape = (sae.features // rank, rank)
    means = torch.zeros(shape, dtype=torch.float64, device=x.device)
    moments = torch.zeros(*shape, rank, dtype=torch.float64, device=x.device)
    for chunk in x.split(8192):
        features = sae.encode(chunk).double().unflatten(1, shape)
        means += features.sum(0) / len(x)
        moments += torch.einsum("tgi,tgj->gij", features, features) / len(x)
    values, vectors = torch.linalg.eigh(moments - means[:, :, None] * means[:, None])
    roots = values.clamp(min=0).sqrt()[:, :, None] * vectors.mT
    rows: Tensor = roots @ sae.W_dec.double().unflatten(0, shape)
    return rows


def energies(rows: Written) -> Float[Tensor, " group"]:
    """Variance of what each group writes, summed over dimensions."""
    energy: Tensor = rows.square().sum((1, 2))
    return energy


def overlaps(first: Written, second: Others) -> Float[Tensor, "group other"]:
    """Measure the similarity of what any two groups write: the cosine of their covariances.

    `tr(A B) / sqrt(tr(A A) tr(B B))` of covariances `A` and `B`.  For two directions it is their
    squared cosine; for two subspaces of equal dimension, with equal variance in all directions,
    the mean squared cosine of their principal angles.  For a group that writes nothing it is 0.

    >>> eye = torch.eye(4, dtype=torch.float64)
    >>> others = torch.stack([eye[:2], eye[1:3], eye[2:]])
    >>> overlaps(eye[None, :2], others).round(decimals=6).tolist()
    [[1.0, 0.5, 0.0]]
    """
    cross = first.flatten(0, 1) @ second.flatten(0, 1).mT
    blocks = cross.unflatten(0, first.shape[:2]).unflatten(2, second.shape[:2])
    norms = [(rows @ rows.mT).flatten(1).norm(dim=1) for rows in (first, second)]
    scale = norms[0][:, None] * norms[1]
    shared = blocks.square().sum((1, 3))
    return torch.where(scale > 0, shared / scale.clamp(min=torch.finfo(scale.dtype).tiny), 0.0)


def matching(first: Written, second: Others) -> tuple[Int[Tensor, " group"], float]:
    """Match the groups of two dictionaries one to one, and measure their mean overlap.

    The linear assignment with the largest mean overlap, in which a group is weighted by its
    share of the variance that the first dictionary writes.

    Returns:
        The group of `second` for each of `first`, and that mean overlap.

    >>> eye = torch.eye(4, dtype=torch.float64)
    >>> partner, mean = matching(eye.view(2, 2, 4), eye.view(2, 2, 4).flip(0))
    >>> partner.tolist(), round(mean, 6)
    ([1, 0], 1.0)
    """
    if first.shape[0] != second.shape[0]:
        raise ValueError(
            f"Expected equally many groups in both but got {first.shape[0]} and {second.shape[0]}; "
            "compare autoencoders of one recipe"
        )
    energy = energies(first)
    if not float(energy.sum()) > 0:
        raise ValueError("Expected a dictionary that writes something but all its groups are off")
    gains = overlaps(first, second) * (energy / energy.sum())[:, None]
    rows, partners = linear_sum_assignment(gains.cpu().numpy(), maximize=True)
    return torch.from_numpy(partners), float(gains[rows, partners].sum())


def axes(rows: Float[Tensor, "rank d_model"], share: float = 0.9) -> Float[Tensor, "d_model _"]:
    """Find the fewest orthonormal directions that hold a share of the variance of one group.

    Their number is the learned rank of a group in arXiv 2606.06333, but computed from what it
    writes instead of its rows; 0 if it writes nothing.
    """
    _, sizes, directions = torch.linalg.svd(rows, full_matrices=False)
    energy = sizes.square()
    before = energy.cumsum(0) - energy
    kept: Tensor = directions[(before < share * energy.sum()) & (energy > 0)]
    return kept.mT
