"""How a dictionary represents planted subspaces: the units that carry them, and their angles.

A unit is active as a whole: a group of a subspace-aware autoencoder, or one latent.
Protocols as in the released code of "Subspace-aware sparse autoencoders" (arXiv 2606.06333).
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.linalg import subspace_angles
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import squareform
from torch import Tensor

from polyrot.sae.groups import written
from polyrot.sae.model import SAE
from polyrot.tasks.subspaces import Tokens

ENERGY = 0.9
"""Share of the energy that counts as all of it, in the released code."""

GROUPS_TRIED = 24
"""Most groups of which the released code takes the union."""
NEGLIGIBLE = 1e-6
"""Singular values of a group, relative to the largest, that count as zero there."""

Basis = Float[Tensor, "_ d_model"]
"""Orthonormal rows, for one feature or for several one after the other."""
Spectrum = Float[Tensor, "*unit direction"]
Directions = Float[Tensor, "*unit direction d_model"]
"""For one unit, or for all."""


def energies_inside(
    sae: SAE, tokens: Tokens, bases: Sequence[Basis]
) -> Float[Tensor, "feature unit"]:
    """Measure the energy that each unit writes into each feature's subspace while it is active.

    Summed over tokens, float64.
    """
    size = sae.activation.rank
    codes = sae.encode(tokens.x).double()
    found = []
    for feature, basis in enumerate(bases):
        # [unit, token, column]: second moments give the energy that a unit writes anywhere.
        active = codes[tokens.on[:, feature]].unflatten(1, (-1, size)).movedim(1, 0)
        inside = (sae.W_dec.double() @ basis.double().mT).unflatten(0, (-1, size))
        found.append(((active.mT @ active) * (inside @ inside.mT)).sum((1, 2)))
    return torch.stack(found)


def carriers(energies: Float[Tensor, "feature unit"]) -> list[int]:
    """Count, for each feature, the fewest units that carry 90% of the energy written into it."""
    return [components(by_unit) for by_unit in energies]


def components(energy: Spectrum, share: float = ENERGY) -> int:
    """Count the fewest largest entries that add up to a share of the sum; 0 where that is 0."""
    total = float(energy.sum())
    if total <= 0:
        return 0
    largest = energy.sort(descending=True).values.cumsum(0)
    return int((largest < share * total).sum()) + 1


def effective_rank(energy: Spectrum) -> float:
    """Compute the exponential of the entropy of shares of energy.

    Roy & Vetterli 2007, doi:10.5281/zenodo.40298, of squared singular values.

    >>> effective_rank(torch.tensor([1.0, 1.0, 0.0]))
    2.0
    """
    shares = energy.double() / energy.double().sum()
    return round(float(torch.special.entr(shares).sum().exp()), 12)


def groups_to_span(
    groups: Float[Tensor, "group rank d_model"], basis: Basis, share: float = ENERGY
) -> int:
    """Count the groups whose rows together span a share of a feature's subspace.

    Groups are added from the one whose rows span most of it; at most `GROUPS_TRIED` are, and one
    more is counted where these do not span it.

    >>> groups_to_span(torch.eye(4)[:, None], torch.eye(4)[:2])
    2
    """
    _, sizes, spans = torch.linalg.svd(groups.double(), full_matrices=False)
    spans = spans * (sizes > NEGLIGIBLE * sizes[:, :1])[:, :, None]
    inside = (spans @ basis.double().mT).square().sum((1, 2))
    tried = inside.argsort(descending=True)[:GROUPS_TRIED].tolist()
    for count in range(1, len(tried) + 1):
        together = spans[tried[:count]].flatten(0, 1)
        _, sizes, union = torch.linalg.svd(together, full_matrices=False)
        union = union[sizes > NEGLIGIBLE * sizes[0]]
        if float((union @ basis.double().mT).square().sum()) >= share * len(basis):
            return count
    return len(tried) + 1


def principal(sae: SAE, x: Float[Tensor, "token d_model"]) -> tuple[Spectrum, Directions]:
    """Find the principal directions of what each unit writes, and the variance along them.

    Returns:
        `[unit, direction]`, largest first; and orthonormal `[unit, direction, d_model]`: one
        direction per latent of a unit.
    """
    _, sizes, directions = torch.linalg.svd(written(sae, x), full_matrices=False)
    return sizes.square(), directions


def match(
    directions: Directions, bases: Sequence[Basis], *, whole: bool = False
) -> Int[Tensor, " feature"]:
    """Assign a different unit to every feature, one that writes in its subspace.

    Maximises, by linear assignment, the sum of the shares of the features' subspaces that lie
    inside the units' first directions, their number being the feature's dimension; with
    `whole`, inside all of the units' directions.
    """
    shares = torch.stack(
        [
            (directions[:, : None if whole else len(basis)] @ basis.double().mT)
            .square()
            .sum((1, 2))
            / len(basis)
            for basis in bases
        ]
    )
    _, units = linear_sum_assignment(shares.numpy(), maximize=True)
    return torch.from_numpy(units)


def largest_angle(directions: Directions, basis: Basis) -> float:
    """Compute the largest principal angle between two subspaces of equal dimension, in degrees.

    Small angles are computed from their sines (Knyazev & Argentati 2002,
    doi:10.1137/S1064827500377332).  If the unit has fewer directions than the basis, the result
    is 90, because it leaves one out.
    """
    if len(directions) < len(basis):
        return 90.0
    first, second = directions[: len(basis)].double(), basis.double()
    return float(np.rad2deg(subspace_angles(first.mT.numpy(), second.mT.numpy()).max()))


def clustered(sae: SAE, clusters: int, x: Float[Tensor, "token d_model"]) -> Directions:
    """Form units from latents of similar direction: average linkage of `1 - |cosine|`.

    The nearest that a scalar autoencoder comes to groups without knowing which latents belong
    together.  Only the fewest latents that carry 90% of the energy are used: each of the others
    would form a separate cluster.

    Returns:
        Principal directions of what each cluster writes, `[cluster, d_model, d_model]`.
    """
    codes = sae.encode(x).double()
    norms = sae.W_dec.double().norm(dim=1)
    energy = codes.square().sum(0) * norms.square()
    used = energy.argsort(descending=True)[: components(energy)]
    rows = sae.W_dec[used].double() / norms[used, None]
    distance = (1 - (rows @ rows.mT).abs()).clamp(min=0).fill_diagonal_(0)
    tree = linkage(squareform(distance.numpy(), checks=False), "average")
    labels = torch.from_numpy(np.asarray(fcluster(tree, clusters, "maxclust")))
    found = []
    for label in range(1, int(labels.max()) + 1):
        members = used[labels == label]
        wrote = codes[:, members] @ sae.W_dec[members].double()
        found.append(torch.linalg.eigh(wrote.mT @ wrote)[1].mT.flip(0))
    return torch.stack(found)
