"""Training of autoencoders, stacked over models and sites.

Recipe of ReLU (arXiv 2605.24577 and its released code): decoder columns of unit norm,
encoder N(0, 1/d), biases zero; loss = MSE over tokens and dimensions + l1 * sum of
the features, mean over tokens; Adam at 5e-4 on batches of 4,096 tokens drawn with
replacement; the decoder's gradient is projected off its columns, and after each
step the columns are renormalised and their norms moved into the encoder.

The other rules (`polyrot.sae.recipe`): the same except for the penalty; the encoder starts as the
decoder's transpose, and no norm moves into it (Gao et al. 2024, arXiv 2406.04093).  GroupTopK's
encoder columns are renormalised too (arXiv 2606.06333, released code).
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from polyrot.files import write_atomically
from polyrot.models.resumable import Saves, saving
from polyrot.progress import Progress, silent
from polyrot.sae import nuclear
from polyrot.sae.activations import Activation, GroupTopK, JumpReLU, ReLU, TopK
from polyrot.sae.autograd_gradients import (
    batch_topk_gradients,
    largest_of_batch,
    pre_activations,
    threshold_gradients,
)
from polyrot.sae.model import SAE
from polyrot.sae.recipe import BatchTopK, LearnedThresholds, SAEConfig
from polyrot.sae.relu_gradients import loss_gradients
from polyrot.sae.sparse import decode_sparse, encode_sparse
from polyrot.sae.sparse_gradients import auxiliary_gradients, sparse_gradients

Weights = dict[str, Tensor]
Batch = Float[Tensor, "stack token d_model"]

THRESHOLD_BATCHES = 10
"""Batches over which BatchTopK's threshold is averaged after training."""


def initial_weights(config: SAEConfig, d_model: int) -> Weights:
    """Draw the untrained autoencoder of an SAE seed, independent of the activations."""
    generator = torch.Generator().manual_seed(config.seed)
    features = config.features(d_model)
    encoder = torch.randn(features, d_model, generator=generator) / d_model**0.5
    decoder = torch.randn(d_model, features, generator=generator)
    decoder = decoder / decoder.norm(dim=0)
    tied = not isinstance(config.activation, ReLU)
    weights = {
        "W_enc": decoder.clone() if tied else encoder.mT.contiguous(),
        "b_enc": torch.zeros(features),
        "W_dec": decoder.mT.contiguous(),
        "b_dec": torch.zeros(d_model),
    }
    if isinstance(config.activation, LearnedThresholds):
        weights["log_threshold"] = torch.full((features,), config.activation.start).log()
    return weights


def train_saes(
    activations: Sequence[Float[Tensor, "_ d_model"]],
    configs: Sequence[SAEConfig],
    *,
    block: int | None = None,
    checkpoint: Path | None = None,
    progress: Progress = silent,
) -> list[SAE]:
    """Train one autoencoder for each activation set, all in one stack.

    The configurations may differ only in their seed.  Autoencoders of one seed see the same
    token positions in every batch; nothing else couples the stack.

    Args:
        activations: one set per autoencoder.
        configs: one per autoencoder.
        block: tokens that a CPU handles at a time under ReLU; see `stack_block`.  An
            autoencoder trained alone with the block of a stack equals that of the stack.
        checkpoint: a file from which an interrupted training continues; removed at the end.
        progress: called after every step.
    """
    stack = SAEStack(activations, configs, block=block)
    if checkpoint is None:
        _take_steps(stack, progress)
        return stack.autoencoders()
    if checkpoint.is_file():
        stack.restore(torch.load(checkpoint, weights_only=True))

    def save() -> None:
        write_atomically(checkpoint, lambda path: torch.save(stack.state(), path))

    with saving(save) as saves:
        _take_steps(stack, progress, saves)
    trained = stack.autoencoders()
    checkpoint.unlink()
    return trained


def _take_steps(stack: "SAEStack", progress: Progress, saves: Saves | None = None) -> None:
    while stack.left:
        with saves.step() if saves else nullcontext():
            stack.step()
        total = stack.steps + stack.left
        progress(stack.steps / total, f"step {stack.steps} of {total}")
        if saves:
            saves.now_and_then()


