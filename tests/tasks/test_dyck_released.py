"""The draws of the released code: the distribution of polyrot's own, sequence by sequence."""

import numpy as np
import pytest

from polyrot.tasks import dyck
from polyrot.tasks.dyck_released import sample_as_released


def test_released_draws_have_the_distribution_of_the_vectorised_ones() -> None:
    released = sample_as_released(4, 512, seed=99)
    ours = dyck.sample_short(2_048, rng=np.random.default_rng(0))
    for batch in (released, ours):
        lengths = batch.lengths - 2
        assert (lengths.min(), lengths.max()) == (2, 48)
        assert lengths.mean() == pytest.approx(25, abs=1)
    for head in ("depth", "valid", "token"):
        shares = [np.bincount(b.labels[head][b.tokens != dyck.PAD]) for b in (released, ours)]
        shares = [counts / counts.sum() for counts in shares]
        assert np.abs(shares[0] - shares[1]).max() < 0.02


def test_batches_are_drawn_one_after_another() -> None:
    whole, first = sample_as_released(2, 16, seed=0), sample_as_released(1, 16, seed=0)
    np.testing.assert_array_equal(whole.tokens[:16], first.tokens)
    assert not np.array_equal(whole.tokens[16:], first.tokens)


def test_the_longest_sequences_are_cut_like_the_paper_cuts_them() -> None:
    batch = sample_as_released(1, 64, seed=1, lengths=(63, 63))
    assert batch.tokens.shape == (64, dyck.CONTEXT)
    assert not (batch.tokens == dyck.EOS).any()
