"""Sparse encoding and decoding: the dense result, at the cost of the features that are on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from planted_saes import D_MODEL, FEATURES, K, decided, normal, planted_sae

import polyrot as pr
from polyrot.sae.metrics import reconstruct
from polyrot.sae.sparse import SparseFeatures, decode_sparse, encode_sparse
from polyrot.sae.topk import topk_index


def whole_numbers(*shape: int, seed: int) -> torch.Tensor:
    """Small ones: sums of products are exact in any order, and many are equal."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-2, 3, shape, generator=generator).float()


def assert_selects(rows: torch.Tensor, index: torch.Tensor, k: int) -> None:
    """Distinct columns whose entries are the k largest, whichever of equal ones."""
    ordered = index.sort(1).values
    assert bool((ordered[:, 1:] > ordered[:, :-1]).all())
    found = rows.gather(1, index).sort(1, descending=True).values
    assert torch.equal(found, rows.topk(k, dim=1).values)


@given(st.integers(0, 7), st.integers(1, 700), st.floats(0, 1), st.booleans(), st.integers(0, 1000))
@example(3, 512, 0, True, 0)
@example(3, 512, 1, False, 0)
@example(0, 64, 0.5, False, 0)
def test_the_k_largest_are_those_of_torch(
    tokens: int, columns: int, share: float, ties: bool, seed: int
) -> None:
    k = 1 + round(share * (columns - 1))
    rows = (whole_numbers if ties else normal)(tokens, columns, seed=seed)
    for precision in (torch.float32, torch.float64, torch.bfloat16):
        assert_selects(rows.to(precision), topk_index(rows.to(precision), k), k)


@given(
    tokens=st.integers(0, 20),
    features=st.integers(1, 60),
    share=st.floats(0, 1),
    tile=st.tuples(st.integers(1, 25), st.integers(1, 70)),
    shift=st.sampled_from([-6.0, 0.0]),
    seed=st.integers(0, 1000),
)
@example(tokens=3, features=60, share=1, tile=(64, 7), shift=0, seed=0)
@example(tokens=20, features=60, share=0, tile=(7, 64), shift=-6, seed=0)
def test_tiles_give_what_one_dense_product_gives(
    tokens: int, features: int, share: float, tile: tuple[int, int], shift: float, seed: int
) -> None:
    k = 1 + round(share * (features - 1))
    x, W_enc = whole_numbers(tokens, 5, seed=seed), whole_numbers(5, features, seed=seed + 1)
    b_enc = whole_numbers(features, seed=seed + 2) + shift
    found = encode_sparse(x, W_enc, b_enc, pr.TopK(k), tile=tile)
    assert found.values.shape == found.index.shape == (tokens, k)
    pre = x @ W_enc + b_enc
    assert_selects(pre, found.index, k)
    assert torch.equal(found.values, pre.gather(1, found.index).relu())


@given(
    tokens=st.integers(0, 20),
    groups=st.integers(1, 20),
    rank=st.integers(1, 4),
    share=st.floats(0, 1),
    tile=st.tuples(st.integers(1, 25), st.integers(1, 90)),
    seed=st.integers(0, 1000),
)
def test_tiles_keep_the_groups_of_largest_norm(
    tokens: int, groups: int, rank: int, share: float, tile: tuple[int, int], seed: int
) -> None:
    activation = pr.GroupTopK(groups=1 + round(share * (groups - 1)), rank=rank)
    features = groups * rank
    x, W_enc = whole_numbers(tokens, 5, seed=seed), whole_numbers(5, features, seed=seed + 1)
    b_enc = whole_numbers(features, seed=seed + 2)
    found = encode_sparse(x, W_enc, b_enc, activation, tile=tile)
    pre = x @ W_enc + b_enc
    assert torch.equal(found.values, pre.gather(1, found.index))
    together = found.index.unflatten(1, (-1, rank))
    assert torch.equal(together, together[:, :, :1] + torch.arange(rank))
    energy = pre.unflatten(1, (groups, rank)).square().sum(2)
    assert_selects(energy, together[:, :, 0] // rank, activation.groups)


@pytest.mark.parametrize("apply_b_dec_to_input", [True, False])
def test_the_sparse_route_is_the_dense_one(apply_b_dec_to_input: bool) -> None:
    sae = planted_sae("topk", apply_b_dec_to_input=apply_b_dec_to_input)
    x = decided(sae, normal(700, D_MODEL, seed=7).double())
    found = sae.encode_sparse(x)
    assert found.values.shape == (len(x), K)
    torch.testing.assert_close(found.dense(FEATURES), sae.encode(x))
    torch.testing.assert_close(sae.decode_sparse(found), sae.decode(sae.encode(x)))
    torch.testing.assert_close(reconstruct(sae, x), sae.decode(sae.encode(x)))
    # Tokens of another precision are encoded in the autoencoder's, as they are densely.
    assert sae.encode_sparse(x.float()).values.dtype == torch.float64


def test_values_of_any_sign_are_decoded() -> None:
    generator = torch.Generator().manual_seed(0)
    index = torch.rand(50, 30, generator=generator).topk(4).indices
    features = SparseFeatures(normal(50, 4, seed=1).double(), index)
    W_dec, b_dec = normal(30, 6, seed=2).double(), normal(6, seed=3).double()
    expected = features.dense(30) @ W_dec + b_dec
    torch.testing.assert_close(decode_sparse(features, W_dec, b_dec), expected)


@pytest.mark.parametrize("activation", ["relu", "jumprelu"])
def test_what_leaves_any_number_on_is_not_encoded_sparsely(activation: str) -> None:
    sae = planted_sae(activation)
    with pytest.raises(ValueError, match=r"Expected TopK or GroupTopK but got (Jump)?ReLU, which"):
        sae.encode_sparse(normal(3, D_MODEL, seed=0))


def test_two_runs_are_equal_to_the_bit() -> None:
    x, W_enc = whole_numbers(600, 16, seed=0), whole_numbers(16, 900, seed=1)
    sae = pr.SAE(
        W_enc, torch.zeros(900), normal(900, 16, seed=2), torch.zeros(16), activation=pr.TopK(8)
    )
    assert torch.equal(reconstruct(sae, x), reconstruct(sae, x))


MEMORY = """
import json, sys, torch
from measure_memory import Peak
from polyrot.sae.metrics import reconstruct
from polyrot.sae.model import SAE
from polyrot.sae.activations import TopK
d, features, tokens = 8, 40_000, 4_000
sae = SAE(
    torch.randn(d, features), torch.zeros(features), torch.randn(features, d), torch.zeros(d),
    activation=TopK(4),
)
x = torch.randn(tokens, d)
reconstruct(sae, x[:600])
peak = Peak()
reconstruct(sae, x)
print(json.dumps(peak.since_last()))
"""


@pytest.mark.process
def test_memory_is_that_of_a_tile() -> None:
    """Dense features of these tokens would take 640 MB."""
    run = subprocess.run(
        [sys.executable, "-c", MEMORY],
        cwd=Path(__file__).parents[1] / "helpers",
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(run.stdout) < 64 * 2**20
