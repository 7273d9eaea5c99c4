"""The linear model and the small transformer that interventions are tried on."""

import numpy as np
import planted
import torch
from torch import Tensor, nn

from polyrot.interventions.effects import (
    Inputs,
    dyck_inputs,
    mean_outputs,
)
from polyrot.models.linear import LinearModel
from polyrot.models.training import to_tensors
from polyrot.models.transformer import StackedTransformer, TransformerConfig, stack_states
from polyrot.tasks import dyck

D = 6
BLOCKS = ("block.0", "block.1", "block.2")
HEADS = tuple(f"head.{i}.{h}" for i in range(2) for h in range(4))
COMPONENTS = (*HEADS[:4], "mlp.0", *HEADS[4:], "mlp.1")
READERS = ("into.attn.0", "into.mlp.0", "into.attn.1", "into.mlp.1", "into.unembed")
BATCH = dyck.sample(5, rng=np.random.default_rng(0), lengths=(2, 12))
SEEDS = (0, 1)


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=planted.generator(seed), dtype=torch.float64)


def linear_model() -> LinearModel:
    """Three blocks, in float64."""
    return LinearModel.random(3, D, seed=0).double().requires_grad_(False)


def stream() -> Tensor:
    """What enters the linear model: three sequences of four tokens."""
    return draw(3, 4, D, seed=1)


def some_means() -> dict[str, Tensor]:
    """Where to clamp the blocks of the linear model: not their means, which cost nothing."""
    return {name: draw(D, seed=10 + i) for i, name in enumerate(BLOCKS)}


def behind(model: LinearModel, first: int) -> Tensor:
    """How far the output rises with each dimension of the stream before a block, by hand."""
    read = model.readout
    for block in list(model.blocks)[first:][::-1]:
        read = read + block.matrix @ read
    return read


def writes(model: LinearModel, x: Tensor) -> dict[str, Tensor]:
    """What each block adds to the stream, by hand."""
    first, second, third = (block.matrix for block in model.blocks)
    one = x @ first
    two = (x + one) @ second
    three = (x + one + two) @ third
    return {"block.0": one, "block.1": two, "block.2": three}


def output_inputs(model: nn.Module, x: Tensor, power: int = 1) -> Inputs:
    """Each token's output, or a power of it, as its loss."""
    real = torch.ones(x.shape[:-1], dtype=torch.bool)
    return Inputs(lambda: model(x) ** power, real, real.numel())


def same(actual: Tensor, expected: Tensor, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


def stacked(*seeds: int) -> StackedTransformer:
    """The small transformer, in float64."""
    states = stack_states([planted.random_model(seed) for seed in seeds])
    return StackedTransformer(TransformerConfig(), states).double().requires_grad_(False)


def tokens_of_batch() -> Tensor:
    (group,) = BATCH.by_length(1)
    return to_tensors([group] * len(SEEDS), torch.device("cpu"))[0]


def means_of_batch(stack: StackedTransformer) -> dict[str, Tensor]:
    return mean_outputs(stack, dyck_inputs(stack, BATCH))


def joined(output: tuple[dict[str, Tensor], dict[str, Tensor]]) -> Tensor:
    """The logits of all heads side by side."""
    return torch.cat(list(output[0].values()), dim=-1)
