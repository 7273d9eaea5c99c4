"""Interventions against outcomes worked out by hand, and the estimates of their effects."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from itertools import permutations

import numpy as np
import planted
import pytest
import torch
from torch import Tensor, nn

from polyrot.interventions.attribution import attribution_patching, integrated_gradients
from polyrot.interventions.edit import ablated, adding, clamped_path, edited, recorded
from polyrot.interventions.effects import (
    Inputs,
    ablation_effects,
    dyck_inputs,
    mean_loss,
    mean_outputs,
)
from polyrot.interventions.places import places
from polyrot.models.linear import LinearBlock, LinearModel
from polyrot.models.training import to_tensors
from polyrot.models.transformer import StackedTransformer, TransformerConfig, stack_states
from polyrot.tasks import dyck

D = 6
BLOCKS = ("block.0", "block.1", "block.2")
HEADS = tuple(f"head.{i}.{h}" for i in range(2) for h in range(4))
COMPONENTS = (*HEADS[:4], "mlp.0", *HEADS[4:], "mlp.1")
READERS = ("into.attn.0", "into.mlp.0", "into.attn.1", "into.mlp.1", "into.unembed")
BATCH = dyck.sample(5, rng=np.random.default_rng(0), lengths=(2, 12))
SEEDS = (0, 1)


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=planted.generator(seed), dtype=torch.float64)


@pytest.fixture
def linear() -> LinearModel:
    """Three blocks, in float64."""
    return LinearModel.random(3, D, seed=0).double().requires_grad_(False)


def stream() -> Tensor:
    """What enters the linear model: three sequences of four tokens."""
    return draw(3, 4, D, seed=1)


def some_means() -> dict[str, Tensor]:
    """Where to clamp the blocks of the linear model: not their means, which cost nothing."""
    return {name: draw(D, seed=10 + i) for i, name in enumerate(BLOCKS)}


def behind(model: LinearModel, first: int) -> Tensor:
    """How far the output rises with each dimension of the stream before a block, by hand."""
    read = model.readout
    for block in list(model.blocks)[first:][::-1]:
        read = read + block.matrix @ read
    return read


def writes(model: LinearModel, x: Tensor) -> dict[str, Tensor]:
    """What each block adds to the stream, by hand."""
    first, second, third = (block.matrix for block in model.blocks)
    one = x @ first
    two = (x + one) @ second
    three = (x + one + two) @ third
    return {"block.0": one, "block.1": two, "block.2": three}


def output_inputs(model: nn.Module, x: Tensor, power: int = 1) -> Inputs:
    """Each token's output, or a power of it, as its loss."""
    real = torch.ones(x.shape[:-1], dtype=torch.bool)
    return Inputs(lambda: model(x) ** power, real, real.numel())


def same(actual: Tensor, expected: Tensor, tolerance: float = 1e-12) -> None:
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


# The linear model.


def test_by_hand_is_the_model_where_nothing_intervenes(linear: LinearModel) -> None:
    x = stream()
    same(linear(x), x @ behind(linear, 0))
    same(linear(x), (x + sum(writes(linear, x).values())) @ linear.readout)
    assert float(linear(x).abs().min()) > 0.01


@pytest.mark.parametrize(
    "site", [f"resid_{kind}.{i}" for kind in ("pre", "post") for i in range(3)]
)
def test_an_added_vector_reaches_the_output_through_the_blocks_behind(
    linear: LinearModel, site: str
) -> None:
    kind, i = site.split(".")
    first = int(i) + (kind == "resid_post")
    x, v = stream(), draw(D, seed=2)
    with adding(linear, site, v):
        same(linear(x), x @ behind(linear, 0) + v @ behind(linear, first))


def test_what_is_recorded_is_what_stands_there(linear: LinearModel) -> None:
    x = stream()
    one, two, three = writes(linear, x).values()
    sums = (x, x + one, x + one + two, x + one + two + three)
    sites = ("resid_pre.0", "resid_post.0", "resid_pre.2", "resid_post.2")
    readers = ("into.block.0", "into.block.1", "into.block.2", "into.unembed")
    with recorded(linear, *sites, *BLOCKS, *readers) as kept:
        linear(x)
    assert set(kept) == {*sites, *BLOCKS, *readers}
    for name, value in zip(sites + readers + BLOCKS, sums + sums + (one, two, three), strict=True):
        same(kept[name], value)


