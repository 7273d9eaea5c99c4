"""Means, effects of ablation and estimates of them, on a linear model."""

from collections.abc import Callable

import planted
import pytest
import torch
from planted_streams import (
    BLOCKS,
    D,
    behind,
    draw,
    linear_model,
    output_inputs,
    same,
    some_means,
    stream,
    writes,
)
from torch import Tensor

from polyrot.interventions.attribution import attribution_patching, integrated_gradients
from polyrot.interventions.effects import (
    Inputs,
    ablation_effects,
    mean_loss,
    mean_outputs,
)
from polyrot.models.linear import LinearModel


@pytest.fixture
def linear() -> LinearModel:
    return linear_model()


def test_mean_outputs_weigh_tokens_alike_and_leave_out_padding(linear: LinearModel) -> None:
    batches, kept = [], []
    for seed, shape in ((1, (3, 4)), (2, (1, 7))):
        x = draw(*shape, D, seed=seed)
        real = torch.rand(shape, generator=planted.generator(seed)) < 0.6
        x[~real] = 1e6
        batches.append(Inputs(lambda x=x: linear(x), real, int(real.sum())))
        kept.append(x[real])
    expected = writes(linear, torch.cat(kept))
    means = mean_outputs(linear, batches)
    assert tuple(means) == BLOCKS
    for name, value in expected.items():
        same(means[name], value.mean(0))


def test_mean_loss_is_per_token_that_has_one(linear: LinearModel) -> None:
    first, second = draw(2, 3, D, seed=1), draw(1, 5, D, seed=2)
    batches = [output_inputs(linear, first), output_inputs(linear, second)]
    expected = torch.cat([first.flatten(0, 1), second.flatten(0, 1)]) @ behind(linear, 0)
    same(mean_loss(batches), expected.mean())


@pytest.mark.parametrize("estimate", [ablation_effects, attribution_patching, integrated_gradients])
def test_effects_on_a_linear_loss_are_exact(
    linear: LinearModel, estimate: Callable[..., Tensor]
) -> None:
    # Two batches of different sizes, so that only a mean over tokens is right.
    parts, means = (stream(), draw(1, 5, D, seed=2)), some_means()
    tokens = torch.cat([part.flatten(0, 1) for part in parts])
    expected = [
        ((means[name] - value) @ behind(linear, i + 1)).mean()
        for i, (name, value) in enumerate(writes(linear, tokens).items())
    ]
    effects = estimate(linear, means, [output_inputs(linear, part) for part in parts])
    assert effects.shape == (3,)
    assert float(effects.abs().min()) > 0.01
    same(effects, torch.stack(expected))


def test_effects_are_in_the_order_of_the_means_given(linear: LinearModel) -> None:
    means, inputs = some_means(), [output_inputs(linear, stream())]
    backwards = dict(reversed(means.items()))
    for estimate in (ablation_effects, attribution_patching, integrated_gradients):
        same(estimate(linear, backwards, inputs), estimate(linear, means, inputs).flip(0))


def test_the_mean_of_a_block_costs_nothing_where_the_loss_is_linear(linear: LinearModel) -> None:
    inputs = [output_inputs(linear, stream())]
    means = mean_outputs(linear, inputs)
    same(ablation_effects(linear, means, inputs), torch.zeros(3, dtype=torch.float64))


def test_the_gradient_alone_is_wrong_on_a_square_by_the_step_squared() -> None:
    # One dimension: x = 1, the block writes 2, the output is (1 + 2) * 3 = 9 and the loss 81.
    # With 0 for the 2 the output is 3 and the loss 9: an effect of -72.  The gradient at 9
    # promises 2 * 9 * (3 - 9) = -108, too much by (3 - 9)^2 = 36; that half way, at 6, is right.
    model = LinearModel(torch.tensor([[[2.0]]]), torch.tensor([3.0])).double()
    inputs = [output_inputs(model, torch.ones(1, 1, 1, dtype=torch.float64), power=2)]
    zero = {"block.0": torch.zeros(1, dtype=torch.float64)}
    assert ablation_effects(model, zero, inputs).tolist() == [-72]
    assert attribution_patching(model, zero, inputs).tolist() == [-108]
    assert integrated_gradients(model, zero, inputs, points=1).tolist() == [-72]
    assert integrated_gradients(model, zero, inputs, points=4).tolist() == [-72]
    # Read at the end of each step towards the output, at 9, 7.5, 6 and 4.5, it is short of that.
    assert integrated_gradients(model, zero, inputs, points=1, at=0).tolist() == [-108]
    assert integrated_gradients(model, zero, inputs, points=4, at=0).tolist() == [-81]


def test_integrated_gradients_take_the_midpoints_of_a_cube() -> None:
    # The same model: from 9^3 = 729 to 3^3 = 27.  Midpoints: 6; or 7.5 and 4.5.
    model = LinearModel(torch.tensor([[[2.0]]]), torch.tensor([3.0])).double()
    inputs = [output_inputs(model, torch.ones(1, 1, 1, dtype=torch.float64), power=3)]
    zero = {"block.0": torch.zeros(1, dtype=torch.float64)}
    assert ablation_effects(model, zero, inputs).tolist() == [-702]
    assert integrated_gradients(model, zero, inputs, points=1).tolist() == [-6 * 3 * 36]
    expected = -6 * 3 * (7.5**2 + 4.5**2) / 2
    assert integrated_gradients(model, zero, inputs, points=2).tolist() == [expected]


def test_a_square_behind_several_blocks(linear: LinearModel) -> None:
    x, means = stream(), some_means()
    inputs = [output_inputs(linear, x, power=2)]
    steps = torch.stack(
        [
            (means[name] - value) @ behind(linear, i + 1)
            for i, (name, value) in enumerate(writes(linear, x).items())
        ]
    )
    output = x @ behind(linear, 0)
    exact = (2 * output * steps + steps**2).mean((1, 2))
    same(ablation_effects(linear, means, inputs), exact)
    same(integrated_gradients(linear, means, inputs, points=1), exact)
    excess = (steps**2).mean((1, 2))
    assert float(excess.min()) > 0.1
    same(attribution_patching(linear, means, inputs), exact - excess)


def test_estimates_work_where_gradients_are_off(linear: LinearModel) -> None:
    means, inputs = some_means(), [output_inputs(linear, stream())]
    with torch.no_grad():
        for estimate in (attribution_patching, integrated_gradients):
            effects = estimate(linear, means, inputs)
            assert not effects.requires_grad
            same(effects, ablation_effects(linear, means, inputs))
