"""Training of autoencoders, stacked over models and sites.

Recipe of ReLU (arXiv 2605.24577 and its released code): decoder columns of unit norm,
encoder N(0, 1/d), biases zero; loss = MSE over tokens and dimensions + l1 * sum of
the features, mean over tokens; Adam at 5e-4 on batches of 4,096 tokens drawn with
replacement; the decoder's gradient is projected off its columns, and after each
step the columns are renormalised and their norms moved into the encoder.

TopK and GroupTopK: the same but for the penalty, which they need not; the encoder starts as
the decoder's transpose, and no norm moves into it (Gao et al. 2024, arXiv 2406.04093).
GroupTopK's encoder columns are renormalised too (arXiv 2606.06333, released code).
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.sae.activations import GroupTopK, ReLU, TopK
from polyrot.sae.model import SAE
from polyrot.sae.sparse_gradients import sparse_gradients

Weights = dict[str, Tensor]

CPU_BLOCK = 1_024
"""Tokens that a CPU handles at a time; of a narrow stack, all its autoencoders together."""

NARROW = 128
"""Widest `d_model` whose gradients stay in a CPU's cache, so that only tokens need dividing."""


@dataclass(frozen=True)
class SAEConfig:
    """What determines an autoencoder, besides its activations."""

    expansion: int = 8
    l1: float = 1e-3
    steps: int = 4_000
    batch: int = 4_096
    learning_rate: float = 5e-4
    seed: int = 0
    activation: ReLU | TopK | GroupTopK = ReLU()
    """TopK and GroupTopK fix how many features are on, and leave `l1` unread."""

    def recipe(self) -> dict[str, Any]:
        """Say it in plain values, for files and the keys of what is cached.

        ReLU goes without saying: so it did before there was a choice, and what was cached
        then is found.
        """
        recipe = asdict(self)
        del recipe["activation"]
        if not isinstance(self.activation, ReLU):
            kind = type(self.activation).__name__
            recipe["activation"] = {"kind": kind, **asdict(self.activation)}
        return recipe


def initial_weights(config: SAEConfig, d_model: int) -> Weights:
    """Draw the untrained autoencoder of an SAE seed: the same whatever the activations."""
    generator = torch.Generator().manual_seed(config.seed)
    features = config.expansion * d_model
    encoder = torch.randn(features, d_model, generator=generator) / d_model**0.5
    decoder = torch.randn(d_model, features, generator=generator)
    decoder = decoder / decoder.norm(dim=0)
    tied = not isinstance(config.activation, ReLU)
    return {
        "W_enc": decoder.clone() if tied else encoder.mT.contiguous(),
        "b_enc": torch.zeros(features),
        "W_dec": decoder.mT.contiguous(),
        "b_dec": torch.zeros(d_model),
    }


def train_saes(
    activations: Sequence[Float[Tensor, "token d_model"]],
    configs: Sequence[SAEConfig],
    *,
    block: int | None = None,
    report: Callable[[int], None] = lambda step: None,
) -> list[SAE]:
    """Train one autoencoder for each activation set, all in one stack.

    The configurations may differ in their seed alone.  Autoencoders of one seed see the
    same token positions in every batch; nothing else couples the stack.

    Args:
        activations: of each.
        configs: of each.
        block: tokens that a CPU handles at a time under ReLU; see `stack_block`.  An
            autoencoder trained alone with the block of a stack equals that of the stack.
        report: called with the step after every step.
    """
    stack = SAEStack(activations, configs, block=block)
    for step in range(configs[0].steps):
        stack.step()
        report(step + 1)
    return stack.autoencoders()


