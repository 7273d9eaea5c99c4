"""A TopK autoencoder: encode, select, decode."""

from collections.abc import Callable

import pytest
import sae_peers
import torch
from torch import Tensor

import polyrot as pr
from harness.group import Case, Contender, Group
from harness.measure import Measure
from polyrot.sae.metrics import reconstruct
from polyrot.sae.sparse import SparseFeatures

TOKENS = 1_024
SHAPES = (
    (64, 512, 32),
    (512, 4_096, 32),
    (512, 4_096, 64),
    (512, 16_384, 32),
    (512, 16_384, 64),
    (2_048, 16_384, 32),
    (2_048, 16_384, 64),
    (2_048, 65_536, 32),
)
CASES = tuple(
    Case(
        features,
        f"{d} {features} {k}",
        full=features == 65_536 or (d, k) == (2_048, 64),
        plotted=k == 32 and (d, features) != (2_048, 16_384),
        values={"d": d, "k": k, "tokens": TOKENS if features < 65_536 else 256},
    )
    for d, features, k in SHAPES
)
FORWARD = Group(
    "sae-forward",
    "A TopK autoencoder, encode and decode",
    CASES,
    axis="d F k",
    unit="token",
    error="largest difference from dense, of the largest reconstruction",
    note=f"{TOKENS:,} tokens at a time, 256 at F = 65,536. `memory` is the peak beyond the "
    "weights and the tokens.",
    devices=("cpu", "cuda"),
)
DECODE = Group(
    "sae-decode",
    "A TopK autoencoder, decode alone",
    CASES,
    axis="d F k",
    unit="token",
    error="largest difference from dense, of the largest reconstruction",
    note="Dense is what does not use the sparsity: scatter to F features, then multiply.",
    devices=("cpu", "cuda"),
)


@FORWARD.contender("polyrot", ours=True)
def ours(sae: pr.SAE) -> Callable[[Tensor], Tensor]:
    return lambda x: reconstruct(sae, x)


@FORWARD.contender("dense, torch.topk")
def dense(sae: pr.SAE) -> Callable[[Tensor], Tensor]:
    return lambda x: sae.decode(sae.encode(x))


FORWARD.contender("SAELens", at_least=1, needs="sae_lens")(sae_peers.saelens)
FORWARD.contender("dictionary_learning", at_least=1, needs="dictionary_learning")(
    sae_peers.dictionary_learning
)


@FORWARD.contender("sparsify, eager", at_least=1, needs="sparsify")
def sparsify(sae: pr.SAE) -> Callable[[Tensor], Tensor]:
    peer = sae_peers.sparsify(sae)
    return lambda x: peer.decode(*peer.encode(x)[:2])


@pytest.mark.group(FORWARD)
@torch.no_grad()
def test_forward(case: Case, contender: Contender, measure: Measure, device: str) -> None:
    d, features, k = case["d"], case.size, case["k"]
    sae = sae_peers.autoencoder(d, features, k, device)
    x = sae_peers.tokens(case["tokens"], d, device)
    forward = contender.run(sae)
    found = measure(
        lambda: forward(x),
        per=len(x),
        operations=2 * len(x) * d * features,  # of the encoder, which nothing avoids
        bytes_moved=4 * d * features,
        precision="float32",
        memory=True,
    )
    measure.agrees(_apart(found, sae.decode(sae.encode(x))), at_most=1e-4)


@DECODE.contender("polyrot", ours=True)
def sparse_decode(sae: pr.SAE) -> Callable[[SparseFeatures], Tensor]:
    return sae.decode_sparse


@DECODE.contender("scatter, then multiply", at_least={16_384: 10})
def dense_decode(sae: pr.SAE) -> Callable[[SparseFeatures], Tensor]:
    return lambda features: sae.decode(features.dense(sae.features))


@DECODE.contender("sparsify, eager", needs="sparsify")
def sparsify_decode(sae: pr.SAE) -> Callable[[SparseFeatures], Tensor]:
    peer = sae_peers.sparsify(sae)
    return lambda features: peer.decode(features.values, features.index)


@pytest.mark.group(DECODE)
@torch.no_grad()
def test_decode(case: Case, contender: Contender, measure: Measure, device: str) -> None:
    d, k = case["d"], case["k"]
    sae = sae_peers.autoencoder(d, case.size, k, device)
    features = sae.encode_sparse(sae_peers.tokens(case["tokens"], d, device))
    decode = contender.run(sae)
    count = len(features.values)
    found = measure(
        lambda: decode(features),
        per=count,
        operations=2 * count * k * d,
        bytes_moved=4 * count * k * d,  # a row of the decoder for each feature that is on
        precision="float32",
    )
    measure.agrees(_apart(found, sae.decode(features.dense(sae.features))), at_most=1e-4)


def _apart(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())
