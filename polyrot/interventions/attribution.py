"""Predict the cost of ablating a component from gradients, without ablating it."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from polyrot.interventions.blocks import Edit
from polyrot.interventions.edit import along, edited
from polyrot.interventions.effects import Effects, Inputs

POINTS = 32
"""Points on the path of integrated gradients: the paper's number."""


def attribution_patching(
    model: nn.Module, means: Mapping[str, Tensor], inputs: Sequence[Inputs]
) -> Effects:
    """Predict the effects of `ablation_effects` from one gradient, at the unablated model.

    First order: the gradient of the loss with respect to a component's output, times the mean
    output minus this output (Nanda 2023, "Attribution patching").
    """
    totals: list[Tensor] = []
    for batch in inputs:
        nudges: dict[str, Tensor] = {}
        steps: dict[str, Tensor] = {}

        def nudged(name: str, nudges: dict[str, Tensor], steps: dict[str, Tensor]) -> Edit:
            def edit(x: Tensor) -> Tensor:
                nudges[name] = torch.zeros_like(x, requires_grad=True)
                steps[name] = (along(means[name], x) - x).detach()
                return x + nudges[name]

            return edit

        with torch.enable_grad(), edited(model, {n: nudged(n, nudges, steps) for n in means}):
            loss = batch.losses().sum()
        gradients = torch.autograd.grad(loss, [nudges[name] for name in means])
        products = [_per_seed(g * steps[n], batch) for n, g in zip(means, gradients, strict=True)]
        totals.append(torch.stack(products, dim=-1))
    return torch.stack(totals).sum(0) / sum(batch.counted for batch in inputs)


def integrated_gradients(
    model: nn.Module,
    means: Mapping[str, Tensor],
    inputs: Sequence[Inputs],
    *,
    points: int = POINTS,
    at: float = 0.5,
) -> Effects:
    """Predict the effects of `ablation_effects` from gradients along the path to each ablation.

    One component at a time: its output moves to its mean in a straight line, everything else
    following, and the gradient along the line is averaged over one point in each of `points` equal
    steps (Sundararajan, Taly & Yan 2017, arXiv 1703.01365).

    Args:
        model: a model.
        means: each component's mean output.
        inputs: tokens for the model, with its losses.
        points: number of steps.
        at: where in a step its gradient is taken: 0.5 in the middle, which is the most exact; 0 at
            the end towards the output itself, as the code of arXiv 2605.24577 does.

    Notes:
        Completeness: with enough points this *is* the ablation's effect, for any model.
        Agreement between the two tests the arithmetic, not the model.
    """
    if points < 1:
        raise ValueError(f"Expected at least one point but got {points=}")
    effects = []
    for name, mean in means.items():
        total = torch.zeros(())
        for batch in inputs:
            for point in range(points):
                total = total + _slope(model, name, mean, (point + at) / points, batch)
        effects.append(total / (points * sum(batch.counted for batch in inputs)))
    return torch.stack(effects, dim=-1)


def _slope(model: nn.Module, name: str, mean: Tensor, share: float, batch: Inputs) -> Tensor:
    """Compute the loss's derivative on the line from a component's output to its mean."""
    point: list[Tensor] = []
    step: list[Tensor] = []

    def moved(x: Tensor) -> Tensor:
        step.append((along(mean, x) - x).detach())
        point.append((x.detach() + share * step[0]).requires_grad_())
        return point[0]

    with torch.enable_grad(), edited(model, {name: moved}):
        loss = batch.losses().sum()
    (gradient,) = torch.autograd.grad(loss, point)
    return _per_seed(gradient * step[0], batch)


def _per_seed(product: Tensor, batch: Inputs) -> Tensor:
    """Sum over tokens and dimensions, in float64; padding affects no loss."""
    return product.double().flatten(batch.real.ndim - 2).sum(-1)
