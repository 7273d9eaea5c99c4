"""Moments that pairs of large activation sets share, against those of each pair alone."""

from dataclasses import replace

import pytest
import torch

from polyrot.capabilities import controls as worlds
from polyrot.capabilities import joint_pairs, pairs
from polyrot.capabilities.joint_pairs import JointPairs
from polyrot.capabilities.pairs import Pair
from polyrot.linalg.moments import Moments

D, TOKENS = 6, 500
SETS = torch.randn(3, TOKENS, D, generator=torch.Generator().manual_seed(0)).unbind(0)
HELD_OUT = torch.arange(TOKENS) % 4 == 1


@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "KEPT_NUMBERS", 0)
    monkeypatch.setattr(joint_pairs, "CHUNK", 60)


def pair(source: int, target: int, joint: JointPairs | None) -> Pair:
    def no_sae() -> None:
        raise AssertionError("no autoencoder is asked for")

    return Pair(
        seeds=(source, target),
        site="resid_post.0",
        source=SETS[source],
        target=SETS[target],
        before_training=lambda: (SETS[source], SETS[target]),
        held_out=HELD_OUT,
        load_sae=no_sae,
        joint=joint,
    )


def same(found: Moments, expected: Moments) -> None:
    assert found.count == expected.count
    for name in ("source_mean", "target_mean", "source", "target", "cross"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize(("source", "target"), [(0, 1), (2, 0), (2, 1)])
def test_moments_of_a_pair_are_those_of_the_pair_alone(source: int, target: int) -> None:
    joint = JointPairs(SETS, HELD_OUT)
    shared, alone = (pair(source, target, j).moments for j in (joint, None))
    for found, expected in zip(shared, alone, strict=True):
        same(found, expected)
    whole, nothing = pair(source, target, joint).as_published().moments
    same(whole, Moments.from_arrays(SETS[target], SETS[source]))
    assert nothing is None


def test_what_pairs_have_in_common_is_kept_once() -> None:
    joint = JointPairs(SETS, HELD_OUT)
    there, back = (pair(*seeds, joint).moments[0] for seeds in ((0, 1), (1, 0)))
    assert there.source.data_ptr() == back.target.data_ptr()
    assert there.cross.data_ptr() == back.cross.data_ptr()


@pytest.mark.parametrize("world", [worlds.shuffled_tokens, worlds.matched_gaussian])
def test_a_control_is_never_given_the_moments_of_the_models(world) -> None:
    changed = world(pair(0, 1, JointPairs(SETS, HELD_OUT)))
    same(changed.moments[0], replace(changed, joint=None).moments[0])
    models = pair(0, 1, None).moments[0]
    assert not torch.allclose(changed.moments[0].cross, models.cross, atol=1.0)
    other = replace(pair(0, 1, JointPairs(SETS, HELD_OUT)), held_out=~HELD_OUT)
    same(other.moments[0], Moments.from_arrays(SETS[1][HELD_OUT], SETS[0][HELD_OUT]))
