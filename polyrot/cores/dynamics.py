"""Dynamics in a core: the linear map from one position's coordinates to the next one's."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Complex, Float
from torch import Tensor


@dataclass(frozen=True)
class Dynamics:
    """The least-squares map of one position's coordinates to the next one's."""

    operator: Float[Tensor, "rank rank"]
    """`(z[t] - mean) @ operator` is nearest to `z[t + 1] - mean`."""
    mean: Float[Tensor, " rank"]
    r2: float
    """On the coordinates that were fitted; see `score`."""

    @property
    def eigenvalues(self) -> Complex[Tensor, " rank"]:
        """Eigenvalues of the operator by descending real part, then imaginary part."""
        values: Tensor = torch.linalg.eigvals(self.operator)
        order = sorted(
            range(len(values)), key=lambda i: (-values[i].real.item(), -values[i].imag.item())
        )
        return values[order]

    def score(self, coordinates: Float[Tensor, "sequence position rank"]) -> float:
        """Measure the share of the next coordinates' variance that the map explains: R2.

        The average over coordinates in which the next ones are white: the share does not depend
        on the basis of the core or the scale of its directions.
        """
        residual, spread = self._residual_and_spread(coordinates)
        missed = torch.linalg.solve(spread.mT @ spread, residual.mT @ residual)
        return float(1 - missed.trace() / len(missed))

    def score_by_coordinate(self, coordinates: Float[Tensor, "sequence position rank"]) -> float:
        """Measure R2 in every coordinate as given, and average.

        The released code of arXiv 2602.22600; the average depends on the basis of the core.
        """
        residual, spread = self._residual_and_spread(coordinates)
        return float(1 - (residual.square().sum(0) / spread.square().sum(0)).mean())

    def _residual_and_spread(
        self, coordinates: Float[Tensor, "sequence position rank"]
    ) -> tuple[Float[Tensor, "step rank"], Float[Tensor, "step rank"]]:
        now, then = _steps(coordinates.double() - self.mean)
        return then - now @ self.operator, then - then.mean(0)


def fit_dynamics(coordinates: Float[Tensor, "sequence position rank"]) -> Dynamics:
    """Fit the map from each position's coordinates to the next one's, by least squares.

    Both sides are centred about one mean (arXiv 2602.22600, released code).

    Raises:
        ValueError: where there are fewer than two positions, or coordinates that do not vary.
    """
    if coordinates.ndim != 3 or coordinates.shape[1] < 2:
        raise ValueError(
            "Expected coordinates of shape [sequence, position, rank] with two positions or more "
            f"but got {list(coordinates.shape)}"
        )
    z = coordinates.double()
    flat = z.flatten(0, 1)
    mean = flat.mean(0)
    values, vectors = torch.linalg.eigh((flat - mean).mT @ (flat - mean) / len(flat))
    if float(values[0]) <= 1e-12 * float(values[-1]):
        raise ValueError(
            f"Expected all {z.shape[2]} coordinates to vary but they span fewer dimensions; take "
            "a core of lower rank"
        )
    # Whitened coordinates condition the normal equations best.
    whiten = vectors / values.sqrt()
    now, then = _steps((z - mean) @ whiten)
    operator = torch.linalg.solve(now.mT @ now, now.mT @ then)
    fitted = Dynamics(whiten @ operator @ torch.linalg.inv(whiten), mean, 0.0)
    return replace(fitted, r2=fitted.score(coordinates))


def _steps(
    z: Float[Tensor, "sequence position rank"],
) -> tuple[Float[Tensor, "step rank"], Float[Tensor, "step rank"]]:
    """Every position but the last of each sequence, and the one that follows."""
    return z[:, :-1].flatten(0, 1), z[:, 1:].flatten(0, 1)
