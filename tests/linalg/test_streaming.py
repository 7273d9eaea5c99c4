"""Moments summed in place: the numbers of the sums that allocate, whatever arrives how."""

from functools import reduce
from operator import add
from pathlib import Path

import pytest
import torch
from torch import Tensor

import polyrot as pr
from polyrot.linalg import streaming
from polyrot.linalg.moment_files import read_moments, write_moments
from polyrot.linalg.moments import Centred, Moments
from polyrot.linalg.streaming import JointMomentStream, MomentStream

FIELDS = ("source_mean", "target_mean", "source", "target", "cross")


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def streamed(chunks: list[tuple[Tensor, Tensor]]) -> Moments:
    stream = MomentStream()
    for source, target in chunks:
        stream.add(source, target)
    return stream.finish()


def one_by_one(chunks: list[tuple[Tensor, Tensor]]) -> Moments:
    """As they are defined: the moments of every chunk, added up."""
    parts = [Moments.from_centred(Centred.of("x", x), Centred.of("y", y)) for x, y in chunks]
    return reduce(add, parts)


def equal(actual: Moments, expected: Moments) -> None:
    assert actual.count == expected.count
    for name in FIELDS:
        assert torch.equal(getattr(actual, name), getattr(expected, name)), name


@pytest.mark.parametrize(("d", "e"), [(6, 6), (5, 9), (9, 5)])
def test_summing_in_place_alters_no_bit(d: int, e: int) -> None:
    chunks = [(normal(n, d, seed=n) + 3, normal(n, e, seed=n + 1)) for n in (40, 2, 300, 17)]
    equal(streamed(chunks), one_by_one(chunks))


def test_an_array_is_a_stream_of_its_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "CHUNK", 64)
    x, y = normal(300, 6, seed=0), normal(300, 6, seed=1)
    chunks = list(zip(x.split(64), y.split(64), strict=True))
    equal(Moments.from_arrays(x, y), one_by_one(chunks))


def test_wide_activations_come_in_shorter_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "CHUNK_NUMBERS", 6 * 50)
    x, y = normal(120, 6, seed=0), normal(120, 6, seed=1)
    chunks = list(zip(x.split(50), y.split(50), strict=True))
    equal(Moments.from_arrays(x, y), one_by_one(chunks))


def test_what_is_added_stays_as_it_was() -> None:
    x, y = normal(50, 4, seed=0).double(), normal(50, 4, seed=1).double()
    before = x.clone(), y.clone()
    first, second = streamed([(x, y)]), streamed([(x, y)])
    kept = first.cross.clone()
    stream = MomentStream()
    stream.merge(first)
    stream.merge(second)
    stream.add(x, y)
    assert stream.finish().count == 150
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])
    assert torch.equal(first.cross, kept)
    assert torch.equal(second.cross, kept)


def test_moments_of_other_tokens_merge_as_they_add() -> None:
    parts = [streamed([(normal(n, 4, seed=n), normal(n, 4, seed=n + 1))]) for n in (30, 50, 7)]
    stream = MomentStream()
    for part in parts:
        stream.merge(part)
    equal(stream.finish(), reduce(add, parts))


def test_all_pairs_share_what_they_have_in_common() -> None:
    names = ("a", "b", "c")
    sets = {name: normal(80, 5, seed=i) for i, name in enumerate(names)}
    pairs = [("a", "b"), ("b", "a"), ("c", "a")]
    stream = JointMomentStream(pairs)
    for first in range(0, 80, 20):
        stream.add({name: x[first : first + 20] for name, x in sets.items()})
    joint = stream.finish()
    assert list(joint) == pairs
    for (a, b), moments in joint.items():
        equal(moments, streamed(list(zip(sets[a].split(20), sets[b].split(20), strict=True))))
    assert joint["a", "b"].source is joint["c", "a"].target
    again = JointMomentStream(pairs)
    again.merge(joint)
    again.merge(joint)
    equal(again.finish()["c", "a"], joint["c", "a"] + joint["c", "a"])


def test_a_finished_stream_is_empty() -> None:
    x = normal(20, 4, seed=0)
    stream = MomentStream()
    stream.add(x, x)
    first = stream.finish()
    with pytest.raises(ValueError, match="at least one chunk of source and target but got none"):
        stream.finish()
    stream.add(x[:5], x[:5])
    assert (first.count, stream.finish().count) == (20, 5)


def test_errors_say_what_is_wrong() -> None:
    x = normal(20, 4, seed=0)
    stream = MomentStream()
    stream.add(x, x)
    with pytest.raises(ValueError, match="source and target of the same tokens but got 20 and 19"):
        stream.add(x, x[1:])
    with pytest.raises(ValueError, match=r"'source': 4, 'target': 4}, but got .*'target': 3"):
        stream.add(x, x[:, 1:])
    with pytest.raises(ValueError, match="target to be finite but 1 of its 20 tokens"):
        stream.add(x, torch.where(torch.arange(20)[:, None] == 3, torch.nan, x))
    with pytest.raises(ValueError, match="source with at least 2 tokens but got 1"):
        stream.add(x[:1], x[:1])
    assert stream.finish().count == 20  # what was refused left nothing behind


def test_streamed_moments_fit_as_arrays_do() -> None:
    x = normal(400, 8, seed=0)
    y = x @ pr.haar.sample(8, seed=1).float()
    chunks = list(zip(x.split(100), y.split(100), strict=True))
    fit = pr.align(moments=streamed(chunks[:3]), holdout_moments=streamed(chunks[3:]))
    torch.testing.assert_close(fit.rotation, pr.haar.sample(8, seed=1), rtol=0, atol=1e-6)
    assert fit.ev > 0.999999


def test_moments_come_back_from_their_files(tmp_path: Path) -> None:
    sets = {name: normal(40, 5, seed=i) for i, name in enumerate(("a", "b", "c"))}
    stream = JointMomentStream([("a", "b"), ("c", "a")])
    stream.add(sets)
    joint = stream.finish()
    write_moments(tmp_path, joint)
    assert len(list(tmp_path.glob("*.npy"))) == 3 + 3 + 2  # means, sides, crosses: each once
    back = read_moments(tmp_path)
    assert list(back) == list(joint)
    for pair, moments in joint.items():
        equal(back[pair], moments)
    equal(read_moments(tmp_path, ("c", "a"))["c", "a"], joint["c", "a"])
    back["a", "b"].cross.zero_()
    equal(read_moments(tmp_path)["a", "b"], joint["a", "b"])
    with pytest.raises(KeyError, match="Expected pairs among .* but got .*'b', 'c'"):
        read_moments(tmp_path, ("b", "c"))
    with pytest.raises(FileNotFoundError):
        read_moments(tmp_path / "nowhere")
