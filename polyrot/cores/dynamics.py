"""Dynamics in a core: the linear map from one position's coordinates to the next one's."""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor


@dataclass(frozen=True)
class Dynamics:
    """The least-squares map of one position's coordinates to the next one's."""

    operator: Float[Tensor, "rank rank"]
    """`z[t] @ operator` is nearest to `z[t + 1]`."""
    r2: float
    """Share of the next coordinates' variance that it explains, averaged over coordinates that
    were whitened: no scale of the core decides."""

    @property
    def eigenvalues(self) -> Complex[Tensor, " rank"]:
        """Of the operator, the largest real part first, then the largest imaginary part."""
        values: Tensor = torch.linalg.eigvals(self.operator)
        order = sorted(
            range(len(values)), key=lambda i: (-values[i].real.item(), -values[i].imag.item())
        )
        return values[order]


def fit_dynamics(coordinates: Float[Tensor, "sequence position rank"]) -> Dynamics:
    """Fit the map from each position's coordinates to the next one's, by least squares.

    Both sides are centred about one mean; whitened first, which changes neither the eigenvalues
    nor what can be explained, and makes every direction count alike (arXiv 2602.22600 fits
    unwhitened; the eigenvalues are the same).

    Raises:
        ValueError: where there are fewer than two positions, or coordinates that do not vary.
    """
    if coordinates.ndim != 3 or coordinates.shape[1] < 2:
        raise ValueError(
            "Expected coordinates of shape [sequence, position, rank] with two positions or more "
            f"but got {list(coordinates.shape)}"
        )
    z = coordinates.double()
    z = z - z.mean((0, 1))
    now, then = z[:, :-1].flatten(0, 1), z[:, 1:].flatten(0, 1)
    values, vectors = torch.linalg.eigh(z.flatten(0, 1).mT @ z.flatten(0, 1) / z[..., 0].numel())
    if float(values[0]) <= 1e-12 * float(values[-1]):
        raise ValueError(
            f"Expected all {z.shape[2]} coordinates to vary but they span fewer dimensions; take "
            "a core of lower rank"
        )
    whiten = vectors / values.sqrt()
    now, then = now @ whiten, then @ whiten
    operator = torch.linalg.lstsq(now, then).solution
    residual = then - now @ operator
    spread = then - then.mean(0)
    # The average over coordinates in which the next ones, not all positions, are white.
    missed = torch.linalg.solve(spread.mT @ spread, residual.mT @ residual)
    back = torch.linalg.inv(whiten)
    return Dynamics(whiten @ operator @ back, float(1 - missed.trace() / len(missed)))
