"""Exact symmetries of the weights: other tensors, the same function.

The group of this architecture: heads change places, each head's queries and keys turn
together and so do its values and outputs, MLP neurons change places and are rescaled by
positive factors, which a ReLU passes on, and the residual stream turns once the gains of its
norms are folded into the weights that read them.  (A head's turns could be any invertible
matrices; the published group takes orthogonal ones, which keep the size of weights.)
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from polyrot.linalg import haar
from polyrot.models.transformer import HEADS, State, TransformerConfig, analytic_positions


@dataclass(frozen=True)
class LayerSymmetry:
    """What is done to one layer."""

    heads: Int[Tensor, " head"]
    """The image's head `h` is the model's head `heads[h]`."""
    query_key: Float[Tensor, "head d_head d_head"]
    """Orthogonal, from the left."""
    value_output: Float[Tensor, "head d_head d_head"]
    neurons: Int[Tensor, " neuron"]
    scale: Float[Tensor, " neuron"]
    """Positive: what is read is multiplied by it, what is written divided."""


@dataclass(frozen=True)
class Symmetry:
    """One element of the group."""

    layers: tuple[LayerSymmetry, ...]
    residual: Float[Tensor, "d_model d_model"] | None = None
    """The orthogonal `R` of `x @ R`; None leaves the basis, and the gains, as they are."""

    @classmethod
    def identity(cls, config: TransformerConfig) -> "Symmetry":
        """Leave everything as it is."""
        turn = torch.eye(config.d_head, dtype=torch.float64).expand(config.heads, -1, -1)
        ones = torch.ones(config.d_mlp, dtype=torch.float64)
        layer = LayerSymmetry(
            torch.arange(config.heads), turn, turn, torch.arange(config.d_mlp), ones
        )
        return cls((layer,) * config.layers)

    @classmethod
    def random(cls, config: TransformerConfig, seed: int, *, residual: bool = False) -> "Symmetry":
        """Draw an element: Haar turns, uniform orders, log-normal scales.

        With `residual`, the residual stream turns too, by a Haar rotation.
        """
        generator = torch.Generator().manual_seed(seed)
        layers = []
        for layer in range(config.layers):
            turns = haar.sample(config.d_head, 2 * config.heads, group="O", seed=seed + layer)
            inside, outside = turns.view(2, config.heads, config.d_head, config.d_head)
            layers.append(
                LayerSymmetry(
                    torch.randperm(config.heads, generator=generator),
                    inside,
                    outside,
                    torch.randperm(config.d_mlp, generator=generator),
                    torch.exp(torch.randn(config.d_mlp, generator=generator) / 2).double(),
                )
            )
        turn = haar.sample(config.d_model, group="SO", seed=seed) if residual else None
        return cls(tuple(layers), turn)

    def apply(self, state: State) -> State:
        """Return the image of a model's weights, in their own precision.

        With a residual rotation the image's gains are 1, and it needs the rotated
        `positions` in place of the analytic ones.
        """
        dtype = state["W_E"].dtype
        image = {name: tensor.double() for name, tensor in state.items()}
        if self.residual is not None:
            image = _turned(fold_gains(image), self.residual)
        for index, layer in enumerate(self.layers):
            attention, mlp = f"blocks.{index}.attn", f"blocks.{index}.mlp"
            turns = {"W_Q": layer.query_key, "W_K": layer.query_key, "W_V": layer.value_output}
            for name, turn in turns.items():
                image[f"{attention}.{name}"] = turn @ image[f"{attention}.{name}"][layer.heads]
            write = image[f"{attention}.W_O"][layer.heads]
            image[f"{attention}.W_O"] = write @ layer.value_output.mT
            image[f"{mlp}.W_in"] = image[f"{mlp}.W_in"][layer.neurons] * layer.scale[:, None]
            image[f"{mlp}.W_out"] = image[f"{mlp}.W_out"][:, layer.neurons] / layer.scale
        return {name: tensor.to(dtype) for name, tensor in image.items()}

    def positions(
        self,
        config: TransformerConfig,
        *,
        own: Float[Tensor, "position d_model"] | None = None,
    ) -> Float[Tensor, "position d_model"]:
        """The position code in the image's basis; `own` is the model's, if not the analytic one."""
        code = analytic_positions(config) if own is None else own
        return code if self.residual is None else (code.double() @ self.residual).float()


def random_symmetry(state: State, config: TransformerConfig, seed: int) -> State:
    """Draw a random image of a model whose outputs are its own, in the model's own basis."""
    return Symmetry.random(config, seed).apply(state)


def fold_gains(state: State) -> State:
    """Multiply the gains of the norms into the weights that read them, and make them 1."""
    folded = dict(state)
    layers = {name.split(".")[1] for name in state if name.startswith("blocks.")}
    read = {"ln_f": list(HEADS.values())}
    for layer in layers:
        block = f"blocks.{layer}"
        read[f"{block}.ln1"] = [f"{block}.attn.W_{name}" for name in "QKV"]
        read[f"{block}.ln2"] = [f"{block}.mlp.W_in"]
    for norm, readers in read.items():
        gain = state[f"{norm}.gain"]
        for name in readers:
            folded[name] = state[name] * gain
        folded[f"{norm}.gain"] = torch.ones_like(gain)
    return folded


WRITERS = ("attn.W_O", "mlp.W_out")
"""Tensors whose residual axis is the last but one; that of all others is the last."""


def facing_residual(name: str, tensor: Tensor) -> Float[Tensor, "row d_model"]:
    """Lay a weight out in rows along the residual stream."""
    turned = tensor.mT if name.endswith(WRITERS) else tensor
    return turned.flatten(0, -2)


def _turned(folded: State, rotation: Tensor) -> State:
    return {
        name: tensor
        if name.endswith("gain")
        else rotation.mT @ tensor
        if name.endswith(WRITERS)
        else tensor @ rotation
        for name, tensor in folded.items()
    }
