"""Search for the symmetry that brings one model's weights closest to another's.

Coordinate descent: every step solves for one part of the group exactly while the others are
fixed.  Heads and neurons are matched by `scipy.optimize.linear_sum_assignment`, rotations are
orthogonal Procrustes problems.  The objective is the mean, over tensors, of the squared
difference per entry.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from polyrot.linalg import haar
from polyrot.models.transformer import State, TransformerConfig
from polyrot.symmetry.group import LayerSymmetry, Symmetry, facing_residual, fold_gains

MAX_SWEEPS = 100
TOLERANCE = 1e-4
"""Relative fall of the objective per sweep below which the search has converged."""

NEWTON_STEPS = 6
EXTREME = 12.0
"""Log of the squared ratio of a neuron's input norm to its output norm, or its inverse, beyond
which the scale needs another start."""

IO = ("W_E", "W_U_tok", "W_U_depth", "W_U_valid")
"""Tensors on which only the residual rotation acts, independent of heads and neurons."""


@dataclass(frozen=True)
class WeightAlignment:
    """The best symmetry found, and the remaining difference of the weights."""

    symmetry: Symmetry
    mse: dict[str, float]
    """Mean squared difference per entry, by tensor; gains are folded."""
    starts: tuple[float, ...]
    """The mean over tensors at the end of each start; the lowest is the one returned."""

    @property
    def worst(self) -> float:
        """The largest per-tensor mean squared difference: what Bar P bounds."""
        return max(self.mse.values())


def align_weights(
    target: State,
    source: State,
    config: TransformerConfig,
    *,
    rotations: Sequence[Float[Tensor, "d_model d_model"]] = (),
    random_starts: int = 1,
    turn_residual: bool = True,
    seed: int = 0,
) -> WeightAlignment:
    """Find the image of `target` under the symmetry group that is closest to `source`.

    Args:
        target: weights of the model to align.
        source: weights of the model that is not changed, except for folded gains.
        config: architecture of both.
        rotations: further residual rotations, target to source, to start from.  The identity,
            the Procrustes fit of the input and output tensors, and random ones come first.
        random_starts: number of random (Haar) rotations to start from.
        turn_residual: False keeps the residual stream fixed, with a single start.
        seed: seed of the random starts.

    Notes:
        A local search: the distance is an upper bound on the smallest one.
    """
    goal, start = (fold_gains({n: t.double() for n, t in s.items()}) for s in (source, target))
    eye = torch.eye(config.d_model, dtype=torch.float64)
    starts = [eye]
    if turn_residual:
        starts.append(_residual_step(start, goal, IO))
        starts += [rotation.double() for rotation in rotations]
        starts += list(haar.sample(config.d_model, random_starts, group="O", seed=seed))
    found = [
        _descend(start, goal, replace(Symmetry.identity(config), residual=r), turn_residual)
        for r in starts
    ]
    best = min(found, key=lambda pair: pair[1])
    mse = tensor_mse(best[0].apply(start), goal)
    return WeightAlignment(best[0], mse, tuple(value for _, value in found))


def tensor_mse(image: State, goal: State) -> dict[str, float]:
    """Mean squared difference per entry of every weight, without gains, which are folded."""
    return {
        name: float((image[name].double() - goal[name].double()).square().mean())
        for name in goal
        if not name.endswith("gain")
    }


def _descend(
    start: State, goal: State, symmetry: Symmetry, turn_residual: bool
) -> tuple[Symmetry, float]:
    last = float("inf")
    for _ in range(MAX_SWEEPS):
        turned = Symmetry((), symmetry.residual).apply(start)
        layers = tuple(_layer_step(turned, goal, i) for i in range(len(symmetry.layers)))
        symmetry = Symmetry(layers, symmetry.residual)
        if turn_residual:
            inner = Symmetry(layers).apply(start)
            symmetry = Symmetry(layers, _residual_step(inner, goal))
        value = _objective(symmetry.apply(start), goal)
        if last - value <= TOLERANCE * value:
            break
        last = value
    return symmetry, value


def _objective(image: State, goal: State) -> float:
    mse = tensor_mse(image, goal)
    return sum(mse.values()) / len(mse)


def _residual_step(image: State, goal: State, names: Sequence[str] = ()) -> Tensor:
    """Find the rotation that brings all tensors closest, each weighted by its inverse size."""
    cross = torch.zeros(0)
    for name in names or [name for name in goal if not name.endswith("gain")]:
        rows, goal_rows = (facing_residual(name, state[name]) for state in (image, goal))
        cross = rows.mT @ goal_rows / rows.numel() + (cross if len(cross) else 0)
    return polar(cross)


def _layer_step(turned: State, goal: State, layer: int) -> LayerSymmetry:
    """Match heads and neurons of one layer."""
    attention, mlp = f"blocks.{layer}.attn", f"blocks.{layer}.mlp"
    (q, k, v, o), (gq, gk, gv, go) = (
        [state[f"{attention}.W_{name}"] for name in "QKVO"] for state in (turned, goal)
    )
    # [goal head, head, d_head, d_head]: the matrix to which a matched head's rotation is fitted
    inside = torch.einsum("iad,jbd->ijab", gq, q) + torch.einsum("iad,jbd->ijab", gk, k)
    outside = torch.einsum("iad,jbd->ijab", gv, v) + torch.einsum("ida,jdb->ijab", go, o)
    gain = sum(torch.linalg.svdvals(cross).sum(-1) for cross in (inside, outside))
    assert isinstance(gain, Tensor)
    heads = assign(-gain)
    rows = torch.arange(len(heads))
    neurons, scale = _neuron_step(
        (turned[f"{mlp}.W_in"], turned[f"{mlp}.W_out"].mT),
        (goal[f"{mlp}.W_in"], goal[f"{mlp}.W_out"].mT),
    )
    return LayerSymmetry(
        heads, polar(inside[rows, heads]), polar(outside[rows, heads]), neurons, scale
    )


def _neuron_step(
    image: tuple[Tensor, Tensor], goal: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Match neurons at the best positive scale of each pair.

    For neuron j in place of i at scale c, `|c in_j - in_i|^2 + |out_j / c - out_i|^2` is, up to
    terms that do not depend on the match, `a c^2 - 2 b c + e / c^2 - 2 f / c`.
    """
    tiny = torch.finfo(torch.float64).tiny ** 0.25
    a, e = (x.square().sum(-1).clamp(min=tiny)[None] for x in image)
    b, f = (y @ x.mT for y, x in zip(goal, image, strict=True))

    def cost(c: Tensor) -> Tensor:
        return a * c**2 - 2 * b * c + e / c**2 - 2 * f / c

    # Where reading and writing balance: the minimum for unrelated neurons.
    c = _newton(a, b, e, f, ((e / a) ** 0.25).expand_as(b))
    if float((a / e).log().abs().max()) > EXTREME:
        # Newton's steps are too short from there; the larger of the two gives another start.
        alone = torch.where(a > e, b / a, e / f.clamp(min=tiny)).clamp(min=tiny, max=1 / tiny)
        other = _newton(a, b, e, f, alone)
        c = torch.where(cost(c) <= cost(other), c, other)
    neurons = assign(cost(c))
    return neurons, c[torch.arange(len(neurons)), neurons]


def _newton(a: Tensor, b: Tensor, e: Tensor, f: Tensor, c: Tensor) -> Tensor:
    """Minimise over log c by safeguarded steps."""
    for _ in range(NEWTON_STEPS):
        square = c * c
        read, write = a * square, e / square
        first, second = b * c, f / c
        # Half of the first and of the second derivative with respect to log c.
        slope = read - first - write + second
        curvature = torch.maximum(2 * (read + write) - first - second, read + write)
        c = c * (-(slope / curvature).clamp(-1, 1)).exp()
    return c


def assign(cost: Float[Tensor, "goal candidate"]) -> Tensor:
    """Return, for each goal, the candidate of the cheapest matching, one to one."""
    return torch.from_numpy(linear_sum_assignment(cost.numpy())[1])


def polar(cross: Float[Tensor, "*batch d d"]) -> Float[Tensor, "*batch d d"]:
    """Return the orthogonal matrix closest to `cross`, which maximises their inner product."""
    left, _, right = torch.linalg.svd(cross)
    product: Tensor = left @ right
    return product
