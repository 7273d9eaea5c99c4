"""Feature activations stored as the active ones, if TopK or GroupTopK bounds their number."""

from dataclasses import dataclass
from importlib.util import find_spec

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

from polyrot.sae.activations import SparseActivation, TopK

TILE = (512, 4_096)
"""Tokens and features whose pre-activations a CPU holds in memory at a time: 8 MiB."""
TILE_ELSEWHERE = (8_192, 16_384)
"""The same on an accelerator, which larger tiles keep busy: 512 MiB."""

_TRITON = find_spec("triton") is not None


@dataclass(frozen=True, eq=False)
class SparseFeatures:
    """The features that may be active in each token; all others are 0.

    The `k` indices of a token are distinct; a group's are consecutive.  Values may be 0, in a
    token that has fewer than k positive pre-activations.
    """

    values: Float[Tensor, "token k"]
    index: Int[Tensor, "token k"]

    def dense(self, features: int) -> Float[Tensor, "token feature"]:
        """Fill in every feature, active or not."""
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
    """Find the features of `x W_enc + b_enc` that `activation` leaves active.

    Pre-activations are computed in tiles (tokens by features), and the largest so far are
    kept: beyond the result, memory is that of a tile, for any number of tokens and
    features.
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
    """Sum the decoder rows of the active features: k rows per token instead of all."""
    if _TRITON and _kernel_serves(features.values, W_dec, b_dec):
        from polyrot.sae.triton_decode import decode

        return decode(features.values, features.index, W_dec, b_dec)
    return embedding_bag(
        features.index, W_dec, per_sample_weights=features.values, mode="sum"
    ).add_(b_dec)


def _kernel_serves(*tensors: Tensor) -> bool:
    """Return whether the Triton kernel does what eager torch does: no tape, float32 sums."""
    return all(t.is_cuda and t.dtype != torch.float64 and not t.requires_grad for t in tensors)
