"""The symmetry search and the joint loss of arXiv 2605.24577, as its code was released.

The search is a coordinate descent: of the residual rotation, and in every layer of the order of
heads, of the rotations within each head, and of the order and scale of neurons.  It keeps the
state whose worst tensor differs least.  Its residual step finds the rotation R for which
`target @ R` is closest to `source`, then multiplies by the transpose of R: unless R is symmetric,
that turns the stream away.  `repaired` multiplies by R.

The joint loss turns the result further, over a Cayley parameter, by Adam; it reports the step at
which the worst tensor differs least, whatever the activations do there.  Its weights are
`1 - lambda` for the weights' term and `lambda` for the activations', so that beyond lambda = 1 the
first is negative and drives the weights apart.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from polyrot.linalg.moments import Moments
from polyrot.models.transformer import State
from polyrot.symmetry.group import WRITERS, facing_residual, fold_gains
from polyrot.symmetry.search import assign, polar, tensor_mse

SWEEPS, STARTS = 6, 16
STEPS, RATE, EVERY = 400, 0.05, 20
"""Adam's steps and rate; the loss is read at the first step and at every 20th."""

Rotation = Float[Tensor, "d_model d_model"]


@dataclass(frozen=True)
class Found:
    """An image of the target, and how far its weights are from the source's."""

    image: State
    turn: Rotation
    """The image's residual stream is the target's times this."""
    worst: float
    """The largest per-tensor mean squared difference, the fixed position code included."""
    mean: float
    """The same over all entries of all tensors."""


@dataclass(frozen=True)
class Joint:
    """Where the joint loss ends for one lambda, by the rule of the released code."""

    worst: float
    unexplained: float
    """Mean squared difference of the activations, per entry, averaged over sites."""
    step: int


def with_positions(state: State, code: Float[Tensor, "position d_model"]) -> State:
    """Fold the gains, in float64, and add the position code to the tensors that are compared."""
    folded = fold_gains({name: tensor.double() for name, tensor in state.items()})
    return folded | {"W_pos": code.double()}


def search_as_released(
    target: State, source: State, *, repaired: bool = False, starts: int = STARTS
) -> Found:
    """Search for the image of `target` that is closest to `source`, as the paper's code does.

    From several orders of the heads with the residual step, and without it; the best is kept.

    Args:
        target: weights of the model to align, from `with_positions`.
        source: weights of the model it is aligned to, likewise.
        repaired: turn the residual stream by the rotation that was fitted, not by its transpose.
        starts: number of orders of the heads to start from; the paper's is 16.
    """
    heads = len(source["blocks.0.attn.W_Q"])
    layers = sum(name.endswith("attn.W_Q") for name in source)
    # Without the residual step the start makes no difference: heads are matched first.
    orders = list(_starts(heads, layers, starts))
    found = [_descend(target, source, orders[0], None)]
    found += [_descend(target, source, order, repaired) for order in orders]
    return min(found, key=_by_worst)


def refine_as_released(
    found: Found, source: State, activations: Sequence[Moments], lambdas: Sequence[float]
) -> list[Joint]:
    """Turn the residual stream of an image by the joint loss, once for each lambda.

    Args:
        found: the result of the search.
        source: weights of the model it is aligned to, from `with_positions`.
        activations: by site, moments from the target's activations to the source's.
        lambdas: weights of the activations' term; 0 is the Cayley refinement of weights alone.
    """
    names = _weights(source)
    rows = [(facing_residual(n, found.image[n]), facing_residual(n, source[n])) for n in names]
    by_tensor = _Quadratic.stack([_Quadratic.of_rows(*pair) for pair in rows])
    sizes = torch.tensor([float(rows[0].numel()) for rows in rows], dtype=torch.float64)
    entries = sum(float(tensor.numel()) for tensor in source.values())
    weights = by_tensor.summed(sizes / entries)
    sites = _Quadratic.stack([_Quadratic.of_moments(m, found.turn) for m in activations])
    of_sites = sites.summed(torch.full((len(activations),), 1 / len(activations)).double())

    share = torch.tensor(list(lambdas), dtype=torch.float64)[:, None, None]
    slope = -2 * ((1 - share) * weights.cross + share * of_sites.cross)
    best: list[tuple[float, float, int, float]] = [(float("inf"),) * 2 + (-1, 0.0)] * len(share)
    for step, rotations in _adam(slope):
        worst, mean, apart = (
            quadratic.at(rotations).reshape(len(share), -1).max(-1).values.tolist()
            for quadratic in (by_tensor, weights, of_sites)
        )
        now = [(w, m, step, a) for w, m, a in zip(worst, mean, apart, strict=True)]
        best = [n if n[:2] < b[:2] else b for n, b in zip(now, best, strict=True)]
    return [Joint(worst, apart, step) for worst, _, step, apart in best]


