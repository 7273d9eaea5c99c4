"""Mean outputs of components, and the rise of the loss when these replace the outputs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from polyrot.interventions.edit import ablated, recorded
from polyrot.interventions.places import places
from polyrot.models.harvest import groups
from polyrot.models.training import to_tensors
from polyrot.models.transformer import StackedTransformer
from polyrot.tasks.dyck import IGNORE, LabelledSequences


@dataclass(frozen=True)
class Inputs:
    """Tokens for a model, and its loss on each."""

    losses: Callable[[], Float[Tensor, "*seed sequence position"]]
    """Run the model; return the loss of every token in nats, 0 where there is none."""
    real: Bool[Tensor, "*seed sequence position"]
    """Which tokens are real; means leave out padding."""
    counted: int
    """Number of tokens with a loss."""


Effects = Float[Tensor, "*seed component"]
"""By component, in the order of `places(model).components`; for a stack one row per seed."""


def dyck_inputs(model: StackedTransformer, batch: LabelledSequences) -> list[Inputs]:
    """Make inputs of a labelled batch, the same for every seed; the loss is summed over heads."""
    inputs = []
    for group in groups(batch):
        tokens, labels = to_tensors([group] * model.seeds, model.W_pos.device)
        real = labels["token"] != IGNORE
        inputs.append(Inputs(_summed_heads(model, tokens, labels), real, int(real[0].sum())))
    return inputs


def _summed_heads(
    model: StackedTransformer, tokens: Tensor, labels: dict[str, Tensor]
) -> Callable[[], Tensor]:
    def losses() -> Tensor:
        logits, _ = model(tokens)
        return torch.stack(
            [_cross_entropy(logits[head], target) for head, target in labels.items()]
        ).sum(0)

    return losses


def language_inputs(
    model: nn.Module, tokens: Int[Tensor, "sequence position"], mask: Tensor | None = None
) -> list[Inputs]:
    """Make inputs of token ids for a causal language model; the loss is that of the next token.

    Args:
        model: a causal language model of `transformers`.
        tokens: ids, one sequence per row.
        mask: 1 where a token is real; by default everywhere.

    Raises:
        ValueError: where a mask pads on the left, because positions would count the padding.
    """
    real = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask.bool()
    if bool((real[:, 1:] & ~real[:, :-1]).any()):
        raise ValueError("Expected mask to pad on the right but got padding before a real token")
    target = F.pad(tokens.masked_fill(~real, IGNORE)[:, 1:], (0, 1), value=IGNORE)

    def losses() -> Tensor:
        logits = model(input_ids=tokens, attention_mask=real.long()).logits
        return _cross_entropy(logits, target)

    return [Inputs(losses, real, int((target != IGNORE).sum()))]


def mean_outputs(model: nn.Module, inputs: Sequence[Inputs]) -> dict[str, Tensor]:
    """Average every component's output over the real tokens: `[d]`, or `[seed, d]`."""
    names = places(model).components
    sums: dict[str, Tensor] = {}
    count = 0
    with torch.no_grad(), recorded(model, *names) as kept:
        for batch in inputs:
            batch.losses()
            weight = batch.real[..., None]
            count += int(batch.real.sum()) // batch.real.shape[:-2].numel()
            for name in names:
                total = (kept[name] * weight).sum((-3, -2), dtype=torch.float64)
                sums[name] = sums.get(name, 0) + total
    return {name: (total / count).to(kept[name].dtype) for name, total in sums.items()}


def mean_loss(inputs: Sequence[Inputs]) -> Float[Tensor, "*seed"]:
    """Average the loss over the tokens that have one, in nats."""
    total = sum((batch.losses().double().sum((-2, -1)) for batch in inputs), torch.tensor(0.0))
    return total / sum(batch.counted for batch in inputs)


def ablation_effects(
    model: nn.Module, means: Mapping[str, Tensor], inputs: Sequence[Inputs]
) -> Effects:
    """Measure the rise of the loss when a component's output is its mean, in nats per token."""
    with torch.no_grad():
        clean = mean_loss(inputs)
        effects = []
        for name, mean in means.items():
            with ablated(model, {name: mean}):
                effects.append(mean_loss(inputs) - clean)
    return torch.stack(effects, dim=-1)


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    losses = F.cross_entropy(
        logits.flatten(0, -2), target.flatten(), ignore_index=IGNORE, reduction="none"
    )
    return losses.view(target.shape)
