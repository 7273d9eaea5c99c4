"""Feature activations held as the few that are on, where TopK or GroupTopK bounds their number."""

from dataclasses import dataclass
from importlib.util import find_spec

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

from polyrot.sae.activations import SparseActivation, TopK

TILE = (512, 4_096)
"""Tokens and features whose pre-activations a CPU holds at a time: 8 MiB."""
TILE_ELSEWHERE = (8_192, 16_384)
"""The same on an accelerator, which needs more at a time to be busy: 512 MiB."""

_TRITON = find_spec("triton") is not None


@dataclass(frozen=True, eq=False)
class SparseFeatures:
    """The features that each token may have on; all others are 0.

    The `k` indices of a token are distinct; a group's are consecutive.  Values may be 0: of
    a token that has fewer than k positive pre-activations.
    """

    values: Float[Tensor, "token k"]
    index: Int[Tensor, "token k"]

    def dense(self, features: int) -> Float[Tensor, "token feature"]:
        """Write out every feature, on or off."""
        zeros = self.values.new_zeros(len(self.values), features)
        return zeros.scatter_(1, self.index, self.values)


def encode_sparse(
    x: Float[Tensor, "token d_model"],
    W_enc: Float[Tensor, "d_model feature"],
    b_enc: Float[Tensor, " feature"],
    activation: SparseActivation,
    *,
    tile: tuple[int, int] | None = None,
) -> SparseFeatures:
    """Find what `activation` leaves on of `x W_enc + b_enc`.

    Pre-activations are computed in tiles of so many tokens by so many features, and the
    largest so far are kept: beyond the result, memory is that of a tile, however many
    tokens and features there are.
    """
    tokens, features = tile or (TILE if x.device.type == "cpu" else TILE_ELSEWHERE)
    width = max(1, features // activation.rank) * activation.rank
    parts = [_encode_tokens(part, W_enc, b_enc, activation, width) for part in x.split(tokens)]
    values, index = (torch.cat(part) for part in zip(*parts, strict=True))
    return SparseFeatures(values.relu_() if isinstance(activation, TopK) else values, index)


def _encode_tokens(
    x: Float[Tensor, "token d_model"],
    W_enc: Float[Tensor, "d_model feature"],
    b_enc: Float[Tensor, " feature"],
    activation: SparseActivation,
    width: int,
) -> tuple[Float[Tensor, "token k"], Int[Tensor, "token k"]]:
    """Keep the largest pre-activations over blocks of features, and their indices."""
    values, index = _encode_block(x, W_enc, b_enc, activation, slice(0, width))
    for start in range(width, len(b_enc), width):
        block = slice(start, start + width)
        also = _encode_block(x, W_enc, b_enc, activation, block)
        values, index = torch.cat([values, also[0]], dim=1), torch.cat([index, also[1]], dim=1)
        kept = activation.kept(values)
        values, index = values.gather(1, kept), index.gather(1, kept)
    return values, index


def _encode_block(
    x: Float[Tensor, "token d_model"],
    W_enc: Float[Tensor, "d_model feature"],
    b_enc: Float[Tensor, " feature"],
    activation: SparseActivation,
    block: slice,
) -> tuple[Float[Tensor, "token k"], Int[Tensor, "token k"]]:
    """Keep the largest pre-activations of a block of features, and their indices."""
    pre = torch.addmm(b_enc[block], x, W_enc[:, block])
    kept = activation.kept(pre)
    return pre.gather(1, kept), kept + block.start


def decode_sparse(
    features: SparseFeatures,
    W_dec: Float[Tensor, "feature d_model"],
    b_dec: Float[Tensor, " d_model"],
) -> Float[Tensor, "token d_model"]:
    """Sum the decoder rows of the features that are on: k rows a token, not all of them."""
    if _TRITON and _kernel_serves(features.values, W_dec, b_dec):
        from polyrot.sae.triton_decode import decode

        return decode(features.values, features.index, W_dec, b_dec)
    return embedding_bag(
        features.index, W_dec, per_sample_weights=features.values, mode="sum"
    ).add_(b_dec)


def _kernel_serves(*tensors: Tensor) -> bool:
    """Whether the Triton kernel does what eager torch does: no tape, sums in float32."""
    return all(t.is_cuda and t.dtype != torch.float64 and not t.requires_grad for t in tensors)