class SAEStack:
    """Autoencoders in training, along a leading axis of their weights."""

    def __init__(
        self,
        activations: Sequence[Float[Tensor, "_ d_model"]],
        configs: Sequence[SAEConfig],
        *,
        block: int | None = None,
    ) -> None:
        """Start with untrained autoencoders; the arguments are those of `train_saes`."""
        self._data, self._config, self._block = activations, configs[0], block
        self._device = activations[0].device
        d_model = activations[0].shape[1]
        self._config.activation.check(self._config.features(d_model))
        stacked = [initial_weights(c, d_model) for c in configs]
        self.weights = {
            n: torch.stack([w[n] for w in stacked]).to(self._device) for n in stacked[0]
        }
        parameters = [self.weights[name].requires_grad_() for name in self.weights]
        self._optimizer = torch.optim.Adam(parameters, lr=self._config.learning_rate, fused=True)
        self._generators = [torch.Generator().manual_seed(c.seed + 1_000_003) for c in configs]
        self._steps = 0
        self._silent = torch.zeros(self.weights["b_enc"].shape, dtype=torch.int64)

    @torch.no_grad()
    def step(self) -> None:
        """Draw a batch for each, and take a step of the optimiser."""
        weights, config = self.weights, self._config
        x = self._draw()
        gradients = _gradients(weights, x, config, self._block)
        if config.auxiliary:
            self._revive(gradients, x)
        if config.nuclear:
            _add_nuclear(gradients, weights, config)
        along = (gradients["W_dec"] * weights["W_dec"]).sum(2, keepdim=True)
        gradients["W_dec"] -= along * weights["W_dec"]
        for name, parameter in weights.items():
            parameter.grad = gradients[name]
        if config.decay:
            left = (config.steps - self._steps) / (config.decay * config.steps)
            self._optimizer.param_groups[0]["lr"] = config.learning_rate * min(1.0, left)
        self._optimizer.step()
        self._steps += 1
        _renormalise(weights, config)

    def state(self) -> dict[str, Any]:
        """Copy everything that the next step depends on, for `restore`."""
        return {
            "weights": {name: w.detach().clone() for name, w in self.weights.items()},
            "optimizer": deepcopy(self._optimizer.state_dict()),
            "generators": [g.get_state() for g in self._generators],
            "steps": self._steps,
            "silent": self._silent.clone(),
        }

    @torch.no_grad()
    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state`, with the numbers of an uninterrupted training."""
        for name, weight in self.weights.items():
            weight.copy_(state["weights"][name])
        self._optimizer.load_state_dict(state["optimizer"])
        for generator, before in zip(self._generators, state["generators"], strict=True):
            generator.set_state(before)
        self._steps, self._silent = state["steps"], state["silent"].clone()

    @property
    def steps(self) -> int:
        """Number of steps taken."""
        return self._steps

    @property
    def left(self) -> int:
        """Number of steps left in the recipe."""
        return self._config.steps - self._steps

    def autoencoders(self) -> list[SAE]:
        """Copy the autoencoders out of the stack in their present state."""
        trained = {name: w.detach().cpu() for name, w in self.weights.items()}
        return [
            SAE(
                W_enc=trained["W_enc"][i].clone(),
                b_enc=trained["b_enc"][i].clone(),
                W_dec=trained["W_dec"][i].clone(),
                b_dec=trained["b_dec"][i].clone(),
                activation=self._activation(i),
            )
            for i in range(len(self._data))
        ]

    def _draw(self) -> Batch:
        draws = [
            torch.randint(len(data), (self._config.batch,), generator=g).to(self._device)
            for data, g in zip(self._data, self._generators, strict=True)
        ]
        return torch.stack([data[rows] for data, rows in zip(self._data, draws, strict=True)])

    def _revive(self, gradients: Weights, x: Batch) -> None:
        """Add the gradients with which dead features reconstruct the residual."""
        on = (gradients["W_dec"] != 0).any(2).cpu()
        rank = self._config.activation.rank
        on = on.unflatten(1, (-1, rank)).any(2).repeat_interleave(rank, dim=1)
        self._silent = torch.where(on, 0, self._silent + 1)
        for i, dead in enumerate(self._silent >= self._config.dead_after):
            if not bool(dead.any()):
                continue
            alone = {name: w[i] for name, w in self.weights.items()}
            features = dead.nonzero()[:, 0].to(self._device)
            _add_auxiliary(gradients, i, alone, x[i], features, self._config)

    @torch.no_grad()
    def _activation(self, i: int) -> Activation:
        """Return the activation of an autoencoder after training."""
        rule = self._config.activation
        if isinstance(rule, LearnedThresholds):
            return JumpReLU(self.weights["log_threshold"][i].detach().exp().cpu())
        if isinstance(rule, BatchTopK):
            return JumpReLU(self._batch_threshold(i, rule).cpu())
        return rule

    def _batch_threshold(self, i: int, rule: BatchTopK) -> Float[Tensor, " feature"]:
        alone = {name: w[i : i + 1] for name, w in self.weights.items()}
        generator = torch.Generator().manual_seed(self._generators[i].initial_seed() + 1)
        data, smallest = self._data[i], []
        for _ in range(THRESHOLD_BATCHES):
            rows = torch.randint(len(data), (self._config.batch,), generator=generator)
            pre = pre_activations(alone, data[rows.to(self._device)][None])
            smallest.append(largest_of_batch(pre, rule.k)[1])
        return torch.cat(smallest).mean().expand(pre.shape[2]).clone()


def _gradients(weights: Weights, x: Batch, config: SAEConfig, block: int | None) -> Weights:
    rule = config.activation
    if isinstance(rule, ReLU):
        return loss_gradients(weights, x, config.l1, block=block)
    if isinstance(rule, BatchTopK):
        return batch_topk_gradients(weights, x, rule)
    if isinstance(rule, LearnedThresholds):
        return threshold_gradients(weights, x, rule)
    return sparse_gradients(weights, x, rule)


def _add_auxiliary(
    gradients: Weights,
    i: int,
    weights: Weights,
    x: Float[Tensor, "token d_model"],
    features: Int[Tensor, " dead"],
    config: SAEConfig,
) -> None:
    """Add, to the gradients of one autoencoder, those of its dead features."""
    rule, rank = config.activation, config.activation.rank
    centred = x - weights["b_dec"]
    if isinstance(rule, BatchTopK):
        one = {name: w[None] for name, w in weights.items()}
        kept, _ = largest_of_batch(pre_activations(one, x[None]), rule.k)
        decoded = kept[0] @ weights["W_dec"]
    else:
        assert isinstance(rule, TopK | GroupTopK)
        on = encode_sparse(centred, weights["W_enc"], weights["b_enc"], rule)
        decoded = decode_sparse(on, weights["W_dec"], torch.zeros_like(weights["b_dec"]))
    dead = {
        "W_enc": weights["W_enc"][:, features].contiguous(),
        "b_enc": weights["b_enc"][features],
        "W_dec": weights["W_dec"][features],
    }
    count = max(1, min(config.auxiliary, len(features)) // rank)
    among = GroupTopK(count, rank) if isinstance(rule, GroupTopK) else TopK(count)
    added = auxiliary_gradients(dead, centred, centred - decoded, among)
    gradients["W_enc"][i].index_add_(1, features, added["W_enc"])
    gradients["b_enc"][i].index_add_(0, features, added["b_enc"])
    gradients["W_dec"][i].index_add_(0, features, added["W_dec"])


def _add_nuclear(gradients: Weights, weights: Weights, config: SAEConfig) -> None:
    """Add the gradients of the mean nuclear norm of the groups.

    The loss is a mean over dimensions; the coefficient is against a sum over them.
    """
    rank = config.activation.rank
    decoder = weights["W_dec"].unflatten(1, (-1, rank))
    share = config.nuclear / (decoder.shape[1] * decoder.shape[3])
    if config.nuclear_of == "decoder":
        gradients["W_dec"] += share * nuclear.of_decoder(decoder)[1].flatten(1, 2)
        return
    encoder = weights["W_enc"].mT.unflatten(1, (-1, rank)).mT
    _, by_encoder, by_decoder = nuclear.of_composition(encoder, decoder)
    gradients["W_dec"] += share * by_decoder.flatten(1, 2)
    gradients["W_enc"] += share * by_encoder.mT.flatten(1, 2).mT


def _renormalise(weights: Weights, config: SAEConfig) -> None:
    """Normalise the decoder rows again, as the recipe of the activation requires."""
    norms = weights["W_dec"].norm(dim=2)
    weights["W_dec"] /= norms[:, :, None]
    if isinstance(config.activation, ReLU):
        weights["W_enc"] *= norms[:, None, :]
        weights["b_enc"] *= norms
    elif isinstance(config.activation, GroupTopK):
        weights["W_enc"] /= weights["W_enc"].norm(dim=1, keepdim=True)
