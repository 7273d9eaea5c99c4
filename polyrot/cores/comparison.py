"""Similarity of cores: as subspaces of one space, and as coordinates on the same tokens."""

import math
from collections.abc import Sequence
from itertools import combinations

import torch
from jaxtyping import Float
from torch import Tensor

Basis = Float[Tensor, "d_model _"]
"""Orthonormal columns; two cores may differ in rank."""
Coordinates = Float[Tensor, "token _"]


def principal_angles(first: Basis, second: Basis) -> Float[Tensor, " angle"]:
    """Measure the principal angles between two subspaces, in degrees, ascending.

    Björck & Golub 1973 (doi:10.1090/S0025-5718-1973-0348991-3): small angles are computed from
    sines, because their cosines round to 1.

    >>> import torch
    >>> eye = torch.eye(3)
    >>> principal_angles(eye[:, :2], eye[:, 1:]).round().tolist()
    [0.0, 90.0]
    """
    a, b = first.double(), second.double()
    if a.shape[1] > b.shape[1]:
        a, b = b, a
    cosines = torch.linalg.svdvals(a.mT @ b)
    # From a separate SVD: where several cosines round to 1, their singular vectors are arbitrary.
    sines = torch.linalg.svdvals(a - b @ (b.mT @ a)).flip(0)
    angles: Tensor = torch.rad2deg(torch.atan2(sines, cosines))
    return angles


def overlap(first: Basis, second: Basis) -> float:
    """Measure the overlap of two projectors: `||A'B||_F^2 / sqrt(rank A rank B)`.

    1 for a subspace and itself; `random_overlap` is the mean for independent random subspaces.

    >>> import torch
    >>> overlap(torch.eye(4)[:, :2], torch.eye(4)[:, 1:3])
    0.5
    """
    product = first.double().mT @ second.double()
    return float(product.square().sum() / math.sqrt(first.shape[1] * second.shape[1]))


def random_overlap(d_model: int, first_rank: int, second_rank: int) -> float:
    """Return the mean overlap of independent random subspaces: `sqrt(rank A rank B) / d`.

    >>> random_overlap(64, 3, 3)
    0.046875
    """
    return math.sqrt(first_rank * second_rank) / d_model


def random_overlaps(
    d_model: int, ranks: Sequence[int], draws: int, *, seed: int
) -> Float[Tensor, " draw"]:
    """Draw independent random subspaces of R^d, and average the overlap over their pairs."""
    generator = torch.Generator().manual_seed(seed)
    bases: list[Tensor] = [
        torch.linalg.qr(torch.randn(draws, d_model, rank, generator=generator).double()).Q
        for rank in ranks
    ]
    pairs = list(combinations(bases, 2))
    total = torch.zeros(draws, dtype=torch.float64)
    for a, b in pairs:
        total += (a.mT @ b).square().sum((1, 2)) / math.sqrt(a.shape[2] * b.shape[2])
    return total / len(pairs)


def canonical_correlations(first: Coordinates, second: Coordinates) -> Float[Tensor, " direction"]:
    """Measure the canonical correlations of two coordinate sets on the same tokens, descending.

    Hotelling 1936 (doi:10.1093/biomet/28.3-4.321), from orthonormal bases of the centred columns
    (Björck & Golub); directions that do not vary are dropped.

    Raises:
        ValueError: where the numbers of tokens differ or are too small.
    """
    if len(first) != len(second):
        raise ValueError(
            f"Expected coordinates of the same tokens but got {len(first)} and {len(second)}"
        )
    a, b = (_orthonormal(x) for x in (first, second))
    if len(first) <= a.shape[1] + b.shape[1]:
        raise ValueError(
            f"Expected more than {a.shape[1] + b.shape[1]} tokens, because with fewer some "
            f"correlation is always 1, but got {len(first)}"
        )
    correlations: Tensor = torch.linalg.svdvals(a.mT @ b)
    return correlations.clamp(max=1)


def consensus(
    sets: Sequence[Coordinates], *, rank: int
) -> tuple[Float[Tensor, "token rank"], list[float]]:
    """Find the coordinates that all sets have in common: generalised canonical correlations.

    Maximises the sum of the squared multiple correlations with the sets (Carroll 1968, MAXVAR;
    Kettenring 1971, doi:10.1093/biomet/58.3.433).

    Returns:
        The consensus, orthonormal and centred, and the share of it that each set explains (R2,
        at most 1).

    Raises:
        ValueError: where the numbers of tokens differ, or the sets have fewer than `rank`
            directions.
    """
    tokens = [len(x) for x in sets]
    if len(set(tokens)) != 1:
        raise ValueError(f"Expected coordinates of the same tokens but got {tokens}")
    bases = [_orthonormal(x) for x in sets]
    left, _, _ = torch.linalg.svd(torch.cat(bases, dim=1), full_matrices=False)
    if not 0 < rank <= left.shape[1]:
        raise ValueError(f"Expected rank between 1 and {left.shape[1]} but got rank={rank}")
    shared = left[:, :rank]
    return shared, [float((basis.mT @ shared).square().sum() / rank) for basis in bases]


def _orthonormal(x: Coordinates) -> Float[Tensor, "token direction"]:
    """Span the centred columns, without those that do not vary."""
    centred = x.double() - x.double()[0]  # so constant columns leave no rounding error
    centred = centred - centred.mean(0)
    left, singular, _ = torch.linalg.svd(centred, full_matrices=False)
    if not float(singular[0]) > 0:
        raise ValueError("Expected coordinates that vary over tokens but they do not")
    varying: Tensor = left[:, singular > 1e-10 * singular[0]]
    return varying
