"""Gradients of rules that have no faster ones: dense, by autograd, for a whole stack."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.sae.recipe import BatchTopK, LearnedThresholds

Weights = dict[str, Tensor]
Batch = Float[Tensor, "stack token d_model"]
Losses = Float[Tensor, " stack"]


def batch_topk_gradients(weights: Weights, x: Batch, rule: BatchTopK) -> Weights:
    """Differentiate the mean squared error of every prefix of the dictionary, averaged."""
    return _differentiate(weights, lambda w: _batch_topk_losses(w, x, rule))


def threshold_gradients(weights: Weights, x: Batch, rule: LearnedThresholds) -> Weights:
    """Differentiate the mean squared error with its penalty on the number of active features."""
    return _differentiate(weights, lambda w: _threshold_losses(w, x, rule))


def largest_of_batch(pre: Float[Tensor, "stack token feature"], k: int) -> tuple[Tensor, Tensor]:
    """Keep the largest positive entries of each batch, `k` per token on average.

    Returns:
        The features `[stack, token, feature]`, 0 where not kept, and the smallest kept feature
        of each autoencoder `[stack]`.
    """
    positive = pre.relu().flatten(1)
    count = min(k * pre.shape[1], positive.shape[1])
    values, index = positive.topk(count, dim=1)
    kept = torch.zeros_like(positive).scatter(1, index, values).view_as(pre)
    smallest = values.masked_fill(values == 0, torch.inf).amin(1)
    return kept, smallest.nan_to_num(posinf=0.0)


def pre_activations(weights: Weights, x: Batch) -> Float[Tensor, "stack token feature"]:
    """Compute the pre-activations that the rule chooses from."""
    centred = x - weights["b_dec"][:, None]
    return torch.baddbmm(weights["b_enc"][:, None], centred, weights["W_enc"])


def _differentiate(weights: Weights, losses: Callable[[Weights], Losses]) -> Weights:
    leaves = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
    with torch.enable_grad():
        total = losses(leaves).sum()  # nothing couples the stack
        found = torch.autograd.grad(total, list(leaves.values()))
    return dict(zip(leaves, found, strict=True))


def _batch_topk_losses(weights: Weights, x: Batch, rule: BatchTopK) -> Losses:
    features, _ = largest_of_batch(pre_activations(weights, x), rule.k)
    decoded = weights["b_dec"][:, None]
    losses, start = [], 0
    for share in rule.prefixes:
        end = max(1, round(share * features.shape[2]))
        part = slice(start, end)
        decoded = decoded + features[:, :, part] @ weights["W_dec"][:, part]
        losses.append((decoded - x).square().mean((1, 2)))
        start = end
    return torch.stack(losses).mean(0)


def _threshold_losses(weights: Weights, x: Batch, rule: LearnedThresholds) -> Losses:
    pre = pre_activations(weights, x).relu()
    threshold = weights["log_threshold"].exp()[:, None]
    # Zero except for its gradient: how fast the threshold moves entries within its kernel.
    near = ((pre - threshold).abs() < rule.bandwidth / 2).to(pre.dtype) / rule.bandwidth
    moved = near * (threshold.detach() - threshold)
    on = (pre > threshold).to(pre.dtype)
    features = pre * on + threshold.detach() * moved
    decoded = features @ weights["W_dec"] + weights["b_dec"][:, None]
    losses: Losses = (decoded - x).square().mean((1, 2)) + rule.l0 * (on + moved).sum(2).mean(1)
    return losses