def test_a_recording_is_of_the_latest_run(linear: LinearModel) -> None:
    with recorded(linear, "resid_pre.0") as kept:
        linear(stream())
        linear(2 * stream())
    assert torch.equal(kept["resid_pre.0"], 2 * stream())


@pytest.mark.parametrize("i", range(3))
def test_an_ablated_block_writes_its_mean_and_blocks_behind_follow(
    linear: LinearModel, i: int
) -> None:
    x, mean = stream(), draw(D, seed=3)
    before = x + sum(list(writes(linear, x).values())[:i])
    with ablated(linear, {f"block.{i}": mean}):
        same(linear(x), (before + mean) @ behind(linear, i + 1))


def test_several_blocks_are_ablated_at_once(linear: LinearModel) -> None:
    x, means = stream(), some_means()
    first, third = means["block.0"], means["block.2"]
    with ablated(linear, {"block.0": first, "block.2": third}):
        second = (x + first) @ linear.blocks[1].matrix
        same(linear(x), (x + first + second + third) @ linear.readout)
    with ablated(linear, means):
        same(linear(x), (x + sum(means.values())) @ linear.readout)


@pytest.mark.parametrize("reader", ["into.block.1", "into.block.2", "into.unembed"])
def test_a_clamped_path_shows_the_mean_to_one_reader_alone(
    linear: LinearModel, reader: str
) -> None:
    x, mean = stream(), draw(D, seed=3)
    a, b, c = (block.matrix for block in linear.blocks)
    first = x @ a
    swap = {"into.block.1": 0, "into.block.2": 0, "into.unembed": 0, reader: mean - first}
    second = (x + first + swap["into.block.1"]) @ b
    third = (x + first + second + swap["into.block.2"]) @ c
    expected = (x + first + second + third + swap["into.unembed"]) @ linear.readout
    assert not torch.allclose(expected, linear(x))
    with recorded(linear, "block.0") as kept, clamped_path(linear, "block.0", reader, mean):
        same(linear(x), expected)
    same(kept["block.0"], first)


def test_a_path_from_the_middle_is_clamped(linear: LinearModel) -> None:
    x, mean = stream(), draw(D, seed=3)
    first, second, third = writes(linear, x).values()
    seen = x + first + mean
    with clamped_path(linear, "block.1", "into.block.2", mean):
        expected = (x + first + second + seen @ linear.blocks[2].matrix) @ linear.readout
        same(linear(x), expected)
    with clamped_path(linear, "block.1", "into.unembed", mean):
        same(linear(x), (seen + third) @ linear.readout)


def test_an_edit_of_a_reader_is_seen_by_it_alone(linear: LinearModel) -> None:
    x, v = stream(), draw(D, seed=3)
    second = writes(linear, x)["block.1"]
    names = ("resid_post.0", "into.block.1", "resid_post.1")
    with edited(linear, {"into.block.1": lambda x: x + v}), recorded(linear, *names) as kept:
        output = linear(x)
    extra = v @ linear.blocks[1].matrix
    same(output, x @ behind(linear, 0) + extra @ behind(linear, 2))
    same(kept["into.block.1"], kept["resid_post.0"] + v)
    same(kept["resid_post.1"], kept["resid_post.0"] + second + extra)


@pytest.mark.parametrize("backwards", [False, True])
def test_clamped_paths_in_a_row_are_clamped_in_either_order(
    linear: LinearModel, backwards: bool
) -> None:
    x, means = stream(), some_means()
    a, b, c = (block.matrix for block in linear.blocks)
    first = x @ a
    second = (x + means["block.0"]) @ b
    third = (x + first + means["block.1"]) @ c
    expected = (x + first + second + third) @ linear.readout
    paths = [("block.0", "into.block.1"), ("block.1", "into.block.2")]
    with ExitStack() as both:
        for component, reader in paths[::-1] if backwards else paths:
            both.enter_context(clamped_path(linear, component, reader, means[component]))
        same(linear(x), expected)


