"""Steering: add a difference of means to the residual stream and measure the effect.

Effects are read at tokens whose true answer is not the one that the vector asks for: the share
still answered correctly, and the margin of the answer asked for, its logit minus the mean of the
others.  One concept's share is read elsewhere, as in the paper: see `CONCEPTS`.  (Relative to the
true answer's logit, a reversed vector can raise the margin; relative to the largest other, so can
anything that flattens the logits.)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from polyrot.models.transformer import HEADS, StackedTransformer
from polyrot.tasks.dyck import FAMILIES, FIRST_BRACKET

Labels = Mapping[str, Int[Tensor, " token"]]
"""By output head, the true answer at every token."""

Where = Callable[[Labels], Bool[Tensor, " token"]]


@dataclass(frozen=True)
class Concept:
    """What a vector stands for: the mean over some tokens minus the mean over others."""

    name: str
    toward: Where
    """Tokens that the vector points toward."""
    away: Where
    """Tokens that it points away from, where its effect is read."""
    head: str
    """Output head on which the effect is read."""
    asked: Callable[[Int[Tensor, " token"]], Int[Tensor, " token"]]
    """The answer that the vector asks for, given the true one."""
    drop_at: Where | None = None
    """Tokens where the fall in accuracy is read; None for those it points away from."""


def _token(labels: Labels, *, closes: bool) -> Bool[Tensor, " token"]:
    bracket = labels["token"] - FIRST_BRACKET
    return (bracket >= 0) & (bracket < 2 * FAMILIES) & (bracket % 2 == int(closes))


CONCEPTS = (
    Concept(
        "sticky-invalid",
        toward=lambda labels: (labels["depth"] == 4) & (labels["valid"] == 0),
        away=lambda labels: (labels["depth"] == 4) & (labels["valid"] == 1),
        head="valid",
        asked=torch.zeros_like,
    ),
    Concept(
        "depth",
        toward=lambda labels: labels["depth"] == 5,
        away=lambda labels: labels["depth"] == 4,
        head="depth",
        asked=lambda label: label + 1,
    ),
    Concept(
        "closer",
        toward=lambda labels: _token(labels, closes=True),
        away=lambda labels: _token(labels, closes=False),
        head="token",
        asked=lambda label: label + 1,
        drop_at=lambda labels: _token(labels, closes=True),
    ),
)
"""The paper's three vectors (arXiv 2605.24577): the sticky-invalid direction at depth 4, which it
subtracts; depth 5 minus depth 4; closing minus opening brackets, which asks every opening bracket
for the closing one of the same family.  For the last, the paper reads accuracy at closing
brackets, where the vector asks for nothing; the margin is read at opening ones."""


@dataclass(frozen=True)
class Effects:
    """Effects of a vector at each dose, `[alpha, seed]`."""

    drop: Tensor
    """Fall of the share of tokens answered correctly."""
    margin: Tensor
    """Signed change of the asked answer's logit margin: positive where the model moves as the
    vector asks, negative where it moves away."""


def difference_of_means(
    x: Float[Tensor, "*seed token d_model"],
    toward: Bool[Tensor, " token"],
    away: Bool[Tensor, " token"],
) -> Float[Tensor, "*seed d_model"]:
    """Subtract the mean of some tokens from that of others, in the units of `x`.

    Raises:
        ValueError: where either selects no token.
    """
    for name, chosen in (("toward", toward), ("away", away)):
        if not bool(chosen.any()):
            raise ValueError(f"Expected {name} to choose at least one token but it chooses none")
    return x[..., toward, :].double().mean(-2) - x[..., away, :].double().mean(-2)


def steer(
    models: StackedTransformer,
    site: str,
    x: Float[Tensor, "seed token d_model"],
    vectors: Float[Tensor, "seed d_model"],
    *,
    head: str,
    true: Int[Tensor, " token"],
    asked: Int[Tensor, " token"],
    alphas: Sequence[float],
) -> Effects:
    """Add a vector to each model's stream after its last attention, and measure its effect.

    Equal to `adding` it at every position of a full run: after the last attention tokens do not
    interact, so only those whose answer is read need to run.

    Args:
        models: a stack.
        site: after the last attention, for example `resid_mid.1`.
        x: activations at the site, of the tokens where the effect is read.
        vectors: one per seed.
        head: output head on which the effect is read.
        true: the true answers.
        asked: the answers that the vector asks for.
        alphas: doses, multiples of the vector.
    """
    clean = _answers(models, site, x, head)
    right, margin = _right(clean, true), _margin(clean, asked)
    drops, margins = [], []
    for alpha in alphas:
        moved = x + alpha * vectors[:, None].to(x.dtype)
        steered = _answers(models, site, moved, head)
        drops.append(right - _right(steered, true))
        margins.append(_margin(steered, asked) - margin)
    return Effects(torch.stack(drops), torch.stack(margins))


def divergence(
    models: StackedTransformer,
    site: str,
    x: Float[Tensor, "seed token d_model"],
    vectors: Float[Tensor, "seed d_model"],
    alphas: Sequence[float],
) -> Float[Tensor, "alpha seed"]:
    """Mean KL(clean || steered) over tokens and output heads, in nats, at each dose.

    Arguments as for `steer`; `x` is of all tokens.
    """
    clean = {head: _answers(models, site, x, head).double().log_softmax(-1) for head in HEADS}
    result = []
    for alpha in alphas:
        moved = x + alpha * vectors[:, None].to(x.dtype)
        by_head = []
        for head, p in clean.items():
            q = _answers(models, site, moved, head).double().log_softmax(-1)
            by_head.append((p.exp() * (p - q)).sum(-1).mean(-1))
        result.append(torch.stack(by_head).mean(0))
    return torch.stack(result)


def _answers(
    models: StackedTransformer, site: str, x: Float[Tensor, "seed token d_model"], head: str
) -> Float[Tensor, "seed token label"]:
    with torch.inference_mode():
        logits, _ = models.resume(site, x[:, None].to(models.W_pos.device))
    return logits[head][:, 0].cpu()


def _right(logits: Tensor, true: Tensor) -> Float[Tensor, " seed"]:
    return (logits.argmax(-1) == true).double().mean(-1)


def _margin(logits: Tensor, asked: Tensor) -> Float[Tensor, " seed"]:
    chosen = logits.gather(-1, asked.expand(len(logits), -1)[..., None])[..., 0]
    others = (logits.sum(-1) - chosen) / (logits.shape[-1] - 1)
    margin: Tensor = (chosen - others).double().mean(-1)
    return margin
