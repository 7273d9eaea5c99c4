"""Exact symmetries of the weights: other tensors, the same function."""

import torch

from polyrot.linalg import haar
from polyrot.models.transformer import State, TransformerConfig


def random_symmetry(state: State, config: TransformerConfig, seed: int) -> State:
    """Draw a random image of a model under symmetries that leave its outputs unchanged.

    Heads are permuted; each head's queries and keys, and its values and outputs, are
    rotated together; MLP neurons are permuted and rescaled by positive factors, which a
    ReLU passes on.
    """
    generator = torch.Generator().manual_seed(seed)
    image = dict(state)
    for layer in range(config.layers):
        attention, mlp = f"blocks.{layer}.attn", f"blocks.{layer}.mlp"
        heads = torch.randperm(config.heads, generator=generator)
        turns = haar.sample(config.d_head, 2 * config.heads, group="O", seed=seed + layer)
        inside, outside = turns.float().view(2, config.heads, config.d_head, config.d_head)
        for name, turn in (("W_Q", inside), ("W_K", inside), ("W_V", outside)):
            image[f"{attention}.{name}"] = turn @ state[f"{attention}.{name}"][heads]
        image[f"{attention}.W_O"] = state[f"{attention}.W_O"][heads] @ outside.mT
        neurons = torch.randperm(config.d_mlp, generator=generator)
        scale = torch.exp(torch.randn(config.d_mlp, generator=generator) / 2)
        image[f"{mlp}.W_in"] = state[f"{mlp}.W_in"][neurons] * scale[:, None]
        image[f"{mlp}.W_out"] = state[f"{mlp}.W_out"][:, neurons] / scale
    return image