BLOCK_0 = ("resid_pre.0", "into.block.0", "block.0", "resid_post.0")


@pytest.mark.parametrize(("outer", "inner"), list(permutations(BLOCK_0, 2)))
def test_places_of_one_block_are_reached_in_the_order_of_the_run(
    linear: LinearModel, outer: str, inner: str
) -> None:
    # As in the small transformer, whose places are modules of their own.
    x, v = stream(), draw(4, D, seed=4)
    edits: dict[str, Callable[[Tensor], Tensor]] = {
        "resid_pre.0": lambda x: 2 * x + v[0],
        "into.block.0": lambda x: 3 * x + v[1],
        "block.0": lambda x: 5 * x + v[2],
        "resid_post.0": lambda x: 7 * x + v[3],
    }
    edits = {name: edits[name] for name in (outer, inner)}
    site, reader, component, behind_it = (edits.get(name, lambda x: x) for name in BLOCK_0)
    before = site(x)
    written = component(reader(before) @ linear.blocks[0].matrix)
    expected = behind_it(before + written) @ behind(linear, 1)
    with edited(linear, edits):
        same(linear(x), expected)
    with edited(linear, {outer: edits[outer]}), edited(linear, {inner: edits[inner]}):
        same(linear(x), expected)


class OlderBlock(LinearBlock):
    """Takes its stream by keyword and returns a tuple, as blocks of `transformers` have done."""

    def forward(self, hidden_states: Tensor) -> tuple[Tensor, str]:
        return super().forward(hidden_states), "cache"


class OlderModel(LinearModel):
    def __init__(self, model: LinearModel) -> None:
        super().__init__(torch.stack([block.matrix for block in model.blocks]), model.readout)
        self.blocks = nn.ModuleList(OlderBlock(block.matrix) for block in model.blocks)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x, cache = block(hidden_states=x)
            assert cache == "cache"
        return self.norm(x) @ self.readout


@pytest.mark.parametrize("place", ["resid_pre.0", "resid_post.1", "block.1", "into.block.1"])
def test_blocks_may_take_keywords_and_return_tuples(linear: LinearModel, place: str) -> None:
    x, v = stream(), draw(D, seed=5)
    older = OlderModel(linear)
    outputs = []
    for model in (linear, older):
        with edited(model, {place: lambda x: 0.5 * x + v}):
            outputs.append(model(x))
    assert not torch.allclose(outputs[0], linear(x))
    same(outputs[0], outputs[1])


# Means, effects and estimates of them, on the linear model.


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


# The small transformer, two seeds of it, in float64.


@pytest.fixture(scope="module")
def stack() -> StackedTransformer:
    return stacked(*SEEDS)


def stacked(*seeds: int) -> StackedTransformer:
    states = stack_states([planted.random_model(seed) for seed in seeds])
    return StackedTransformer(TransformerConfig(), states).double().requires_grad_(False)


@pytest.fixture(scope="module")
def tokens() -> Tensor:
    (group,) = BATCH.by_length(1)
    return to_tensors([group] * len(SEEDS), torch.device("cpu"))[0]


@pytest.fixture(scope="module")
def means(stack: StackedTransformer) -> dict[str, Tensor]:
    return mean_outputs(stack, dyck_inputs(stack, BATCH))


def joined(output: tuple[dict[str, Tensor], dict[str, Tensor]]) -> Tensor:
    """The logits of all heads side by side."""
    return torch.cat(list(output[0].values()), dim=-1)


def test_places_of_a_stack(stack: StackedTransformer) -> None:
    known = places(stack)
    assert known.sites == TransformerConfig().sites()
    assert known.components == COMPONENTS
    assert known.readers == READERS


@pytest.mark.parametrize("site", TransformerConfig().sites())
def test_resuming_from_any_site_reproduces_the_run(
    stack: StackedTransformer, tokens: Tensor, site: str
) -> None:
    logits, residual = stack(tokens)
    resumed, rest = stack.resume(site, residual[site])
    assert list(resumed) == list(logits)
    assert all(torch.equal(resumed[head], logits[head]) for head in logits)
    assert list(rest) == list(residual)[list(residual).index(site) :]
    assert all(torch.equal(rest[name], residual[name]) for name in rest)


