"""What activations reach, and what a tail of the model sees of them.

Names from control theory (Moore 1981, doi:10.1109/TAC.1981.1102568): the reachability Gramian
is how far each direction is driven, the observability Gramian how much the output moves with it.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Gramian = Float[Tensor, "d_model d_model"]
Tail = Callable[[Float[Tensor, "row d_model"]], Float[Tensor, "row output"]]
"""The rest of a model: from states to outputs, each row by itself."""

ROWS = 256
"""States whose Jacobians are computed together."""


def reachability(activations: Float[Tensor, "token d_model"]) -> Gramian:
    """Compute the covariance of activations, divided by n - 1, as float64.

    Raises:
        ValueError: where there are fewer than two tokens, or a number is not finite.
    """
    _check(activations)
    x = activations.double()
    x = x - x[0]  # so that constant activations leave nothing, not even a rounding error
    x = x - x.mean(0)
    return x.mT @ x / (len(x) - 1)


def observability(
    tail: Tail, activations: Float[Tensor, "token d_model"], *, rows: int = ROWS
) -> Gramian:
    """Average J'J over activations, where J is the Jacobian of `tail` at a token, as float64.

    Args:
        tail: differentiable; what it makes of a row must not hang on the other rows.
        activations: where the Jacobians are taken; `tail` gets them as they are.
        rows: how many go through `tail` together.

    Raises:
        ValueError: where the tail returns another number of rows, or cannot be differentiated,
            or a number is not finite.
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
        "Expected tail to be differentiable but its output does not hang on the states; leave "
        "out detach, no_grad, argmax and the like"
    )
    with torch.enable_grad():
        states = states.detach().clone().requires_grad_()  # clone: not of inference mode
        outputs = tail(states)
        if outputs.ndim != 2 or len(outputs) != len(states):
            raise ValueError(
                f"Expected tail to return [{len(states)}, output] for {len(states)} states but "
                f"got {list(outputs.shape)}"
            )
        if not outputs.requires_grad:
            raise ValueError(unread)
        # Rows do not meet, so the gradient of a column's sum holds every row's own gradient.
        directions = torch.eye(outputs.shape[1], dtype=outputs.dtype, device=outputs.device)
        (jacobian,) = torch.autograd.grad(
            outputs.sum(0), states, directions, is_grads_batched=True, allow_unused=True
        )
    if jacobian is None:  # what the output hangs on is the model's weights alone
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
    """The tail that an unembedding is."""
    return lambda states: states @ weight.mT + bias
