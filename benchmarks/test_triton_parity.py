"""The Triton decoding kernel gives what eager torch gives; interpreted, so without a GPU."""

import os
import subprocess
import sys

import pytest

PARITY = """
import torch
from polyrot.sae.sparse import SparseFeatures, decode_sparse
from polyrot.sae.triton_decode import decode

dtype = torch.{dtype}
generator = torch.Generator().manual_seed(0)

def normal(*shape):
    return torch.randn(*shape, generator=generator).to(dtype)

for tokens, features, k, d_model in (
    (5, 64, 8, 32),
    (3, 40, 40, 48),  # all features on; a width that is no power of two
    (4, 16, 1, 1),
    (0, 16, 2, 8),
    (2, 32, 4, 1_100),  # three programs a token
):
    index = torch.rand(tokens, features, generator=generator).topk(k, dim=1).indices
    values, W_dec, b_dec = normal(tokens, k), normal(features, d_model), normal(d_model)
    # As autoencoders come: the decoder may be a view of a transposed matrix.
    for decoder in (W_dec, W_dec.mT.contiguous().mT):
        found = decode(values, index, decoder, b_dec)
        assert found.dtype == dtype
        exact = decode_sparse(SparseFeatures(values.float(), index), W_dec.float(), b_dec.float())
        torch.testing.assert_close(found, exact.to(dtype))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Triton is built for Linux alone")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_kernel_equals_the_eager_path(dtype: str) -> None:
    """In a process of its own: Triton reads the variable when it is imported."""
    subprocess.run(
        [sys.executable, "-c", PARITY.format(dtype=dtype)],
        env=os.environ | {"TRITON_INTERPRET": "1"},
        check=True,
    )
