"""Decoding of sparse features by one Triton kernel: the optional extra `triton`, only on CUDA.

`torch.nn.functional.embedding_bag` writes the sums before the bias is added; here a program
holds a stretch of one token's reconstruction in registers from bias to result.
"""

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int
from torch import Tensor

BLOCK = 512
"""Dimensions of a token that one program sums."""


@triton.jit
def _decode_kernel(values, index, W_dec, b_dec, out, k, d_model, BLOCK: tl.constexpr):
    # 64 bits: with many tokens, token times d_model overflows 32.
    token = tl.program_id(0).to(tl.int64)
    dimension = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = dimension < d_model
    total = tl.load(b_dec + dimension, mask=inside, other=0.0).to(tl.float32)
    for j in range(k):
        value = tl.load(values + token * k + j).to(tl.float32)
        feature = tl.load(index + token * k + j)
        row = tl.load(W_dec + feature * d_model + dimension, mask=inside, other=0.0)
        total += value * row.to(tl.float32)
    tl.store(out + token * d_model + dimension, total, mask=inside)


def decode(
    values: Float[Tensor, "token k"],
    index: Int[Tensor, "token k"],
    W_dec: Float[Tensor, "feature d_model"],
    b_dec: Float[Tensor, " d_model"],
) -> Float[Tensor, "token d_model"]:
    """Sum the active decoder rows and the bias, in float32, without a gradient.

    All on one device; Triton interprets the kernel on a CPU if TRITON_INTERPRET=1 was set
    before it was imported, so the kernel's test needs no accelerator.
    """
    tokens, k = values.shape
    d_model = W_dec.shape[1]
    out = torch.empty(tokens, d_model, dtype=W_dec.dtype, device=W_dec.device)
    if tokens:
        block = min(BLOCK, triton.next_power_of_2(d_model))
        operands = [t.contiguous() for t in (values, index, W_dec, b_dec)]
        grid = (tokens, triton.cdiv(d_model, block))
        with torch.cuda.device_of(W_dec):  # not on whichever device is current
            _decode_kernel[grid](*operands, out, k, d_model, BLOCK=block)
    return out
