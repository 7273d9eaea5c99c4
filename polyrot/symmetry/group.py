"""Exact symmetries of the weights: different tensors, the same function.

The group of this architecture: heads are permuted, each head's queries and keys are rotated
together and so are its values and outputs, MLP neurons are permuted and rescaled by positive
factors, which a ReLU passes on, and the residual stream is rotated once the gains of its norms
are folded into the weights that read them.  (A head's rotations could be any invertible
matrices; the published group takes orthogonal ones, which preserve the norm of weights.)
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from polyrot.linalg import haar
from polyrot.models.transformer import HEADS, State, TransformerConfig, analytic_positions


@dataclass(frozen=True)
class LayerSymmetry:
    """The action on one layer."""

    heads: Int[Tensor, " head"]
    """The image's head `h` is the model's head `heads[h]`."""
    query_key: Float[Tensor, "head d_head d_head"]
    """Orthogonal; multiplies from the left."""
    value_output: Float[Tensor, "head d_head d_head"]
    neurons: Int[Tensor, " neuron"]
    scale: Float[Tensor, " neuron"]
    """Positive: multiplies the input weights and divides the output weights."""


@dataclass(frozen=True)
class Symmetry:
    """One element of the group."""

    layers: tuple[LayerSymmetry, ...]
    residual: Float[Tensor, "d_model d_model"] | None = None
    """The orthogonal `R` of `x @ R`; None leaves the basis and the gains unchanged."""

    @classmethod
    def identity(cls, config: TransformerConfig) -> "Symmetry":
        """Return the element that changes nothing."""
        turn = torch.eye(config.d_head, dtype=torch.float64).expand(config.heads, -1, -1)
        ones = torch.ones(config.d_mlp, dtype=torch.float64)
        layer = LayerSymmetry(
            torch.arange(config.heads), turn, turn, torch.arange(config.d_mlp), ones
        )
        return cls((layer,) * config.layers)

    @classmethod
    def random(cls, config: TransformerConfig, seed: int, *, residual: bool = False) -> "Symmetry":
        """Draw an element: Haar rotations, uniform permutations, log-normal scales.

        With `residual`, the residual stream is rotated too, by a Haar rotation.
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
        """Return the image of a model's weights, in their precision.

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
        code: Float[Tensor, "position d_model"] | None = None,
    ) -> Float[Tensor, "position d_model"]:
        """Rotate a position code, by default the analytic one, into the image's basis."""
        code = analytic_positions(config) if code is None else code
        return code if self.residual is None else (code.double() @ self.residual).float()


def random_symmetry(state: State, config: TransformerConfig, seed: int) -> State:
    """Draw a random image of a model, with the same outputs and in the same basis."""
    return Symmetry.random(config, seed).apply(state)


def fold_gains(state: State) -> State:
    """Multiply the gains of the norms into the weights that read them, and set them to 1."""
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
"""Tensors whose residual axis is the last but one; in all others it is the last."""


def facing_residual(name: str, tensor: Tensor) -> Float[Tensor, "row d_model"]:
    """Reshape a weight into rows along the residual stream."""
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