@pytest.mark.parametrize("site", [*TransformerConfig().sites(), "resid_pre.1"])
def test_adding_a_vector_is_resuming_with_it(
    stack: StackedTransformer, tokens: Tensor, site: str
) -> None:
    v = draw(64, seed=6)
    with recorded(stack, site) as kept:
        clean = joined(stack(tokens))
    with adding(stack, site, v):
        added = joined(stack(tokens))
    same(added, joined(stack.resume(site, kept[site] + v)))
    assert float((added - clean).abs().max()) > 0.1


def test_a_vector_is_added_while_resuming_too(stack: StackedTransformer, tokens: Tensor) -> None:
    x, v = stack(tokens)[1]["resid_mid.1"], draw(64, seed=6)
    with adding(stack, "resid_mid.1", v):
        resumed = joined(stack.resume("resid_mid.1", x))
    same(resumed, joined(stack.resume("resid_mid.1", x + v)))


def test_each_seed_is_given_its_own_vector(stack: StackedTransformer, tokens: Tensor) -> None:
    vectors = draw(2, 64, seed=7)
    with adding(stack, "resid_mid.1", vectors):
        own = joined(stack(tokens))
    for seed, v in enumerate(vectors):
        with adding(stack, "resid_mid.1", v):
            same(own[seed], joined(stack(tokens))[seed])
    assert not torch.allclose(own, joined(stack(tokens)))
    with adding(stack, "resid_mid.1", vectors * torch.tensor([[0.0], [1.0]])):
        second = joined(stack(tokens))
    same(second[0], joined(stack(tokens))[0])
    same(second[1], own[1])


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_written_from_the_weights_is_what_ablation_replaces(
    stack: StackedTransformer, tokens: Tensor, means: dict[str, Tensor], name: str
) -> None:
    kind, layer, *head = name.split(".")
    site = f"resid_mid.{layer}" if kind == "head" else f"resid_post.{layer}"
    with recorded(stack, name, site) as kept:
        clean = joined(stack(tokens))
    change = means[name][:, None, None] - kept[name]
    if kind == "head":
        write = stack.weight(f"blocks.{layer}.attn.W_O")[:, int(head[0])]
        change = torch.einsum("ijkh,idh->ijkd", change, write)
    with ablated(stack, {name: means[name]}):
        replaced = joined(stack(tokens))
    same(replaced, joined(stack.resume(site, kept[site] + change)))
    assert bool(((replaced - clean).abs().amax((1, 2, 3)) > 1e-3).all())


def test_components_are_read_from_the_weights(stack: StackedTransformer, tokens: Tensor) -> None:
    # What enters a block, its four heads through their output matrices, and its MLP, add up.
    sites = ("resid_pre.0", "resid_mid.0", "resid_post.0")
    with recorded(stack, *sites, *HEADS[:4], "mlp.0") as kept:
        stack(tokens)
    write = stack.weight("blocks.0.attn.W_O")
    heads = torch.stack([kept[name] for name in HEADS[:4]])
    attention = torch.einsum("nijkh,indh->ijkd", heads, write)
    same(kept["resid_mid.0"], kept["resid_pre.0"] + attention)
    same(kept["resid_post.0"], kept["resid_mid.0"] + kept["mlp.0"])


def test_several_heads_of_a_layer_are_ablated_at_once(
    stack: StackedTransformer, tokens: Tensor, means: dict[str, Tensor]
) -> None:
    chosen = {name: means[name] for name in ("head.1.0", "head.1.3")}
    with recorded(stack, "resid_mid.1", *HEADS[4:]) as kept:
        stack(tokens)
    write = stack.weight("blocks.1.attn.W_O")
    expected = kept["resid_mid.1"]
    for name in chosen:
        change = means[name][:, None, None] - kept[name]
        expected = expected + torch.einsum("ijkh,idh->ijkd", change, write[:, int(name[-1])])
    with ablated(stack, chosen), recorded(stack, "resid_mid.1", *HEADS[4:]) as changed:
        stack(tokens)
    same(changed["resid_mid.1"], expected)
    for name in HEADS[4:]:
        value = means[name][:, None, None].expand_as(kept[name]) if name in chosen else kept[name]
        assert torch.equal(changed[name], value)


