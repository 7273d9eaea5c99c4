"""Gradients of the loss under ReLU with an l1 penalty, derived by hand, for a whole stack."""

import torch
from jaxtyping import Float
from torch import Tensor

Weights = dict[str, Tensor]

CPU_BLOCK = 1_024
"""Tokens that a CPU handles at a time; in a narrow stack, those of all autoencoders together."""

NARROW = 128
"""Widest `d_model` whose gradients stay in a CPU's cache, so that only tokens need dividing."""


def stack_block(stack: int, d_model: int) -> int:
    """Return the tokens per autoencoder that a CPU handles at a time in a stack of this size.

    In a wide one each block adds to gradients that travel to and from memory, which small
    blocks do too often: at 204 tokens a step took 1.6 times as long as at 1,024.
    """
    return max(1, CPU_BLOCK // stack) if d_model <= NARROW else CPU_BLOCK


def loss_gradients(
    weights: Weights,
    x: Float[Tensor, "stack token d_model"],
    l1: float,
    *,
    block: int | None = None,
) -> Weights:
    """Differentiate the loss under ReLU by hand: six matrix products and no autograd tape.

    Returns the gradient of every weight; a test compares them with autograd.
    """
    # On a CPU the hidden layer of a block should stay in the second-level cache.
    size = x.shape[1] if x.device.type != "cpu" else block or stack_block(len(x), x.shape[2])
    total: Weights = {}
    for tokens in x.split(size, dim=1):
        for name, part in _block_gradients(weights, tokens, l1).items():
            total[name] = total[name].add_(part) if name in total else part
    gradients = {name: part.div_(x.shape[1]) for name, part in total.items()}
    gradients["b_dec"] -= torch.bmm(gradients["b_enc"][:, None], weights["W_enc"].mT)[:, 0]
    return gradients


def _block_gradients(
    weights: Weights, x: Float[Tensor, "stack token d_model"], l1: float
) -> Weights:
    """Sum the gradients over the tokens of a block; for `b_dec` only the decoder's share."""
    centred = x - weights["b_dec"][:, None]
    hidden = torch.baddbmm(weights["b_enc"][:, None], centred, weights["W_enc"]).relu_()
    error = torch.bmm(hidden, weights["W_dec"]) - centred
    error *= 2 / x.shape[2]
    slope = torch.baddbmm(x.new_full((1, 1, 1), l1), error, weights["W_dec"].mT)
    # The ReLU passes no gradient where it is inactive.
    slope = torch.ops.aten.threshold_backward(slope, hidden, 0.0)
    return {
        "W_enc": torch.bmm(centred.mT, slope),
        "b_enc": slope.sum(1),
        "W_dec": torch.bmm(hidden.mT, error),
        "b_dec": error.sum(1),
    }
