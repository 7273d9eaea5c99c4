"""A trained sparse autoencoder."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.sae.activations import Activation, GroupTopK, JumpReLU, ReLU, TopK
from polyrot.sae.sparse import SparseFeatures, decode_sparse, encode_sparse

if TYPE_CHECKING:
    from polyrot.linalg.procrustes import Alignment

WEIGHTS = ("W_enc", "b_enc", "W_dec", "b_dec")


@dataclass(frozen=True, eq=False)
class SAE:
    """An autoencoder `activation((x - b_dec) W_enc + b_enc) W_dec + b_dec`.

    Args:
        W_enc, b_enc: `[d_model, feature]` and `[feature]`.
        W_dec, b_dec: `[feature, d_model]` and `[d_model]`.
        metadata: how it was trained; stored with it.
        activation: `ReLU()`, `TopK(k)`, `GroupTopK(groups, rank)` or `JumpReLU(threshold)`.
        apply_b_dec_to_input: whether the encoder subtracts `b_dec` first.

    Raises:
        ValueError: where the activation does not fit the number of features.

    >>> sae = SAE(torch.eye(2), torch.zeros(2), torch.eye(2), torch.zeros(2), activation=TopK(1))
    >>> x = torch.tensor([[1.0, 3.0]])
    >>> sae.encode(x), sae.decode(sae.encode(x))
    (tensor([[0., 3.]]), tensor([[0., 3.]]))
    """

    W_enc: Float[Tensor, "d_model feature"]
    b_enc: Float[Tensor, " feature"]
    W_dec: Float[Tensor, "feature d_model"]
    b_dec: Float[Tensor, " d_model"]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """How it was trained; stored with it, never read by the arithmetic."""
    activation: Activation = ReLU()
    apply_b_dec_to_input: bool = True
    """Whether the encoder subtracts `b_dec` first."""

    def __post_init__(self) -> None:
        self.activation.check(self.features)

    @property
    def d_model(self) -> int:
        return self.W_dec.shape[1]

    @property
    def features(self) -> int:
        return self.W_dec.shape[0]

    def encode(self, x: Float[Tensor, "token d_model"]) -> Float[Tensor, "token feature"]:
        """Compute the feature activations of tokens, in the autoencoder's precision."""
        return self.activation(torch.addmm(self.b_enc, self._encoder_input(x), self.W_enc))

    def decode(self, z: Float[Tensor, "token feature"]) -> Float[Tensor, "token d_model"]:
        """Reconstruct tokens from feature activations."""
        return torch.addmm(self.b_dec, z, self.W_dec)

    def encode_sparse(self, x: Float[Tensor, "token d_model"]) -> SparseFeatures:
        """Compute feature activations and keep only the active ones of each token.

        They equal those of `encode` up to rounding, and up to the choice among features that
        tie for the last place.  Beyond the result, memory is bounded: see `polyrot.sae.sparse`.

        Raises:
            ValueError: where neither TopK nor GroupTopK bounds the number of active features.
        """
        if not isinstance(self.activation, TopK | GroupTopK):
            raise ValueError(
                f"Expected TopK or GroupTopK but got {type(self.activation).__name__}, which "
                "does not bound the number of active features; use `encode`"
            )
        return encode_sparse(self._encoder_input(x), self.W_enc, self.b_enc, self.activation)

    def decode_sparse(self, features: SparseFeatures) -> Float[Tensor, "token d_model"]:
        """Reconstruct tokens from the active features, at the cost of those alone."""
        return decode_sparse(features, self.W_dec, self.b_dec)

    def _encoder_input(self, x: Float[Tensor, "token d_model"]) -> Float[Tensor, "token d_model"]:
        x = x.to(self.W_enc.dtype)
        return x - self.b_dec if self.apply_b_dec_to_input else x

    def to(self, dtype: torch.dtype) -> "SAE":
        """Round the weights to a precision, in which it then computes."""
        activation = self.activation
        if isinstance(activation, JumpReLU):
            activation = JumpReLU(activation.threshold.to(dtype))
        weights = {name: getattr(self, name).to(dtype) for name in WEIGHTS}
        return replace(self, **weights, activation=activation)

    def carried(self, alignment: "Alignment") -> "SAE":
        """Express the autoencoder in the basis that `alignment` maps onto.

        See `Alignment.carry_sae`.
        """
        forward = alignment.rotation * alignment.scale
        back = alignment.inverse()
        backward = back.rotation * back.scale
        W_enc = self.W_enc.double()
        b_dec = (self.b_dec.double() - alignment.source_mean) @ forward + alignment.target_mean
        b_enc = self.b_enc
        if not self.apply_b_dec_to_input:
            # The encoder then sees the shift between the means, which its bias must undo.
            shift = alignment.source_mean - alignment.target_mean @ backward
            b_enc = (b_enc.double() + shift @ W_enc).to(b_enc.dtype)
        dtype = self.W_enc.dtype
        return replace(
            self,
            W_enc=(backward @ W_enc).to(dtype),
            b_enc=b_enc,
            W_dec=(self.W_dec.double() @ forward).to(dtype),
            b_dec=b_dec.to(dtype),
        )

    def save(self, path: str | Path) -> None:
        """Write the directory `path` in the layout of SAELens: config and safetensors."""
        from polyrot.sae.formats.saelens import write

        write(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> "SAE":
        """Read a directory in the layout of SAELens, sparsify or dictionary_learning.

        The files show which it is: `cfg.json` with `sae_weights.safetensors`,
        `cfg.json` with `sae.safetensors`, or `config.json` with `ae.pt`.  Features are
        scaled as the library that wrote the directory scales them when it reads it.

        Raises:
            FileNotFoundError: where no layout has all its files there.
            ValueError: where its arithmetic differs from that of this class, or it is damaged.
        """
        from polyrot.sae.formats.layouts import read

        return read(Path(path))
