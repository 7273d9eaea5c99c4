"""All pairs of several seeds at once, against one pair at a time."""

from itertools import permutations

import pytest
import torch
from torch import Tensor

import polyrot as pr


def seeds(count: int, tokens: int = 640, d: int = 6) -> list[Tensor]:
    """Seeds that share a signal, each in a basis of its own, with noise and an offset."""
    draw = torch.Generator().manual_seed(0)
    signal = torch.randn(tokens, d, generator=draw) * torch.logspace(0, -3, d)
    turns = pr.haar.sample(d, count, group="O", seed=1).float()
    noise = torch.randn(count, tokens, d, generator=draw)
    return [signal @ turn + 0.05 * own + 7 for turn, own in zip(turns, noise, strict=True)]


@pytest.mark.parametrize("group", ["O", "SO", "scaled"])
@pytest.mark.parametrize("holdout", [0.25, 0.0])
def test_every_pair_is_that_of_align(
    group: str, holdout: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("polyrot.linalg.all_pairs.AT_ONCE", 2 * 36)  # two pairs a batch
    sets, shares = seeds(4), []
    sequence = torch.arange(640) // 10
    kwargs = {"group": group, "holdout": holdout, "sequence": sequence, "seed": 3}
    found = pr.align_pairs(sets, progress=lambda share, what: shares.append(share), **kwargs)
    assert set(found) == set(permutations(range(4), 2))
    assert shares == [2 / 6, 4 / 6, 1.0]
    for (a, b), fit in found.items():
        alone = pr.align(sets[a], sets[b], **kwargs)
        torch.testing.assert_close(fit.rotation, alone.rotation, rtol=0, atol=1e-10)
        torch.testing.assert_close(fit.singular_values, alone.singular_values)
        assert fit.scale == pytest.approx(alone.scale, rel=1e-12)
        assert fit.ev_fit == pytest.approx(alone.ev_fit, abs=1e-12)
        assert fit.ev == pytest.approx(alone.ev, abs=1e-12, nan_ok=True)
        assert fit.identifiable_rank == alone.identifiable_rank
        assert (fit.group, fit.seed) == (group, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: pr.align_pairs([x]), "at least 2 activation sets but got 1"),
        (lambda x: pr.align_pairs([x, x[:9]]), "640 and 9 tokens"),
        (lambda x: pr.align_pairs([x, x[:, :4]]), r"of one d_model but got \[6, 4\]"),
        (lambda x: pr.align_pairs([x, x], group="affine"), "got group='affine'"),
        (lambda x: pr.align_pairs([x, x * 0]), "Expected target to vary"),
        (lambda x: pr.align_pairs([x, x * torch.nan]), r"activations\[1\] to be finite"),
    ],
)
def test_errors_name_the_argument(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(seeds(1)[0])
