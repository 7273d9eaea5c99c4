"""Interventions on the small transformer, two seeds of it."""

import numpy as np
import pytest
import torch
from planted_streams import (
    BATCH,
    COMPONENTS,
    HEADS,
    READERS,
    SEEDS,
    draw,
    joined,
    means_of_batch,
    same,
    stacked,
    tokens_of_batch,
)
from torch import Tensor

from polyrot.interventions.attribution import attribution_patching, integrated_gradients
from polyrot.interventions.edit import ablated, adding, edited, recorded
from polyrot.interventions.effects import (
    ablation_effects,
    dyck_inputs,
    mean_loss,
    mean_outputs,
)
from polyrot.interventions.places import places
from polyrot.models.training import to_tensors
from polyrot.models.transformer import StackedTransformer, TransformerConfig
from polyrot.tasks import dyck


@pytest.fixture(scope="module")
def stack() -> StackedTransformer:
    return stacked(*SEEDS)


@pytest.fixture(scope="module")
def tokens() -> Tensor:
    return tokens_of_batch()


@pytest.fixture(scope="module")
def means(stack: StackedTransformer) -> dict[str, Tensor]:
    return means_of_batch(stack)


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


@pytest.mark.seconds
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


@pytest.mark.seconds
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
