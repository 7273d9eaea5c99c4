"""Cross-moments of arrays: equal to the whole moments, without either side's covariance."""

import math
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, is_tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import polyrot as pr
from polyrot.linalg import cross
from polyrot.linalg.cross import cross_moments
from polyrot.linalg.moments import Moments
from polyrot.linalg.procrustes import COMPETITORS


def activations(*shape: int, seed: int, offset: float = 0.0) -> Tensor:
    """Gains over four orders of magnitude and an offset, as residual streams have them."""
    normal = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return normal * torch.logspace(0, -4, shape[1]) + offset


@given(st.integers(2, 9), st.integers(2, 9), st.integers(2, 90), st.integers(0, 99))
def test_they_are_those_of_the_moments(d: int, e: int, tokens: int, seed: int) -> None:
    x, y = activations(tokens, d, seed=seed, offset=5), activations(tokens, e, seed=seed + 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cross, "NUMBERS", 40)
        (found,) = cross_moments([x, y], [(0, 1)], torch.arange(tokens))
    whole = Moments.from_arrays(x, y)
    assert found.count == whole.count
    for name in ("source_mean", "target_mean", "cross"):
        own, other = getattr(found, name), getattr(whole, name)
        torch.testing.assert_close(own, other, rtol=0, atol=1e-11)
    assert found.source_variance == pytest.approx(whole.source_variance, rel=1e-11)
    assert found.target_variance == pytest.approx(whole.target_variance, rel=1e-11)
    torch.testing.assert_close(found.complete().source, whole.source, rtol=0, atol=1e-11)


def test_a_large_offset_costs_no_digits() -> None:
    x, y = activations(4000, 6, seed=0), activations(4000, 6, seed=1)
    plain = pr.align(x.double(), y.double(), holdout=0)
    moved = pr.align(x.double() + 1e6, y.double() - 1e6, holdout=0)
    torch.testing.assert_close(plain.rotation, moved.rotation, rtol=0, atol=1e-6)
    assert moved.ev_fit == pytest.approx(plain.ev_fit, abs=1e-8)


def test_some_tokens_of_several_sets_in_one_pass() -> None:
    sets = [activations(200, 5, seed=i) for i in range(3)]
    tokens = torch.randperm(200, generator=torch.Generator().manual_seed(0))[:70]
    pairs = [(0, 1), (2, 0), (1, 1)]
    for (a, b), found in zip(pairs, cross_moments(sets, pairs, tokens), strict=True):
        whole = Moments.from_arrays(sets[a][tokens], sets[b][tokens])
        torch.testing.assert_close(found.cross, whole.cross, rtol=0, atol=1e-11)


@pytest.mark.parametrize("group", ["O", "SO", *COMPETITORS])
def test_arrays_and_moments_are_fitted_alike_by_every_group(group: str) -> None:
    x, y = activations(400, 6, seed=0), activations(400, 6, seed=1)
    y = y + x @ pr.haar.sample(6, seed=2).float()
    fit = pr.align(x, y, group=group, seed=3)
    held = ~torch.isin(torch.arange(400), fit_tokens(400, seed=3))
    by_moments = pr.align(
        moments=Moments.from_arrays(x[~held], y[~held]),
        holdout_moments=Moments.from_arrays(x[held], y[held]),
        group=group,
        seed=3,
    )
    torch.testing.assert_close(fit.rotation, by_moments.rotation, rtol=0, atol=1e-9)
    assert fit.scale == pytest.approx(by_moments.scale, rel=1e-11)
    assert fit.ev_fit == pytest.approx(by_moments.ev_fit, abs=1e-11)
    assert fit.ev == pytest.approx(by_moments.ev, abs=1e-11)
    assert fit.identifiable_rank == by_moments.identifiable_rank
    there, back = fit.inverse().moments, by_moments.inverse().moments
    torch.testing.assert_close(there.source, back.source, rtol=0, atol=1e-11)


def fit_tokens(count: int, seed: int) -> Tensor:
    """The tokens that `align` fits: blocks of 25 of 400 tokens, three quarters of them."""
    order = torch.randperm(count // 25, generator=torch.Generator().manual_seed(seed))
    return (order[count // 100 :, None] * 25 + torch.arange(25)).flatten()


def test_the_rest_of_the_moments_is_of_the_tokens_that_were_fitted() -> None:
    x, y = activations(300, 5, seed=0), activations(300, 5, seed=1)
    fit = pr.align(x, y)
    again = pickle.loads(pickle.dumps(fit))  # noqa: S301 - the test's own
    assert torch.equal(again.moments.source, fit.moments.source)
    kept, late = fit.moments.source.clone(), pr.align(x, y)
    x.copy_(x.roll(1, 0))  # the same variance, other pairs
    assert torch.equal(fit.moments.source, kept)
    with pytest.raises(ValueError, match="have been changed since; read `moments`"):
        _ = late.identifiable_rank
    late = pr.align(x, y)
    x *= 2
    with pytest.raises(ValueError, match="have been changed since"):
        _ = late.inverse().moments


class Largest(TorchDispatchMode):
    """The most bytes in one tensor that any operation makes anew."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes, self.known = 0, set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.known |= {x.untyped_storage().data_ptr() for x in tree_leaves(args) if is_tensor(x)}
        result = function(*args, **(kwargs or {}))
        for x in tree_leaves(result):
            if is_tensor(x) and x.untyped_storage().data_ptr() not in self.known:
                self.bytes = max(self.bytes, x.untyped_storage().nbytes())
        return result


@pytest.mark.seconds
def test_no_tensor_grows_with_the_tokens_but_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross, "NUMBERS", 16 * 16)
    sets = [activations(10_000, 16, seed=i) for i in range(3)]
    for call in (
        lambda: pr.align(*sets[:2]),
        lambda: pr.align(*sets[:2], group="affine").identifiable_rank,
        lambda: pr.align_pairs(sets),
        lambda: pr.bootstrap(*sets[:2], blocks=8, draws=3),
    ):
        with Largest() as largest:
            call()
        # An int64 for each token, a few times; a float32 copy of a set takes eight times that.
        assert largest.bytes <= 10_000 * 8
        # It counts: so small a chunk alone cannot explain it.
        assert largest.bytes >= 16 * 16 * 8


def test_a_split_that_leaves_one_token_says_so() -> None:
    x = activations(4, 3, seed=0)
    with pytest.raises(ValueError, match="at least 2 tokens on either side of the split but got 1"):
        pr.align(x, x, sequence=torch.arange(4))


@pytest.mark.parametrize("group", ["O", "affine"])
def test_held_out_tokens_that_do_not_vary_have_nothing_to_explain(group: str) -> None:
    x, sequence = activations(60, 3, seed=0), torch.arange(60) // 20
    found = []
    for constant in range(3):  # whichever of the sequences is held out
        y = x.clone()
        y[sequence == constant] = 1.5
        found.append(pr.align(x, y, group=group, holdout=0.4, sequence=sequence).ev)
    assert sum(map(math.isnan, found)) == 1


def test_gradients_are_not_traced() -> None:
    x = activations(50, 4, seed=0).requires_grad_()
    assert not pr.align(x, x).rotation.requires_grad
