"""The risk of a dictionary under an l1 penalty, and the path from a basis to a tiling.

"Subspace-aware sparse autoencoders" (arXiv 2606.06333) argues that the l1 objective leads away
from the true basis of a subspace, on a path along which its risk falls, to atoms that tile it.
Codes are nonnegative, as in a ReLU autoencoder, so a basis comes with its negatives.
"""

import torch
from jaxtyping import Float
from torch import Tensor

Points = Float[Tensor, "point dim"]
Atoms = Float[Tensor, "atom dim"]

STEPS = 200
"""Steps of the optimiser of codes."""
SPREADING = 300
"""Steps in which atoms are pushed apart."""


def l1_codes(points: Points, atoms: Atoms, l1: float) -> Float[Tensor, "point atom"]:
    """Minimise `||x - z A||^2 / 2 + l1 sum(z)` over codes `z >= 0` of every point `x`.

    By FISTA (Beck & Teboulle 2009, doi:10.1137/080716542), in the precision of the points.
    """
    gram, along = atoms @ atoms.mT, points @ atoms.mT
    length = 1 / torch.linalg.eigvalsh(gram)[-1]
    codes = ahead = torch.zeros_like(along)
    momentum = 1.0
    for _ in range(STEPS):
        new = (ahead - length * (ahead @ gram - along + l1)).clamp(min=0)
        grown = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = new + (momentum - 1) / grown * (new - codes)
        codes, momentum = new, grown
    return codes


def l1_risk(points: Points, atoms: Atoms, l1: float) -> float:
    """Average over points the minimum that `l1_codes` finds."""
    codes = l1_codes(points, atoms, l1)
    left = (points - codes @ atoms).square().sum(1) / 2
    return float((left + l1 * codes.sum(1)).mean())


def even_tiling(dim: int, pairs: int, seed: int) -> Atoms:
    """Spread unit vectors and their negatives evenly over the sphere, float64.

    They start at random and repel one another, by the power of the distance that spreads
    charges evenly, in steps of decreasing length.
    """
    generator = torch.Generator().manual_seed(seed)
    atoms = torch.randn(pairs, dim, generator=generator, dtype=torch.float64)
    atoms /= atoms.norm(dim=1, keepdim=True)
    for step in range(SPREADING if dim > 1 else 0):
        between = atoms[:, None] - torch.cat([atoms, -atoms])
        distance = between.norm(dim=2, keepdim=True)
        push = torch.where(distance > 0, between / distance.clamp(min=1e-6) ** dim, 0.0).sum(1)
        push -= (push * atoms).sum(1, keepdim=True) * atoms
        longest = push.norm(dim=1).max().clamp(min=1e-12)
        atoms = atoms + 0.1 * (1 - step / SPREADING) * push / longest
        atoms /= atoms.norm(dim=1, keepdim=True)
    return torch.cat([atoms, -atoms])


def nearest_axes(points: Points) -> Points:
    """Replace every point by the nearest axis or negative axis."""
    largest = points.abs().argmax(1, keepdim=True)
    return torch.zeros_like(points).scatter_(1, largest, points.gather(1, largest).sign())


def path_to_tiling(tiling: Atoms, steps: int) -> list[Float[Tensor, "_ dim"]]:
    """Move copies of a basis and its negatives to the atoms of a tiling, in equal steps.

    Every atom moves straight from the axis nearest to it, normalised on the way.

    Returns:
        `steps` + 1 dictionaries, from the basis to the tiling.
    """
    axes = torch.eye(tiling.shape[1], dtype=tiling.dtype)
    axes = torch.cat([axes, -axes])
    nearest = axes[(tiling @ axes.mT).argmax(1)]
    # Axes that no atom starts from keep one copy: the path starts at a whole basis.
    idle = axes[~(axes @ nearest.mT == 1).any(1)]
    path = []
    for share in torch.linspace(0, 1, steps + 1, dtype=tiling.dtype):
        moved = (1 - share) * nearest + share * tiling
        path.append(torch.cat([moved / moved.norm(dim=1, keepdim=True), idle]))
    return path
