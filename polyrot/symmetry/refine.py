"""Refine the residual rotation of a weight alignment, for weights and activations together.

With the other symmetries fixed, every tensor's squared difference is linear in the rotation,
and so is every site's unexplained variance: `|T R - S|^2 = |T|^2 + |S|^2 - 2 <R, T'S>`.  The
whole problem is a few d x d matrices, whatever the number of weights and tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from polyrot.linalg.moments import Moments
from polyrot.models.transformer import State
from polyrot.symmetry.group import Symmetry, facing_residual, fold_gains

NORM = 16
"""Order of the norm over tensors that approximates the largest of their differences."""

MAX_ITERATIONS = 80
TOLERANCE = 1e-7
"""Change of the loss per iteration below which the minimum counts as reached."""


@dataclass(frozen=True)
class Refinement:
    """A residual rotation, and both terms of its loss."""

    rotation: Float[Tensor, "d_model d_model"]
    worst: float
    """The largest per-tensor mean squared difference per entry."""
    unexplained: float
    """Mean over sites of 1 - EV of the activations; 0 if none were given."""


def refine_rotation(
    target: State,
    source: State,
    symmetry: Symmetry,
    *,
    activations: Sequence[Moments] = (),
    weight: float = 0.0,
) -> Refinement:
    """Minimise the worst tensor's difference, plus a weight times the unexplained variance.

    Over the residual rotation alone, in its Cayley parametrisation about the start, by L-BFGS.
    The joint loss of arXiv 2605.24577 is another: it weighs mean differences of all weights and of
    activations by 1 - lambda and lambda, and its code reports the one of Adam's steps at which the
    weights differ least; see `polyrot.symmetry.released`.

    Args:
        target: weights of the model to align.
        source: weights of the model it is aligned to; gains of both are folded.
        symmetry: result of `align_weights`; its rotation is the start of the search.
        activations: by site, moments from the target's activations to the source's.
        weight: `lambda`, the weight of the activations' term.

    Notes:
        A local minimum: it depends on the start, whose loss it never exceeds.
    """
    goal, start = (fold_gains({n: t.double() for n, t in s.items()}) for s in (source, target))
    image = Symmetry(symmetry.layers).apply(start)
    weights = _Distances.of_weights(image, goal)
    sites = _Distances.of_activations(activations, weights.cross.shape[-1])

    def loss(rotation: Tensor) -> Tensor:
        value: Tensor = torch.linalg.vector_norm(weights.at(rotation), NORM)
        return value + weight * sites.at(rotation).mean() if activations else value

    d = weights.cross.shape[-1]
    first = torch.eye(d, dtype=torch.float64) if symmetry.residual is None else symmetry.residual
    rotation = _minimise(loss, first)
    return Refinement(
        rotation,
        float(weights.at(rotation).max()),
        float(sites.at(rotation).mean()) if activations else 0.0,
    )


@dataclass(frozen=True)
class _Distances:
    """Squared distances that are linear in a rotation, each on a separate scale."""

    constant: Float[Tensor, " part"]
    cross: Float[Tensor, "part d d"]

    @classmethod
    def of_weights(cls, image: State, goal: State) -> "_Distances":
        names = [name for name in goal if not name.endswith("gain")]
        rows = [(facing_residual(n, image[n]), facing_residual(n, goal[n])) for n in names]
        return cls(
            torch.stack([(a.square().sum() + b.square().sum()) / a.numel() for a, b in rows]),
            torch.stack([a.mT @ b / a.numel() for a, b in rows]),
        )

    @classmethod
    def of_activations(cls, activations: Sequence[Moments], d: int) -> "_Distances":
        if not activations:
            return cls(torch.zeros(0), torch.zeros(0, d, d))
        return cls(
            torch.stack([m.source.trace() / m.target.trace() + 1 for m in activations]),
            torch.stack([m.cross / m.target.trace() for m in activations]),
        )

    def at(self, rotation: Tensor) -> Float[Tensor, " part"]:
        distance: Tensor = self.constant - 2 * (self.cross * rotation).sum((-2, -1))
        # Rounding may make a zero distance negative, where the norm has no gradient.
        return distance.clamp(min=1e-18)


def _minimise(loss: Callable[[Tensor], Tensor], first: Tensor) -> Tensor:
    turn = nn.Linear(len(first), len(first), bias=False, dtype=torch.float64)
    parametrizations.orthogonal(turn, orthogonal_map="cayley", use_trivialization=True)
    turn.weight = first
    optimizer = torch.optim.LBFGS(
        turn.parameters(),
        max_iter=MAX_ITERATIONS,
        tolerance_change=TOLERANCE,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(turn.weight)
        value.backward()
        return value

    optimizer.step(closure)
    with torch.no_grad():
        rotation: Tensor = turn.weight.clone()
    return rotation