class SAEStack:
    """Autoencoders in training, along a leading axis of their weights."""

    def __init__(
        self,
        activations: Sequence[Float[Tensor, "token d_model"]],
        configs: Sequence[SAEConfig],
        *,
        block: int | None = None,
    ) -> None:
        """Begin with untrained ones; the arguments are those of `train_saes`."""
        self._data, self._config, self._block = activations, configs[0], block
        self._device = activations[0].device
        d_model = activations[0].shape[1]
        self._config.activation.check(self._config.expansion * d_model)
        stacked = [initial_weights(c, d_model) for c in configs]
        self.weights = {
            n: torch.stack([w[n] for w in stacked]).to(self._device) for n in stacked[0]
        }
        parameters = [self.weights[name].requires_grad_() for name in self.weights]
        self._optimizer = torch.optim.Adam(parameters, lr=self._config.learning_rate, fused=True)
        self._generators = [torch.Generator().manual_seed(c.seed + 1_000_003) for c in configs]

    @torch.no_grad()
    def step(self) -> None:
        """Draw a batch for each, and take a step of the optimiser."""
        weights, batch = self.weights, self._config.batch
        draws = [
            torch.randint(len(data), (batch,), generator=g).to(self._device)
            for data, g in zip(self._data, self._generators, strict=True)
        ]
        x = torch.stack([data[rows] for data, rows in zip(self._data, draws, strict=True)])
        gradients = _gradients(weights, x, self._config, self._block)
        along = (gradients["W_dec"] * weights["W_dec"]).sum(2, keepdim=True)
        gradients["W_dec"] -= along * weights["W_dec"]
        for name, parameter in weights.items():
            parameter.grad = gradients[name]
        self._optimizer.step()
        _renormalise(weights, self._config)

    def autoencoders(self) -> list[SAE]:
        """Copy them out of the stack, as they are now."""
        trained = {name: w.detach().cpu() for name, w in self.weights.items()}
        return [
            SAE(
                W_enc=trained["W_enc"][i].clone(),
                b_enc=trained["b_enc"][i].clone(),
                W_dec=trained["W_dec"][i].clone(),
                b_dec=trained["b_dec"][i].clone(),
                activation=self._config.activation,
            )
            for i in range(len(self._data))
        ]


def _gradients(
    weights: Weights, x: Float[Tensor, "stack token d_model"], config: SAEConfig, block: int | None
) -> Weights:
    if isinstance(config.activation, ReLU):
        return loss_gradients(weights, x, config.l1, block=block)
    return sparse_gradients(weights, x, config.activation)


def _renormalise(weights: Weights, config: SAEConfig) -> None:
    """Give the decoder rows of unit norm again, as the recipe of the activation does."""
    norms = weights["W_dec"].norm(dim=2)
    weights["W_dec"] /= norms[:, :, None]
    if isinstance(config.activation, ReLU):
        weights["W_enc"] *= norms[:, None, :]
        weights["b_enc"] *= norms
    elif isinstance(config.activation, GroupTopK):
        weights["W_enc"] /= weights["W_enc"].norm(dim=1, keepdim=True)


def stack_block(stack: int, d_model: int) -> int:
    """Tokens of each autoencoder that a CPU handles at a time in a stack of so many.

    Of wide ones each block adds to gradients that come from memory and go back there, which
    small blocks do too often: at 204 tokens a step took 1.6 times as long as at 1,024.
    """
    return max(1, CPU_BLOCK // stack) if d_model <= NARROW else CPU_BLOCK


def loss_gradients(
    weights: Weights,
    x: Float[Tensor, "stack token d_model"],
    l1: float,
    *,
    block: int | None = None,
) -> Weights:
    """Differentiate the loss under ReLU by hand: six matrix products and no tape.

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
    """Sum of the gradients over the tokens of a block; of `b_dec` the decoder's share."""
    centred = x - weights["b_dec"][:, None]
    hidden = torch.baddbmm(weights["b_enc"][:, None], centred, weights["W_enc"]).relu_()
    error = torch.bmm(hidden, weights["W_dec"]) - centred
    error *= 2 / x.shape[2]
    slope = torch.baddbmm(x.new_full((1, 1, 1), l1), error, weights["W_dec"].mT)
    # The ReLU passes no gradient where it is off.
    slope = torch.ops.aten.threshold_backward(slope, hidden, 0.0)
    return {
        "W_enc": torch.bmm(centred.mT, slope),
        "b_enc": slope.sum(1),
        "W_dec": torch.bmm(hidden.mT, error),
        "b_dec": error.sum(1),
    }