@pytest.mark.parametrize("name", ["head.0.1", "mlp.0", "resid_mid.0"])
def test_a_later_edit_is_not_in_an_earlier_recording(
    stack: StackedTransformer, tokens: Tensor, name: str
) -> None:
    with recorded(stack, name) as clean:
        stack(tokens)
    one_more = edited(stack, {name: lambda x: x + 1})
    with recorded(stack, name) as outer, one_more, recorded(stack, name) as inner:
        stack(tokens)
    assert torch.equal(outer[name], clean[name])
    assert torch.equal(inner[name], clean[name] + 1)


def test_means_of_a_stack_are_over_real_tokens(
    stack: StackedTransformer, tokens: Tensor, means: dict[str, Tensor]
) -> None:
    with recorded(stack, *COMPONENTS) as kept:
        stack(tokens)
    real = (tokens != dyck.PAD)[0]
    assert not real.all()
    assert tuple(means) == COMPONENTS
    for name in COMPONENTS:
        assert means[name].shape == (2, 16 if name in HEADS else 64)
        same(means[name], kept[name][:, real].mean(1))


def test_loss_of_a_stack_is_summed_over_heads_and_averaged_over_tokens(
    stack: StackedTransformer,
) -> None:
    batch = dyck.sample(130, rng=np.random.default_rng(1), lengths=(2, 8))
    inputs = dyck_inputs(stack, batch)
    assert len(inputs) > 1
    assert sum(group.counted for group in inputs) == int(batch.lengths.sum())
    tokens, labels = to_tensors([batch] * 2, torch.device("cpu"))
    logits, _ = stack(tokens)
    real = tokens != dyck.PAD
    expected = torch.zeros(2, dtype=torch.float64)
    for head, values in logits.items():
        chances = values.log_softmax(-1)
        for seed in range(2):
            rows = chances[seed][real[seed]]
            picked = rows[torch.arange(len(rows)), labels[head][seed][real[seed]]]
            expected[seed] -= picked.mean()
    same(mean_loss(inputs), expected, 1e-9)


def test_a_clamped_path_leaves_the_stream_and_changes_the_output(
    stack: StackedTransformer, tokens: Tensor, means: dict[str, Tensor]
) -> None:
    names = ("head.0.1", "resid_mid.0", "resid_post.0", "into.attn.1", "into.mlp.1")
    with recorded(stack, *names) as clean:
        before = joined(stack(tokens))
    clamped = clamped_path(stack, "head.0.1", "into.attn.1", means["head.0.1"])
    with clamped, recorded(stack, *names) as kept:
        after = joined(stack(tokens))
    for name in ("head.0.1", "resid_mid.0", "resid_post.0"):
        assert torch.equal(kept[name], clean[name])
    change = means["head.0.1"][:, None, None] - clean["head.0.1"]
    write = stack.weight("blocks.0.attn.W_O")[:, 1]
    shown = clean["resid_post.0"] + torch.einsum("ijkh,idh->ijkd", change, write)
    same(kept["into.attn.1"], shown)
    # The MLP behind sees the head itself, and what the attention made of the mean.
    for seed in range(2):
        assert float((after - before)[seed].abs().max()) > 1e-3
        assert not torch.allclose(kept["into.mlp.1"][seed], clean["into.mlp.1"][seed])


def test_a_path_from_a_head_to_its_own_mlp(
    stack: StackedTransformer, tokens: Tensor, means: dict[str, Tensor]
) -> None:
    with recorded(stack, "resid_mid.0", "into.mlp.0", "mlp.0") as clean:
        stack(tokens)
    clamped = clamped_path(stack, "head.0.2", "into.mlp.0", means["head.0.2"])
    with clamped, recorded(stack, "resid_mid.0", "mlp.0", "resid_post.0") as kept:
        stack(tokens)
    with ablated(stack, {"head.0.2": means["head.0.2"]}), recorded(stack, "mlp.0") as there:
        stack(tokens)
    assert torch.equal(kept["resid_mid.0"], clean["resid_mid.0"])
    same(kept["mlp.0"], there["mlp.0"])
    same(kept["resid_post.0"], clean["resid_mid.0"] + there["mlp.0"])