@dataclass(frozen=True)
class _Quadratic:
    """Squared differences per entry, `constant - 2 <R, cross>`, where rows become `row @ R'`."""

    constant: Float[Tensor, " part"]
    cross: Float[Tensor, "part d d"]

    @classmethod
    def of_rows(cls, rows: Tensor, goal: Tensor) -> "_Quadratic":
        count = rows.numel()
        constant = (rows.square().sum() + goal.square().sum()) / count
        return cls(constant[None], (goal.mT @ rows / count)[None])

    @classmethod
    def of_moments(cls, moments: Moments, turn: Rotation) -> "_Quadratic":
        n, means = moments.count, (moments.source_mean, moments.target_mean)
        count = n * len(turn)
        squares = moments.source_variance + moments.target_variance
        squares += n * sum(float(mean.square().sum()) for mean in means)
        cross = moments.cross + n * torch.outer(*means)
        constant = torch.tensor([squares / count], dtype=torch.float64)
        return cls(constant, (cross.mT @ turn / count)[None])

    @classmethod
    def stack(cls, parts: "Sequence[_Quadratic]") -> "_Quadratic":
        return cls(
            torch.cat([part.constant for part in parts]),
            torch.cat([part.cross for part in parts]),
        )

    def summed(self, weights: Float[Tensor, " part"]) -> "_Quadratic":
        return _Quadratic(
            (weights * self.constant).sum()[None],
            torch.einsum("p,pij->ij", weights, self.cross)[None],
        )

    def at(self, rotations: Float[Tensor, "lambda d d"]) -> Float[Tensor, "lambda part"]:
        return self.constant - 2 * torch.einsum("lij,pij->lp", rotations, self.cross)


def _adam(slope: Float[Tensor, "lambda d d"]) -> Iterator[tuple[int, Tensor]]:
    """Minimise `<R, slope>` over Cayley's parameter; yield the steps that are read."""
    parameter = torch.zeros_like(slope)
    optimizer = torch.optim.Adam([parameter], lr=RATE)
    eye = torch.eye(slope.shape[-1], dtype=slope.dtype)
    for step in range(1, STEPS + 1):
        inverse = torch.linalg.inv(eye - _skew(parameter))
        rotation = inverse @ (eye + _skew(parameter))
        parameter.grad = _skew(inverse.mT @ slope @ (eye + rotation).mT)
        optimizer.step()
        if step == 1 or step % EVERY == 0:
            skew = _skew(parameter)
            yield step, torch.linalg.solve(eye - skew, eye + skew)


def _skew(matrix: Tensor) -> Tensor:
    return (matrix - matrix.mT) / 2


def _starts(heads: int, layers: int, count: int) -> Iterator[list[Int[Tensor, " head"]]]:
    """Yield the heads' given order, then random ones: the paper's draws."""
    yield [torch.arange(heads)] * layers
    draw = random.Random(0)  # noqa: S311 - the paper's generator
    for _ in range(count - 1):
        yield [torch.tensor(draw.sample(range(heads), heads)) for _ in range(layers)]


