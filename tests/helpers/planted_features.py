"""Tokens that are sums of planted directions, for autoencoders to find."""

import torch
from torch import Tensor


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def planted(tokens: int, directions: Tensor, on: int, seed: int) -> Tensor:
    """Sums of `on` of the directions, times 1 to 2."""
    generator = torch.Generator().manual_seed(seed)
    which = torch.rand(tokens, len(directions), generator=generator).topk(on).indices
    scale = 1 + torch.rand(tokens, on, generator=generator)
    return (scale[:, :, None] * directions[which]).sum(1)
