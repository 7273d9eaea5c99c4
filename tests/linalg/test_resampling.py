"""Refits to resampled tokens: from sums over blocks, against the tokens themselves."""

import numpy as np
import pytest
import torch
from torch import Tensor

import polyrot as pr
from polyrot.linalg import resampling
from polyrot.linalg.procrustes import explained_variance


def pair(tokens: int, d: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(tokens, d, generator=draw) * torch.logspace(0, -2, d) + 3
    return x, x @ pr.haar.sample(d, seed=1).float() + 0.2 * torch.randn(tokens, d, generator=draw)


def test_a_refit_is_the_fit_of_the_rows_that_it_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "AT_ONCE", 3 * 2 * 25)  # three refits at a time
    x, y = pair(400)
    dealt, drawn = [], []
    deal, draw = resampling._deal, resampling._drawn
    monkeypatch.setattr(resampling, "_deal", lambda *a: dealt.extend(deal(*a)) or dealt)
    monkeypatch.setattr(resampling, "_drawn", lambda *a: drawn.extend(draw(*a)) or np.array(drawn))
    sequence, shares = torch.arange(400) // 8, []
    found = pr.bootstrap(
        x,
        y,
        sequence=sequence,
        blocks=7,
        draws=8,
        seed=2,
        progress=lambda share, what: shares.append(share),
    )
    assert shares == [3 / 8, 6 / 8, 1.0]
    assert sorted(torch.cat(dealt).tolist()) == list(range(400))
    assert all(len(set(sequence[own].tolist())) in {7, 8} for own in dealt)
    whole = pr.align(x, y, holdout=0).rotation
    for counts, ev, distance in zip(drawn, found.ev, found.distance, strict=True):
        rows = torch.cat([own for own, n in zip(dealt, counts, strict=True) for _ in range(int(n))])
        rest = torch.cat([own for own, n in zip(dealt, counts, strict=True) if n == 0])
        refit = pr.align(x[rows], y[rows], holdout=0)
        scored = explained_variance(refit, pr.Moments.from_arrays(x[rest], y[rest]))
        assert float(ev) == pytest.approx(scored, abs=1e-11)
        apart = float(torch.linalg.matrix_norm(refit.rotation - whole))
        assert float(distance) == pytest.approx(apart, abs=1e-9)


def test_the_interval_covers_what_other_tokens_give() -> None:
    # Of 40 sets of tokens of one pair of models, nearly all cover what a million tokens give.
    x, y = pair(100_000, seed=5)
    truth = pr.align(x, y).ev
    covered, widths = 0, []
    for seed in range(40):
        low, high = pr.bootstrap(*pair(600, seed=100 + seed), draws=100, seed=seed).interval()
        covered += low <= truth <= high
        widths.append(high - low)
    assert covered >= 34
    assert 0 < np.mean(widths) < 0.1
    low, high = pr.bootstrap(*pair(9600, seed=7), draws=100).interval()
    assert high - low < np.mean(widths) / 2


def test_two_runs_agree_and_seeds_differ() -> None:
    x, y = pair(300)
    first, again, other = (pr.bootstrap(x, y, draws=20, seed=s) for s in (0, 0, 1))
    assert torch.equal(first.ev, again.ev)
    assert not torch.equal(first.ev, other.ev)


def test_sequences_are_drawn_whole() -> None:
    # Tokens that repeat within a sequence tell no more than one of them does.
    x, y = pair(60)
    x, y = x.repeat_interleave(50, 0), y.repeat_interleave(50, 0)
    whole = pr.bootstrap(x, y, sequence=torch.arange(3000) // 50, draws=100)
    apart = pr.bootstrap(x, y, sequence=torch.arange(3000), draws=100)
    assert float(whole.ev.std()) > 2 * float(apart.ev.std())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: pr.bootstrap(x, x[:9]), "90 and 9 tokens"),
        (lambda x: pr.bootstrap(x, x[:, :3]), "one d_model but got 5 and 3"),
        (lambda x: pr.bootstrap(x, x, blocks=2), "got blocks=2"),
        (lambda x: pr.bootstrap(x, x, draws=0), "got draws=0"),
        (lambda x: pr.bootstrap(x, x, sequence=torch.zeros(90)), "and 1 sequences"),
        (lambda x: pr.bootstrap(x, 0 * x), "Expected target to vary"),
        (lambda x: pr.bootstrap(x, x, sequence=torch.zeros(3)), r"shape \[token\] = \(90,\)"),
    ],
)
def test_errors_name_the_argument(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(pair(90)[0])
