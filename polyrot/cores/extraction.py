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
    """Directions of a layer, the most important first, and how many of them make the core."""

    directions: Float[Tensor, "d_model d_model"]
    """Orthonormal columns, float64.  Of those that count (`weights`), the first r span the r
    directions of balanced truncation; the others are principal axes of what is left."""
    weights: Float[Tensor, " direction"]
    """Squared Hankel singular values, falling; only those that are not numerically zero."""
    rank: int
    """Directions of the core: the fewest whose weights sum to the energy asked for."""
    mean: Float[Tensor, " d_model"]
    """Of the activations; zero where the Gramians were given."""

    def basis(self, rank: int | None = None) -> Float[Tensor, "d_model rank"]:
        """The first directions: those of the core, or as many as asked for."""
        return self.directions[:, : self.rank if rank is None else rank]

    def coordinates(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch rank"]:
        """Express activations in the core, about the mean."""
        return (x.double() - self.mean) @ self.basis()

    def at(self, rank: int) -> "Core":
        """The same with another number of directions."""
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
    """Extract the core of a layer: what its activations reach and the rest of the model reads.

    Args:
        activations: of the layer; the more, the better the covariance.
        tail: the rest of the model, from states `[row, d_model]` to outputs `[row, output]`;
            differentiable, and each row by itself.
        energy: share of the sum of squared Hankel singular values that the core must hold.
        samples: how many of the activations the Jacobians are taken at.
        seed: of the choice among them.

    Raises:
        ValueError: where activations do not vary, or the tail does not read what varies.

    Notes:
        Of a linear tail every Jacobian is the same, and a rank above the number of outputs is
        impossible: such a rank is no finding.

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
        ValueError: where a Gramian is none, is zero, or the two have nothing in common.

    Notes:
        The released code adds 1e-8 of the mean eigenvalue to both diagonals; here the roots are
        of semi-definite matrices as they are, so that what nothing reads has no weight at all.
    """
    if not 0 < energy <= 1:
        raise ValueError(f"Expected energy in (0, 1] but got energy={energy!r}")
    reached, read = (
        _root("reachability", reachability.double(), "the activations do not vary"),
        _root("observability", observability.double(), "the tail does not hang on the states"),
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
            "nothing of what varies; is it the tail of this layer?"
        )
    weights = singular[:count].square()
    shares = weights.cumsum(0) / weights.sum()
    # A share of 1 that rounding left below it is reached by the last direction.
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
        raise ValueError(f"Expected {name} to be other than zero: {otherwise}")
    if float((gramian - gramian.mT).abs().max()) > 1e-8 * largest:
        raise ValueError(f"Expected {name} to be symmetric but it is not")
    values, vectors = torch.linalg.eigh((gramian + gramian.mT) / 2)
    if float(values[0]) < -1e-8 * largest * len(gramian):
        raise ValueError(
            f"Expected {name} to be positive semi-definite but its lowest eigenvalue is "
            f"{float(values[0]):.3g}"
        )
    # What rounding leaves of a zero would be eight orders of magnitude larger in the root.
    zero = values <= len(gramian) * torch.finfo(torch.float64).eps * values[-1]
    root: Tensor = vectors * values.masked_fill(zero, 0).sqrt()
    return root


def _completed(
    balanced: Float[Tensor, "d_model direction"], reached: Gramian
) -> Float[Tensor, "d_model d_model"]:
    """Make columns orthonormal, in their order, and add principal axes of what they leave."""
    scaled = balanced / balanced.norm(dim=0)  # columns differ by many orders of magnitude
    own: Tensor = torch.linalg.qr(scaled).Q
    d, count = own.shape
    if count == d:
        return own
    rest = torch.linalg.qr(own, mode="complete").Q[:, count:]
    _, axes = torch.linalg.eigh(rest.mT @ reached @ rest)
    return torch.cat([own, rest @ axes.flip(1)], dim=1)
