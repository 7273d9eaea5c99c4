"""What the groups of a dictionary write, and how alike two dictionaries are group by group.

A group of a subspace-aware autoencoder has `rank` decoder rows (arXiv 2606.06333), and a feature
needs not all of them: rows that are never used, or are used together, span directions in which
nothing is written.  So groups are compared by what they write on tokens, and not by their rows.
Every other autoencoder's groups are its features, one row each.
"""

import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from polyrot.sae.model import SAE

Written = Float[Tensor, "group rank d_model"]
"""Of each group rows `F` such that `F'F` is the covariance, over tokens, of what it writes."""

Others = Float[Tensor, "other other_rank d_model"]
"""The same of a dictionary that may have more groups, or larger ones."""


def written(sae: SAE, x: Float[Tensor, "token d_model"]) -> Written:
    """Sum up what each group of a dictionary writes on tokens, as float64.

    On a token a group writes its features `[rank]` times its decoder rows `[rank, d_model]`, zero
    where it is off.  What it writes on every token alike is left out: that is part of the mean of
    the activations, which a shift carries and no rotation.

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


def energies(own: Written) -> Float[Tensor, " group"]:
    """Variance of what each group writes, summed over dimensions."""
    energy: Tensor = own.square().sum((1, 2))
    return energy


def overlaps(first: Written, second: Others) -> Float[Tensor, "group other"]:
    """Measure how alike what any two groups write is: the cosine of their covariances.

    `tr(A B) / sqrt(tr(A A) tr(B B))` of covariances `A` and `B`.  Of two directions it is their
    squared cosine; of two subspaces of one dimension, in all directions of which as much is
    written, the mean squared cosine of their principal angles.  A group that writes nothing is
    like none.

    >>> eye = torch.eye(4, dtype=torch.float64)
    >>> others = torch.stack([eye[:2], eye[1:3], eye[2:]])
    >>> overlaps(eye[None, :2], others).round(decimals=6).tolist()
    [[1.0, 0.5, 0.0]]
    """
    cross = first.flatten(0, 1) @ second.flatten(0, 1).mT
    blocks = cross.unflatten(0, first.shape[:2]).unflatten(2, second.shape[:2])
    norms = [(own @ own.mT).flatten(1).norm(dim=1) for own in (first, second)]
    scale = norms[0][:, None] * norms[1]
    shared = blocks.square().sum((1, 3))
    return torch.where(scale > 0, shared / scale.clamp(min=torch.finfo(scale.dtype).tiny), 0.0)


def matching(first: Written, second: Others) -> tuple[Int[Tensor, " group"], float]:
    """Assign to each group another of as many, and measure how alike they are then.

    The linear assignment that makes the mean overlap largest, in which a group counts for its
    share of what the first dictionary writes.

    Returns:
        the group of `second` for each of `first`, and that mean overlap.

    >>> eye = torch.eye(4, dtype=torch.float64)
    >>> partner, mean = matching(eye.view(2, 2, 4), eye.view(2, 2, 4).flip(0))
    >>> partner.tolist(), round(mean, 6)
    ([1, 0], 1.0)
    """
    if first.shape[0] != second.shape[0]:
        raise ValueError(
            f"Expected as many groups in both but got {first.shape[0]} and {second.shape[0]}; "
            "compare autoencoders of one recipe"
        )
    own = energies(first)
    if not float(own.sum()) > 0:
        raise ValueError("Expected a dictionary that writes something but got none; all is off")
    gains = overlaps(first, second) * (own / own.sum())[:, None]
    rows, partners = linear_sum_assignment(gains.cpu().numpy(), maximize=True)
    return torch.from_numpy(partners), float(gains[rows, partners].sum())


def axes(own: Float[Tensor, "rank d_model"], share: float = 0.9) -> Float[Tensor, "d_model _"]:
    """Find the fewest orthonormal directions that hold a share of what one group writes.

    As many as the learned rank of a group is in arXiv 2606.06333, of what it writes instead of
    its rows; none where it writes nothing.
    """
    _, sizes, directions = torch.linalg.svd(own, full_matrices=False)
    energy = sizes.square()
    before = energy.cumsum(0) - energy
    kept: Tensor = directions[(before < share * energy.sum()) & (energy > 0)]
    return kept.mT
