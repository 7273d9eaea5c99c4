"""Gramians of a layer: what its activations reach, and what the rest of the model reads.

Names from control theory (Moore 1981, doi:10.1109/TAC.1981.1102568): the reachability Gramian
measures how far each direction is driven, the observability Gramian how much it moves the output.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Gramian = Float[Tensor, "d_model d_model"]
Tail = Callable[[Float[Tensor, "row d_model"]], Float[Tensor, "row output"]]
"""The rest of a model: from states to outputs, independent between rows."""

ROWS = 256
"""Number of states whose Jacobians are computed together."""


def reachability(activations: Float[Tensor, "token d_model"]) -> Gramian:
    """Compute the covariance of activations, divided by n - 1, as float64.

    Raises:
        ValueError: where there are fewer than two tokens, or a number is not finite.
    """
    _check(activations)
    x = activations.double()
    x = x - x[0]  # so constant activations leave no rounding error
    x = x - x.mean(0)
    return x.mT @ x / (len(x) - 1)


def observability(
    tail: Tail, activations: Float[Tensor, "token d_model"], *, rows: int = ROWS
) -> Gramian:
    """Average J'J over activations, where J is the Jacobian of `tail` at a token, as float64.

    Args:
        tail: differentiable; its output for a row must not depend on the other rows.
        activations: where the Jacobians are taken; passed to `tail` unchanged.
        rows: number of activations per call of `tail`.

    Raises:
        ValueError: where the tail returns a different number of rows or cannot be
            differentiated, or a number is not finite.
    """
    _check(activations, least=1)
    d = activations.shape[1]
    total = torch.zeros(d, d, dtype=torch.float64, device=activations.device)
    for batch in activations.split(rows):
        jacobian = _jacobians(tail, batch).double().flatten(0, 1)
        total += jacobian.mT @ jacobian
    if not total.isfinite().all():
        raise ValueError(
            "Expected tail to have finite derivatives but some are not finite; look for a "
            "division by zero or an overflow in it"
        )
    return total / len(activations)


def _jacobians(
    tail: Tail, states: Float[Tensor, "row d_model"]
) -> Float[Tensor, "output row d_model"]:
    unread = (
        "Expected tail to be differentiable but its output does not depend on the states; remove "
        "detach, no_grad, argmax and the like"
    )
    with torch.enable_grad():
        states = states.detach().clone().requires_grad_()  # inference tensors need the clone
        outputs = tail(states)
        if outputs.ndim != 2 or len(outputs) != len(states):
            raise ValueError(
                f"Expected tail to return [{len(states)}, output] for {len(states)} states but "
                f"got {list(outputs.shape)}"
            )
        if not outputs.requires_grad:
            raise ValueError(unread)
        # Rows are independent: the gradient of a column's sum contains the gradient of every row.
        directions = torch.eye(outputs.shape[1], dtype=outputs.dtype, device=outputs.device)
        (jacobian,) = torch.autograd.grad(
            outputs.sum(0), states, directions, is_grads_batched=True, allow_unused=True
        )
    if jacobian is None:  # the output depends on the weights alone
        raise ValueError(unread)
    found: Tensor = jacobian
    return found


def _check(activations: Tensor, least: int = 2) -> None:
    if activations.ndim != 2 or len(activations) < least:
        raise ValueError(
            f"Expected activations of shape [token, d_model], at least {least} tokens, but got "
            f"shape {list(activations.shape)}"
        )
    if not activations.isfinite().all():
        raise ValueError("Expected activations to be finite but some are not a number or infinite")


def affine(weight: Float[Tensor, "output d_model"], bias: Float[Tensor, " output"]) -> Tail:
    """Make the tail of an unembedding."""
    return lambda states: states @ weight.mT + bias