@pytest.mark.parametrize("name", COMPONENTS)
def test_clamping_every_path_is_ablating(
    stack: StackedTransformer, tokens: Tensor, means: dict[str, Tensor], name: str
) -> None:
    first = 2 * int(name.split(".")[1]) + (2 if name.startswith("mlp") else 1)
    with ExitStack() as paths:
        for reader in READERS[first:]:
            paths.enter_context(clamped_path(stack, name, reader, means[name]))
        clamped = joined(stack(tokens))
    with ablated(stack, {name: means[name]}):
        same(clamped, joined(stack(tokens)))


def test_integrated_gradients_of_a_stack_add_up_to_ablation(
    stack: StackedTransformer, means: dict[str, Tensor]
) -> None:
    inputs = dyck_inputs(stack, BATCH)
    exact = ablation_effects(stack, means, inputs)
    assert exact.shape == (2, 10)
    fine = integrated_gradients(stack, means, inputs)
    # What is left is the kinks of the ReLUs; behind the last of them the average is smooth.
    torch.testing.assert_close(fine, exact, rtol=1e-2, atol=0)
    torch.testing.assert_close(fine[:, -1], exact[:, -1], rtol=1e-3, atol=0)
    coarse = integrated_gradients(stack, means, inputs, points=4)
    start = attribution_patching(stack, means, inputs)
    errors = [float((estimate - exact).norm()) for estimate in (fine, coarse, start)]
    assert errors[0] < 0.2 * errors[1] < 0.2 * errors[2]
    assert errors[0] < 0.005 * float(exact.norm())


def test_attribution_patching_is_the_slope_towards_the_mean(
    stack: StackedTransformer, means: dict[str, Tensor]
) -> None:
    inputs, step, slopes = dyck_inputs(stack, BATCH), 1e-6, []
    for name in COMPONENTS:
        ends = []
        for share in (step, -step):

            def moved(x: Tensor, mean: Tensor = means[name], share: float = share) -> Tensor:
                return x + share * (mean[:, None, None] - x)

            with edited(stack, {name: moved}):
                ends.append(mean_loss(inputs))
        slopes.append((ends[0] - ends[1]) / (2 * step))
    same(attribution_patching(stack, means, inputs), torch.stack(slopes, dim=-1), 1e-6)


def test_effects_of_a_stack_are_those_of_each_seed_alone(
    stack: StackedTransformer, means: dict[str, Tensor]
) -> None:
    together = dyck_inputs(stack, BATCH)
    chosen = ("head.0.1", "mlp.0", "head.1.2")
    for seed in SEEDS:
        alone = stacked(seed)
        inputs = dyck_inputs(alone, BATCH)
        own = mean_outputs(alone, inputs)
        for name in COMPONENTS:
            same(own[name][0], means[name][seed])
        same(
            attribution_patching(stack, means, together)[seed],
            attribution_patching(alone, own, inputs)[0],
            1e-10,
        )
        few, own_few = ({name: m[name] for name in chosen} for m in (means, own))
        for estimate, settings in ((ablation_effects, {}), (integrated_gradients, {"points": 2})):
            same(
                estimate(stack, few, together, **settings)[seed],
                estimate(alone, own_few, inputs, **settings)[0],
                1e-10,
            )


# What is left behind, and mistakes.


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


Named = dict[str, str]
PLACES: dict[str, Named] = {
    "linear": {"site": "resid_post.0", "component": "block.0", "reader": "into.block.1"},
    "stack": {"site": "resid_mid.0", "component": "head.0.1", "reader": "into.attn.1"},
}