def _descend(
    target: State, source: State, start: list[Int[Tensor, " head"]], repaired: bool | None
) -> Found:
    """Descend from one order of the heads; None leaves the residual stream as it is."""
    names, image = _weights(source), dict(target)
    turn = torch.eye(source["W_E"].shape[-1], dtype=torch.float64)
    for layer, order in enumerate(start):
        image |= _heads(image, layer, order)

    mse = tensor_mse(image, source)
    entries = sum(source[name].numel() for name in names)

    def found(changed: State) -> Found:
        image.update(changed)
        mse.update(tensor_mse(changed, {name: source[name] for name in changed}))
        mean = sum(mse[name] * source[name].numel() for name in names) / entries
        return Found(dict(image), turn, max(mse.values()), mean)

    best = found({})
    for _ in range(SWEEPS):
        if repaired is not None:
            rotation = _residual_step(image, source, names)
            step = rotation if repaired else rotation.mT
            turn = turn @ step
            best = min(best, found(_turned(image, step, names)), key=_by_worst)
        for layer in range(len(start)):
            for change in (_match_heads, _turn_heads, _match_neurons):
                best = min(best, found(change(image, source, layer)), key=_by_worst)
    return best


def _by_worst(found: Found) -> tuple[float, float]:
    return found.worst, found.mean


def _weights(state: State) -> list[str]:
    return [name for name in state if not name.endswith("gain")]


def _residual_step(image: State, source: State, names: list[str]) -> Rotation:
    """Fit all rows that face the residual stream, each with the same weight."""
    cross = sum(facing_residual(n, image[n]).mT @ facing_residual(n, source[n]) for n in names)
    assert isinstance(cross, Tensor)
    return polar(cross)


def _turned(image: State, rotation: Rotation, names: list[str]) -> State:
    return {
        name: rotation.mT @ image[name] if name.endswith(WRITERS) else image[name] @ rotation
        for name in names
    }


def _heads(image: State, layer: int, order: Int[Tensor, " head"]) -> State:
    names = [f"blocks.{layer}.attn.W_{name}" for name in "QKVO"]
    return {name: image[name][order] for name in names}


def _match_heads(image: State, source: State, layer: int) -> State:
    """Match heads by the squared differences of their tensors as they are."""
    near = torch.zeros(())
    for name in "QKVO":
        mine, goal = (s[f"blocks.{layer}.attn.W_{name}"].flatten(1) for s in (image, source))
        near = near + goal @ mine.mT - mine.square().sum(-1) / 2
    return _heads(image, layer, assign(-near))


def _turn_heads(image: State, source: State, layer: int) -> State:
    (q, k, v, o), (gq, gk, gv, go) = (
        [state[f"blocks.{layer}.attn.W_{name}"] for name in "QKVO"] for state in (image, source)
    )
    inside, outside = polar(gq @ q.mT + gk @ k.mT), polar(gv @ v.mT + go.mT @ o)
    turned = {"Q": inside @ q, "K": inside @ k, "V": outside @ v, "O": o @ outside.mT}
    return {f"blocks.{layer}.attn.W_{name}": tensor for name, tensor in turned.items()}


def _match_neurons(image: State, source: State, layer: int) -> State:
    """Match neurons by cosine, then scale each by the norms of what it reads and writes."""
    read, write = f"blocks.{layer}.mlp.W_in", f"blocks.{layer}.mlp.W_out"
    mine, goal = (torch.cat([s[read], s[write].mT], dim=1) for s in (image, source))
    cosine = _unit(goal) @ _unit(mine).mT
    order = assign(-cosine)
    reads, writes = image[read][order], image[write][:, order]
    norms = [reads.norm(dim=1), writes.norm(dim=0)]
    goals = [source[read].norm(dim=1), source[write].norm(dim=0)]
    scale = ((goals[0] * norms[1]).clamp(1e-12) / (norms[0] * goals[1]).clamp(1e-12)).sqrt()
    scale = scale.clamp(1e-4, 1e4)
    return {read: reads * scale[:, None], write: writes / scale}


def _unit(rows: Tensor) -> Tensor:
    unit: Tensor = rows / (rows.norm(dim=1, keepdim=True) + 1e-9)
    return unit
