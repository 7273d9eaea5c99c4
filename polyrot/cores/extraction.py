"""Algorithmic core extraction: the directions that are both driven and read.

arXiv 2602.22600, released code: balanced truncation (Moore 1981, doi:10.1109/TAC.1981.1102568;
square-root form: Laub et al. 1987, doi:10.1109/TAC.1987.1104549) of the reachability Gramian
against the observability Gramian.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.cores.gramians import Gramian, Tail, observability, reachability

ENERGY = 0.99
SAMPLES = 1_000


@dataclass(frozen=True)
class Core:
    """Directions of a layer, the most important first, and the rank of the core."""

    directions: Float[Tensor, "d_model d_model"]
    """Orthonormal columns, float64.  Of those with a weight, the first r span the r directions of
    balanced truncation; the others are principal axes of the orthogonal complement."""
    weights: Float[Tensor, " direction"]
    """Squared Hankel singular values, falling; only those that are not numerically zero."""
    rank: int
    """Rank of the core: the fewest directions whose weights reach the requested energy."""
    mean: Float[Tensor, " d_model"]
    """Mean of the activations; zero if the Gramians were given."""

    def basis(self, rank: int | None = None) -> Float[Tensor, "d_model rank"]:
        """Return the first `rank` directions, by default those of the core."""
        return self.directions[:, : self.rank if rank is None else rank]

    def coordinates(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch rank"]:
        """Express activations in the core, about the mean."""
        return (x.double() - self.mean) @ self.basis()

    def at(self, rank: int) -> "Core":
        """Return the same core with another rank."""
        if not 0 < rank <= len(self.directions):
            raise ValueError(
                f"Expected rank between 1 and {len(self.directions)} but got rank={rank}"
            )
        return replace(self, rank=rank)


def extract(
    activations: Float[Tensor, "token d_model"],
    tail: Tail,
    *,
    energy: float = ENERGY,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Core:
    """Extract a layer's core: the directions its activations reach and the rest reads.

    Args:
        activations: of the layer; more tokens give a better covariance.
        tail: the rest of the model, from states `[row, d_model]` to outputs `[row, output]`;
            differentiable, and independent between rows.
        energy: share of the sum of squared Hankel singular values that the core must hold.
        samples: number of activations at which the Jacobians are taken.
        seed: seed of the choice of these activations.

    Raises:
        ValueError: where activations do not vary, or the tail does not read what varies.

    Notes:
        A linear tail has the same Jacobian everywhere, which bounds the rank by the number of
        outputs: a rank at this bound is not a finding.

    >>> import torch
    >>> x = torch.randn(400, 6, generator=torch.Generator().manual_seed(0))
    >>> extract(x, lambda h: torch.tanh(h @ torch.eye(6)[:, :1])).rank
    1
    """
    reached = reachability(activations)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(activations), generator=generator)[:samples]
    read = observability(tail, activations[chosen.to(activations.device)])
    core = core_of(reached, read, energy=energy)
    return replace(core, mean=activations.double().mean(0))


def core_of(reachability: Gramian, observability: Gramian, *, energy: float = ENERGY) -> Core:
    """Balance two Gramians and truncate.

    Args:
        reachability: symmetric and positive semi-definite.
        observability: likewise.
        energy: as for `extract`.

    Raises:
        ValueError: where a matrix is not a Gramian or is zero, or the two share no direction.

    Notes:
        The released code adds 1e-8 of the mean eigenvalue to both diagonals.  Here the Gramians
        are factored as given, so directions that the tail does not read have no weight.
    """
    if not 0 < energy <= 1:
        raise ValueError(f"Expected energy in (0, 1] but got energy={energy!r}")
    reached, read = (
        _root("reachability", reachability.double(), "the activations do not vary"),
        _root("observability", observability.double(), "the tail does not depend on the states"),
    )
    if reached.shape != read.shape:
        raise ValueError(
            f"Expected both Gramians of one shape but got {list(reached.shape)} and "
            f"{list(read.shape)}"
        )
    left, singular, _ = torch.linalg.svd(reached.mT @ read)
    scale = float(torch.linalg.matrix_norm(reached, 2) * torch.linalg.matrix_norm(read, 2))
    count = int((singular > len(reached) * torch.finfo(torch.float64).eps * scale).sum())
    if count == 0:
        raise ValueError(
            "Expected reachability and observability to share a direction but the tail reads "
            "no direction that varies; is it the tail of this layer?"
        )
    weights = singular[:count].square()
    shares = weights.cumsum(0) / weights.sum()
    # Rounding may leave the sum of all shares below an energy of 1.
    rank = min(int((shares < energy).sum()) + 1, count)
    return Core(
        directions=_completed(reached @ left[:, :count], reachability.double()),
        weights=weights,
        rank=rank,
        mean=torch.zeros(len(reached), dtype=torch.float64, device=reached.device),
    )


def _root(name: str, gramian: Gramian, otherwise: str) -> Gramian:
    """Factor a Gramian into L L'."""
    if gramian.ndim != 2 or gramian.shape[0] != gramian.shape[1]:
        raise ValueError(f"Expected {name} to be square but got shape {list(gramian.shape)}")
    if not gramian.isfinite().all():
        raise ValueError(f"Expected {name} to be finite but some of it is not")
    largest = float(gramian.abs().max())
    if largest == 0:
        raise ValueError(f"Expected {name} to be nonzero: {otherwise}")
    if float((gramian - gramian.mT).abs().max()) > 1e-8 * largest:
        raise ValueError(f"Expected {name} to be symmetric but it is not")
    values, vectors = torch.linalg.eigh((gramian + gramian.mT) / 2)
    if float(values[0]) < -1e-8 * largest * len(gramian):
        raise ValueError(
            f"Expected {name} to be positive semi-definite but its lowest eigenvalue is "
            f"{float(values[0]):.3g}"
        )
    # The rounding error of a zero would grow by eight orders of magnitude in the root.
    zero = values <= len(gramian) * torch.finfo(torch.float64).eps * values[-1]
    root: Tensor = vectors * values.masked_fill(zero, 0).sqrt()
    return root


def _completed(
    balanced: Float[Tensor, "d_model direction"], reached: Gramian
) -> Float[Tensor, "d_model d_model"]:
    """Orthonormalise columns in order, and append principal axes of their complement."""
    scaled = balanced / balanced.norm(dim=0)  # columns differ by many orders of magnitude
    basis: Tensor = torch.linalg.qr(scaled).Q
    d, count = basis.shape
    if count == d:
        return basis
    rest = torch.linalg.qr(basis, mode="complete").Q[:, count:]
    _, axes = torch.linalg.eigh(rest.mT @ reached @ rest)
    return torch.cat([basis, rest @ axes.flip(1)], dim=1)
