"""Covering numbers: the fewest atoms of which a few at a time come near every point.

"Subspace-aware sparse autoencoders" (arXiv 2606.06333, Definition 2 in the released code): the
least number of atoms such that every unit vector of a subspace is within `error` of the span of
at most `k` of them.  From above it is bounded by a greedy choice of atoms for a sample of points,
with orthogonal matching pursuit for the span (Pati, Rezaiifar & Krishnaprasad 1993,
doi:10.1109/ACSSC.1993.342465); from below by the share of the sphere that a span can cover.
"""

import math

import torch
from jaxtyping import Bool, Float
from scipy.special import betainc
from torch import Tensor

CANDIDATES = 128
"""Number of points tried as the next atom."""
NEGLIGIBLE = 1e-9
"""Norm below which the residual of an atom is rounding error."""

Points = Float[Tensor, "point dim"]
Spans = Float[Tensor, "point k dim"]


def covering_number(
    points: Points, error: float, k: int, seed: int, *, cap: int | None = None
) -> int:
    """Count the atoms that a greedy choice needs: see `greedy_atoms`."""
    return len(greedy_atoms(points, error, k, seed, cap=cap))


def greedy_atoms(
    points: Points, error: float, k: int, seed: int, *, cap: int | None = None
) -> Float[Tensor, "atom dim"]:
    """Choose atoms until every point is within `error` of the span of at most `k` of them.

    Each atom is the one, of `CANDIDATES` uncovered points, that covers most of the others.  Fewer
    atoms may be enough, so the number is an upper bound for these points; they must far outnumber
    the atoms, because the points between them count too.

    Args:
        points: unit vectors, float64.
        error: largest norm of a point's residual.
        k: number of atoms in a span.
        seed: seed of the candidates.
        cap: number of atoms at which to stop.
    """
    if not 0 < error < 1 or k < 1:
        raise ValueError(f"Expected 0 < error < 1 and k >= 1 but got error={error} and k={k}")
    generator = torch.Generator().manual_seed(seed)
    atoms, left = points[:0], points
    while len(left) and (cap is None or len(atoms) < cap):
        tried = left[torch.randperm(len(left), generator=generator)[:CANDIDATES]]
        covered = _covered_with(left, atoms, tried, error, k)
        best = int(covered.sum(0).argmax())
        atoms = torch.cat([atoms, tried[best : best + 1]])
        now = covered[:, best]
        if k > 1:  # the new atom may be the first of a span, not only the last
            now |= pursue(left, atoms, k)[0].square().sum(1) <= error**2
        left = left[~now]
    return atoms


def atoms_of_dictionary(
    points: Points, atoms: Float[Tensor, "atom dim"], error: float, k: int, *, cap: int
) -> int:
    """Count the atoms of a dictionary that a greedy choice needs, as the released code does.

    Each atom is the one with the largest sum of squared inner products with the points that are
    not covered yet, where a point has the norm of its residual.

    Returns:
        The number of atoms; `cap` if these do not cover every point.
    """
    unused = torch.ones(len(atoms), dtype=torch.bool)
    chosen, residuals = atoms[:0], points.norm(dim=1)
    left = torch.ones(len(points), dtype=torch.bool)
    while bool(left.any()) and len(chosen) < min(cap, len(atoms)):
        gains = ((points[left] * residuals[left, None]) @ atoms.mT).square().sum(0)
        best = int(torch.where(unused, gains, -1.0).argmax())
        unused[best] = False
        chosen = torch.cat([chosen, atoms[best : best + 1]])
        residuals = pursue(points, chosen, k)[0].norm(dim=1)
        left = residuals > error
    return cap if bool(left.any()) else len(chosen)


def nearest_atoms(
    atoms: Float[Tensor, "atom d_model"], basis: Float[Tensor, "dim d_model"], count: int
) -> Float[Tensor, "near d_model"]:
    """Return the atoms with the largest parts inside a subspace."""
    inside = (atoms @ basis.mT).square().sum(1)
    return atoms[inside.argsort(descending=True)[:count]]


def groups_of_dictionary(
    points: Points, groups: Float[Tensor, "group rank dim"], error: float
) -> int:
    """Count the groups that a greedy choice needs until every point is near the span of one.

    Raises:
        ValueError: where some point is near none of the spans.
    """
    spans = torch.linalg.svd(groups, full_matrices=False).Vh
    inside = torch.einsum("pd,grd->pgr", points, spans).square().sum(2)
    near = 1 - inside <= error**2
    count, left = 0, torch.ones(len(points), dtype=torch.bool)
    while bool(left.any()):
        covered = near & left[:, None]
        best = int(covered.sum(0).argmax())
        if not bool(covered[:, best].any()):
            raise ValueError("Expected groups that come near every point but some are near none")
        left &= ~covered[:, best]
        count += 1
    return count


def pursue(points: Points, atoms: Float[Tensor, "atom dim"], k: int) -> tuple[Points, Spans]:
    """Find the residual of each point after at most `k` atoms, by orthogonal matching pursuit.

    Returns:
        The residuals; and orthonormal bases of the spans, with rows of zeros where fewer atoms
        leave no residual.
    """
    rest = points
    spans = points.new_zeros(len(points), k, points.shape[1])
    for step in range(min(k, len(atoms))):
        chosen = atoms[(rest @ atoms.mT).abs().argmax(1)]
        along = torch.einsum("pkd,pd->pk", spans, chosen)
        new = chosen - torch.einsum("pk,pkd->pd", along, spans)
        norms = new.norm(dim=1, keepdim=True)
        new = torch.where(norms > NEGLIGIBLE, new / norms.clamp(min=NEGLIGIBLE), 0.0)
        spans[:, step] = new
        rest = rest - (rest * new).sum(1, keepdim=True) * new
    return rest, spans


def least_covering_number(dim: int, error: float, k: int) -> int:
    """Bound the covering number of the unit sphere from below.

    With fewer atoms than dimensions some unit vector is orthogonal to all.  And the span of k
    atoms comes within `error` of a share `I(error^2; (dim - k) / 2, k / 2)` of the sphere, the
    regularised incomplete beta function; the sets of k of N atoms must add up to at least 1.
    """
    if dim <= k:
        return dim
    share = float(betainc((dim - k) / 2, k / 2, error**2))
    atoms = max(dim, k)
    while math.comb(atoms, k) * share < 1:
        atoms += 1
    return atoms


def _covered_with(
    points: Points,
    atoms: Float[Tensor, "atom dim"],
    tried: Float[Tensor, "tried dim"],
    error: float,
    k: int,
) -> Bool[Tensor, "point tried"]:
    """Return whether each point is covered by k - 1 of the atoms and each of the tried points."""
    rest, spans = pursue(points, atoms, k - 1)
    within = torch.einsum("pkd,cd->pkc", spans, tried).square().sum(1)
    along = (rest @ tried.mT).square() / (1 - within).clamp(min=NEGLIGIBLE)
    return rest.square().sum(1, keepdim=True) - along <= error**2