def of(kind: str) -> tuple[nn.Module, Callable[[], Tensor], Named]:
    """A model, what runs it, and a place of each kind."""
    if kind == "linear":
        model = LinearModel.random(2, D, seed=0)
        x = draw(2, 3, D, seed=1).float()
        return model, lambda: model(x), PLACES[kind]
    stack = StackedTransformer(TransformerConfig(), stack_states([planted.random_model(0)]))
    tokens = torch.tensor([[[1, 3, 4, 5, 6, 2]]])
    return stack, lambda: joined(stack(tokens)), PLACES[kind]


def intervention(how: str, kind: str, model: nn.Module) -> AbstractContextManager[object]:
    site, component, reader = PLACES[kind].values()
    vector, mean = (torch.ones(d) for d in ((D, D) if kind == "linear" else (64, 16)))
    enter: dict[str, Callable[[], AbstractContextManager[object]]] = {
        "edited": lambda: edited(model, dict.fromkeys(PLACES[kind].values(), lambda x: x / 2)),
        "recorded": lambda: recorded(model, site, component, reader),
        "adding": lambda: adding(model, site, vector),
        "ablated": lambda: ablated(model, {component: mean}),
        "clamped_path": lambda: clamped_path(model, component, reader, mean),
    }
    return enter[how]()


