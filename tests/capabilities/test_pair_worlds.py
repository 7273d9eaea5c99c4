"""Worlds made from a pair's own fit: as noisy as the pair, and related by what they say."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor

from polyrot.capabilities import controls
from polyrot.capabilities.pairs import Pair
from polyrot.capabilities.rotations import explains_more, relative_norm
from polyrot.capabilities.streams import Streams
from polyrot.linalg import haar
from polyrot.linalg.battery import haar_fourth_power, power_trace
from polyrot.models.harvest import Activations

D, TOKENS = 12, 6_000
HELD_OUT = torch.arange(TOKENS) % 4 == 0


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@cache
def pair(noise: float = 0.6, scale: float = 3.0) -> Pair:
    """The target is the source turned by an eighth, scaled, with noise along few directions."""
    spread = torch.arange(1, D + 1) ** -0.5
    source = draw(TOKENS, D, seed=0) * spread + 1
    turn = haar.sample(D, group="SO", seed=1).float()
    residual = noise * draw(TOKENS, D, seed=2) * spread * (torch.arange(D) < 4)
    target = scale * (source + residual) @ turn - 2

    def untrained() -> tuple[Tensor, Tensor]:
        return draw(TOKENS, D, seed=3), draw(TOKENS, D, seed=4)

    def no_sae() -> None:
        raise AssertionError("no autoencoder is asked for")

    return Pair((0, 1), "resid_post.1", source, target, untrained, HELD_OUT, no_sae)


def test_a_pair_is_fitted_by_a_rotation_and_one_scale() -> None:
    aligned = pair().alignment
    # The scale shrinks what is noisy: 1/3 of a target with a signal of EV.
    assert aligned.scale == pytest.approx(aligned.ev / 3, rel=0.05)
    assert pair().as_published().alignment.scale == 1
    back = replace(pair(), source=pair().target, target=pair().source)
    assert back.alignment.ev_fit == pytest.approx(aligned.ev_fit)
    assert back.as_published().alignment.ev != pytest.approx(aligned.ev, abs=0.05)


def test_a_noise_matched_world_is_as_noisy_as_the_pair_and_otherwise_random() -> None:
    world = controls.noise_matched()(pair())
    models, matched = pair().alignment, world.alignment
    assert matched.ev == pytest.approx(models.ev, abs=0.01)
    assert matched.ev_fit == pytest.approx(models.ev_fit, abs=0.01)
    assert matched.scale == pytest.approx(models.scale, rel=0.02)
    assert float((matched.rotation - models.rotation).norm()) > 1
    other = controls.noise_matched(draw=1)(pair())
    assert float((other.alignment.rotation - matched.rotation).norm()) > 1
    # The noise lies where it lies in the pair: an affine map gains as much from shrinking it.
    gain, expected = (p.procrustes("affine").ev - p.alignment.ev for p in (world, pair()))
    assert expected > 0.01
    assert gain == pytest.approx(expected, abs=0.01)


def test_what_is_left_unexplained_is_dealt_out_to_other_tokens() -> None:
    noisy = controls.noise_matched()(pair())
    residual = noisy.alignment.apply(noisy.target) - noisy.source.double()
    own = pair().alignment.apply(pair().target) - pair().source.double()
    together = (residual * own).sum() / (residual.norm() * own.norm())
    assert abs(float(together)) < 0.7  # both shrink the source alike
    # Held-out tokens keep the residuals of held-out tokens.
    loud = pair().target.clone()
    loud[HELD_OUT] += 20 * draw(int(HELD_OUT.sum()), D, seed=5)
    world = controls.noise_matched()(pair().with_target(loud))
    size = (world.target - world.target[~HELD_OUT].mean(0)).square().sum(1)
    assert float(size[HELD_OUT].mean()) > 5 * float(size[~HELD_OUT].mean())


@pytest.mark.parametrize("condition", [3.0, 10.0])
def test_a_linear_world_at_the_pairs_ev_is_found_by_an_affine_map_alone(condition: float) -> None:
    world = controls.linear(condition)(pair())
    affine = world.procrustes("affine").ev
    assert affine - world.alignment.ev > 0.03
    turned = controls.noise_matched()(world)
    beyond = (affine - world.alignment.ev) - (turned.procrustes("affine").ev - turned.alignment.ev)
    assert beyond > 0.02


def with_private_noise(noise: float) -> Pair:
    """Source and target are a common signal of falling variances, turned, with noise on both."""
    signal = draw(TOKENS, D, seed=9) * torch.arange(1, D + 1) ** -1.0
    turn = haar.sample(D, group="SO", seed=1).float()
    sides = (signal + noise * draw(TOKENS, D, seed=seed) for seed in (10, 11))
    source, target = sides
    return replace(pair(), source=source, target=target @ turn)


def gain(of: Pair) -> float:
    return of.procrustes("affine").ev - of.alignment.ev


def test_noise_on_both_sides_is_matched_where_that_is_what_there_is() -> None:
    # The noise-matched Haar world, whose source is taken for noiseless, gains less than this.
    noisy = with_private_noise(0.5)
    world = controls.private_noise(noisy)
    assert gain(noisy) > 0.03
    assert gain(controls.noise_matched()(noisy)) < 0.7 * gain(noisy)
    assert gain(world) == pytest.approx(gain(noisy), abs=0.01)
    assert world.alignment.ev == pytest.approx(noisy.alignment.ev, abs=0.02)
    moved = float((world.alignment.rotation - noisy.alignment.rotation).norm())
    assert moved > 1


def test_noise_on_both_sides_does_not_pass_for_a_linear_map() -> None:
    linear = controls.linear(10.0)(with_private_noise(0.0))
    assert gain(linear) > gain(controls.private_noise(linear)) + 0.05


def test_noise_at_an_explained_variance() -> None:
    for explained in (0.3, 0.7):
        world = controls.haar_world(controls.noise_for(explained))(pair())
        assert world.alignment.ev == pytest.approx(explained, abs=0.02)


def test_a_map_explains_more_than_shuffled_tokens_only_where_there_is_one() -> None:
    assert explains_more(pair()) > 0.5
    assert abs(explains_more(controls.noise_clouds(pair()))) < 0.02
    assert abs(explains_more(controls.untrained_seeds(pair()))) < 0.02


def test_the_mean_shift_alone_turns_nothing() -> None:
    shifted = controls.mean_shift_alone(pair()).alignment
    assert torch.equal(shifted.rotation, torch.eye(D, dtype=torch.float64))
    moved = shifted.apply(pair().target[~HELD_OUT]).mean(0)
    torch.testing.assert_close(moved, pair().source[~HELD_OUT].double().mean(0), rtol=0, atol=1e-4)


class Shared(Streams):
    """Two seeds that share their first three coordinates."""

    def __init__(self) -> None:
        super().__init__("toy", (0, 1), ("resid_post.1",))

    @property
    def activations(self) -> Activations:
        code = 5 * draw(TOKENS, 3, seed=6)
        others = draw(TOKENS, D - 3, seed=7)
        turns = haar.sample(D - 3, 2, seed=8).float()
        sets = torch.stack([torch.cat([code, others @ turn], 1) for turn in turns])
        return Activations({"resid_post.1": sets}, torch.arange(TOKENS))

    @property
    def untrained_activations(self) -> Activations:
        raise AssertionError("nothing before training is asked for")

    @property
    def held_out(self) -> Tensor:
        return HELD_OUT

    @property
    def shared_coordinates(self) -> tuple[int, ...]:
        return (0, 1, 2)


def test_shared_coordinates_are_taken_out_before_a_rotation_is_judged() -> None:
    streams = Shared()
    (whole,), (free,) = (
        list(streams.pairs("resid_post.1", ordered=False, free=free)) for free in (False, True)
    )
    assert (whole.d_model, free.d_model) == (D, D - 3)
    # The shared coordinates fix three axes: a trace that is none of training's.
    assert float(torch.trace(whole.alignment.rotation[:3, :3])) == pytest.approx(3, abs=1e-3)
    assert streams.rotations()["resid_post.1"].shape == (1, D - 3, D - 3)
    assert streams.rotations(published=True)["resid_post.1"].shape == (1, D, D)


def test_statistics_of_rotations_by_hand() -> None:
    eye = torch.eye(4, dtype=torch.float64)
    assert relative_norm(eye) == 0
    assert relative_norm(-eye) == pytest.approx(2**0.5)
    assert [power_trace(eye, k) for k in (1, 2)] == [16.0, 4.5]
    matrices = haar.sample(30, 400, group="O", seed=0)
    for k in (1, 2, 3, 4):
        mean = sum(power_trace(matrix, k) for matrix in matrices) / 400
        assert mean == pytest.approx(1, abs=0.25)


def test_the_fourth_power_under_haar_is_not_that_of_gaussian_entries() -> None:
    found = float(30**2 * haar.sample(30, 400, group="O", seed=0).pow(4).mean())
    assert found == pytest.approx(haar_fourth_power(30), rel=0.01)
    assert abs(found - 3) > 0.1