KINDS = ("linear", "stack")
INTERVENTIONS = ("edited", "recorded", "adding", "ablated", "clamped_path")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", INTERVENTIONS)
def test_a_model_is_left_as_it_was(how: str, kind: str) -> None:
    model, run, _ = of(kind)
    before = run()
    with intervention(how, kind, model):
        assert hooks(model) > 0
        assert torch.allclose(run(), before) == (how == "recorded")
    assert hooks(model) == 0
    assert torch.equal(run(), before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", INTERVENTIONS)
def test_a_model_is_left_as_it_was_after_an_exception(how: str, kind: str) -> None:
    model, run, _ = of(kind)
    before = run()
    with pytest.raises(ZeroDivisionError), intervention(how, kind, model):
        hooks(model) / 0
    assert hooks(model) == 0
    assert torch.equal(run(), before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_is_left_as_it_was_after_an_edit_that_fails(kind: str) -> None:
    model, run, names = of(kind)
    before = run()

    def fails(x: Tensor) -> Tensor:
        raise RuntimeError("edit failed")

    for name in names.values():
        with pytest.raises(RuntimeError, match="edit failed"), edited(model, {name: fails}):
            run()
        assert hooks(model) == 0
        assert torch.equal(run(), before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_is_left_as_it_was_after_a_wrong_name(kind: str) -> None:
    model, run, names = of(kind)
    before = run()
    edits = dict.fromkeys([*names.values(), "mlp.7"], torch.zeros_like)
    mean = torch.ones(16 if kind == "stack" else D)
    wrong = (
        lambda: edited(model, edits),
        lambda: recorded(model, *names.values(), "mlp.7"),
        lambda: ablated(model, {names["component"]: mean, "mlp.7": mean}),
        lambda: clamped_path(model, names["component"], "mlp.7", mean),
    )
    for enter in wrong:
        with pytest.raises(ValueError, match="got 'mlp.7'"), enter():
            pass
        assert hooks(model) == 0
        assert torch.equal(run(), before)


@pytest.mark.parametrize("kind", KINDS)
def test_estimates_leave_a_model_as_it_was(kind: str) -> None:
    model, run, names = of(kind)
    before = run()

    def losses() -> Tensor:
        return run().square().sum(-1) if kind == "stack" else run()

    real = torch.ones_like(losses(), dtype=torch.bool)
    inputs = [Inputs(losses, real, real.numel())]
    means = mean_outputs(model, inputs)
    for estimate in (ablation_effects, attribution_patching, integrated_gradients):
        effects = estimate(model, {names["component"]: means[names["component"]]}, inputs)
        assert effects.isfinite().all()
        assert hooks(model) == 0
    assert torch.equal(run(), before)
    assert all(parameter.grad is None for parameter in model.parameters())


LINEAR_SITES = "resid_pre.0, resid_post.0, resid_post.1"
LINEAR_COMPONENTS = "block.0, block.1"
LINEAR_READERS = "into.block.0, into.block.1, into.unembed"


def test_a_place_that_there_is_not_is_answered_with_those_there_are() -> None:
    model, _, _ = of("linear")
    everything = f"{LINEAR_SITES}, {LINEAR_COMPONENTS}, {LINEAR_READERS}"
    expected = f"^Expected a place among {everything} but got 'head.0.1'$"
    with pytest.raises(ValueError, match=expected), edited(model, {"head.0.1": torch.neg}):
        pass
    with pytest.raises(ValueError, match=expected), recorded(model, "head.0.1"):
        pass
    stack, _, _ = of("stack")
    everything = ", ".join((*TransformerConfig().sites(), *COMPONENTS, *READERS))
    expected = f"^Expected a place among {everything} but got 'block.0'$"
    with pytest.raises(ValueError, match=expected), recorded(stack, "block.0"):
        pass


@pytest.mark.parametrize("name", ["head.0.4", "head.2.0", "mlp.2", "head.0", "heads.0", "into"])
def test_places_beyond_the_model_are_refused(stack: StackedTransformer, name: str) -> None:
    with pytest.raises(ValueError, match=f"but got '{name}'"), recorded(stack, name):
        pass


def test_each_intervention_wants_its_own_kind_of_place() -> None:
    model, _, _ = of("linear")
    v = torch.ones(D)
    sites = f"^Expected a place among {LINEAR_SITES} but got '{{}}'$"
    components = f"^Expected a place among {LINEAR_COMPONENTS} but got '{{}}'$"
    readers = f"^Expected a place among {LINEAR_READERS} but got '{{}}'$"
    for wrong in ("block.0", "into.block.1"):
        with pytest.raises(ValueError, match=sites.format(wrong)), adding(model, wrong, v):
            pass
    for wrong in ("resid_post.0", "into.block.1"):
        with pytest.raises(ValueError, match=components.format(wrong)):
            ablated(model, {wrong: v}).__enter__()
        with pytest.raises(ValueError, match=components.format(wrong)):
            clamped_path(model, wrong, "into.unembed", v).__enter__()
    for wrong in ("resid_post.0", "block.1"):
        with pytest.raises(ValueError, match=readers.format(wrong)):
            clamped_path(model, "block.0", wrong, v).__enter__()


@pytest.mark.parametrize(
    ("kind", "component", "reader"),
    [
        ("linear", "block.0", "into.block.0"),
        ("linear", "block.1", "into.block.1"),
        ("linear", "block.1", "into.block.0"),
        ("stack", "head.0.1", "into.attn.0"),
        ("stack", "mlp.0", "into.mlp.0"),
        ("stack", "mlp.0", "into.attn.0"),
        ("stack", "head.1.0", "into.mlp.0"),
        ("stack", "mlp.1", "into.attn.1"),
    ],
)
def test_a_reader_has_to_come_after_the_component(kind: str, component: str, reader: str) -> None:
    model, _, _ = of(kind)
    expected = f"reader to come after component but got {component=}, {reader=}"
    with pytest.raises(ValueError, match=expected):
        clamped_path(model, component, reader, torch.ones(D)).__enter__()
    assert hooks(model) == 0


def test_a_model_of_another_kind_is_refused() -> None:
    model = nn.Linear(3, 3)
    families = "families GPT-NeoX, GPT-2, Llama, but got Linear$"
    with pytest.raises(TypeError, match=families):
        places(model)
    with pytest.raises(TypeError, match=families), edited(model, {}):
        pass


@pytest.mark.parametrize("points", [0, -1])
def test_integrated_gradients_want_a_point(linear: LinearModel, points: int) -> None:
    inputs = [output_inputs(linear, stream())]
    with pytest.raises(ValueError, match=f"at least one point but got points={points}"):
        integrated_gradients(linear, some_means(), inputs, points=points)


def test_a_path_from_a_component_that_did_not_run_is_refused() -> None:
    model = StackedTransformer(TransformerConfig(), stack_states([planted.random_model(0)]))
    x = torch.zeros(1, 1, 4, 64)
    with (
        clamped_path(model, "head.0.1", "into.mlp.1", torch.zeros(16)),
        pytest.raises(ValueError, match=r"before head\.0\.1, which did not run"),
    ):
        model.resume("resid_post.0", x)
