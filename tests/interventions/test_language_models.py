"""Interventions on tiny causal language models of `transformers`, against runs by hand."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import planted
import pytest
import torch
import transformers
from torch import Tensor, nn

from polyrot.interventions.attribution import attribution_patching, integrated_gradients
from polyrot.interventions.edit import ablated, adding, edited, recorded
from polyrot.interventions.effects import (
    ablation_effects,
    language_inputs,
    mean_loss,
    mean_outputs,
)
from polyrot.interventions.places import places

D, VOCABULARY, LAYERS = 16, 20, 3
SITES = ("resid_pre.0", "resid_post.0", "resid_post.1", "resid_post.2")
BLOCKS = ("block.0", "block.1", "block.2")
READERS = ("into.block.0", "into.block.1", "into.block.2", "into.unembed")
TOKENS = torch.randint(VOCABULARY, (3, 7), generator=planted.generator(0))

Step = Callable[[Tensor], Tensor]


class ByHand(NamedTuple):
    """A model taken apart: what enters its first block, the blocks, and what reads the last."""

    embedded: Tensor
    blocks: list[Step]
    read: Step

    def run(self, edits: dict[str, Step] | None = None) -> dict[str, Tensor]:
        """Every place's tensor and the logits, with edits, from the description of places."""
        kept: dict[str, Tensor] = {}

        def stand(place: str, x: Tensor) -> Tensor:
            kept[place] = (edits or {}).get(place, lambda x: x)(x)
            return kept[place]

        x = stand("resid_pre.0", self.embedded)
        for i, block in enumerate(self.blocks):
            seen = stand(f"into.block.{i}", x)
            x = stand(f"resid_post.{i}", x + stand(f"block.{i}", block(seen) - seen))
        kept["logits"] = self.read(stand("into.unembed", x))
        return kept


def neox() -> nn.Module:
    config = transformers.GPTNeoXConfig(
        hidden_size=D,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        intermediate_size=32,
        vocab_size=VOCABULARY,
        max_position_embeddings=16,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=1,
    )
    return transformers.GPTNeoXForCausalLM(config)


def gpt2() -> nn.Module:
    config = transformers.GPT2Config(
        n_embd=D,
        n_layer=LAYERS,
        n_head=2,
        n_positions=16,
        vocab_size=VOCABULARY,
        initializer_range=0.3,
        resid_pdrop=0,
        embd_pdrop=0,
        attn_pdrop=0,
        bos_token_id=0,
        eos_token_id=1,
    )
    return transformers.GPT2LMHeadModel(config)


def llama() -> nn.Module:
    config = transformers.LlamaConfig(
        hidden_size=D,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        intermediate_size=32,
        vocab_size=VOCABULARY,
        max_position_embeddings=16,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=1,
    )
    return transformers.LlamaForCausalLM(config)


def take_apart(model: nn.Module, tokens: Tensor) -> ByHand:
    """Without padding, whose mask the blocks would want."""
    positions = torch.arange(tokens.shape[1])[None]
    if isinstance(model, transformers.GPT2LMHeadModel):
        core = model.transformer
        embedded = core.wte(tokens) + core.wpe(positions)
        blocks, norm, settings = core.h, core.ln_f, {}
    else:
        if isinstance(model, transformers.LlamaForCausalLM):
            core = model.model
            embed, norm = core.embed_tokens, core.norm
        else:
            core = model.gpt_neox
            embed, norm = core.embed_in, core.final_layer_norm
        embedded, blocks = embed(tokens), core.layers
        turns = core.rotary_emb(embedded, position_ids=positions)
        settings = {"position_embeddings": turns, "position_ids": positions}
    steps = [lambda x, block=block: block(x, **settings) for block in blocks]
    return ByHand(embedded, steps, lambda x: model.lm_head(norm(x)))


@pytest.fixture(scope="module", params=[neox, gpt2, llama], ids=lambda build: build.__name__)
def model(request: pytest.FixtureRequest) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return request.param().eval().requires_grad_(False)


def by_hand(model: nn.Module, edits: dict[str, Step] | None = None) -> dict[str, Tensor]:
    return take_apart(model, TOKENS).run(edits)


def logits(model: nn.Module) -> Tensor:
    return model(input_ids=TOKENS).logits


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=planted.generator(seed))


def same(actual: Tensor, expected: Tensor, tolerance: float = 2e-5) -> None:
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


def differs(actual: Tensor, expected: Tensor) -> bool:
    return float((actual - expected).abs().max()) > 0.01


def test_places_of_a_language_model(model: nn.Module) -> None:
    known = places(model)
    assert (known.sites, known.components, known.readers) == (SITES, BLOCKS, READERS)


def test_by_hand_is_the_model_where_nothing_intervenes(model: nn.Module) -> None:
    kept = by_hand(model)
    same(logits(model), kept["logits"])
    for name in BLOCKS:
        assert float(kept[name].std()) > 0.1


def test_what_is_recorded_is_what_stands_there(model: nn.Module) -> None:
    expected = by_hand(model)
    with recorded(model, *SITES, *BLOCKS, *READERS) as kept:
        output = logits(model)
    assert set(kept) == {*SITES, *BLOCKS, *READERS}
    for name, value in kept.items():
        same(value, expected[name])
    for i in range(LAYERS):
        same(kept[f"block.{i}"], kept[f"resid_post.{i}"] - kept[f"into.block.{i}"])
    same(output, expected["logits"])


@pytest.mark.parametrize("site", SITES)
def test_an_added_vector_is_fed_to_the_blocks_behind(model: nn.Module, site: str) -> None:
    v = draw(D, seed=1)
    with adding(model, site, v):
        added = logits(model)
    same(added, by_hand(model, {site: lambda x: x + v})["logits"])
    assert differs(added, logits(model))


@pytest.mark.parametrize("i", range(LAYERS - 1))
def test_what_leaves_a_block_is_what_enters_the_next(model: nn.Module, i: int) -> None:
    before, after, v = f"resid_pre.{i + 1}", f"resid_post.{i}", draw(D, seed=1)
    with recorded(model, before, after) as kept:
        logits(model)
    assert torch.equal(kept[before], kept[after])
    with adding(model, before, v):
        one = logits(model)
    with adding(model, after, v):
        assert torch.equal(logits(model), one)


@pytest.mark.parametrize("name", [*SITES, *BLOCKS, *READERS])
def test_an_edit_is_made_at_its_place_alone(model: nn.Module, name: str) -> None:
    v = draw(D, seed=2)
    expected = by_hand(model, {name: lambda x: 0.5 * x + v})
    with edited(model, {name: lambda x: 0.5 * x + v}):
        same(logits(model), expected["logits"])
    assert differs(expected["logits"], logits(model))


@pytest.mark.parametrize("name", [*SITES, *BLOCKS, *READERS])
def test_an_edit_that_changes_nothing_leaves_the_logits(model: nn.Module, name: str) -> None:
    with edited(model, {name: lambda x: x.clone()}):
        same(logits(model), by_hand(model)["logits"])


@pytest.mark.parametrize("i", range(LAYERS))
def test_a_block_given_its_own_value_leaves_the_logits(model: nn.Module, i: int) -> None:
    with recorded(model, f"block.{i}") as kept:
        clean = logits(model)
    with edited(model, {f"block.{i}": lambda x: kept[f"block.{i}"]}):
        same(logits(model), clean)


@pytest.mark.parametrize("i", range(LAYERS))
def test_an_ablated_block_adds_its_mean_and_nothing_else(model: nn.Module, i: int) -> None:
    name, before, after = f"block.{i}", f"resid_pre.{i}", f"resid_post.{i}"
    mean = mean_outputs(model, language_inputs(model, TOKENS))[name]
    with ablated(model, {name: mean}), recorded(model, before, after) as kept:
        replaced = logits(model)
    same(kept[after] - kept[before], mean.expand(3, 7, D))
    same(replaced, by_hand(model, {name: mean.expand_as})["logits"])
    assert differs(replaced, logits(model))


def test_means_are_of_what_blocks_add_to_real_tokens(model: nn.Module) -> None:
    mask = torch.ones_like(TOKENS)
    mask[1, 5:] = mask[2, 2:] = 0
    kept = by_hand(model)
    means = mean_outputs(model, language_inputs(model, TOKENS, mask))
    assert tuple(means) == BLOCKS
    for name, mean in means.items():
        same(mean, kept[name][mask.bool()].mean(0))
        assert differs(mean, kept[name].mean((0, 1)))


@pytest.mark.parametrize("i", range(LAYERS))
def test_what_a_block_alone_is_shown_is_not_in_the_stream(model: nn.Module, i: int) -> None:
    reader, before, after, v = (
        f"into.block.{i}",
        f"resid_pre.{i}",
        f"resid_post.{i}",
        draw(D, seed=3),
    )
    expected = by_hand(model, {reader: lambda x: x + v})
    with edited(model, {reader: lambda x: x + v}), recorded(model, before, reader, after) as kept:
        shown = logits(model)
    same(shown, expected["logits"])
    same(kept[after], expected[after])
    # The block's own change is that on the stream it was shown; the stream goes on without `v`.
    block = take_apart(model, TOKENS).blocks[i]
    change = block(kept[reader]) - kept[reader]
    same(kept[after] - change, by_hand(model)[f"into.block.{i}"])
    assert differs(shown, logits(model))


def test_a_block_shown_something_else_is_shown_it_in_every_run(model: nn.Module) -> None:
    v = draw(D, seed=3)
    with edited(model, {"into.block.1": lambda x: x + v}):
        first = logits(model)
        model(input_ids=TOKENS[:1, :4])
        assert torch.equal(logits(model), first)


@pytest.mark.parametrize("name", [*SITES, *BLOCKS, *READERS])
def test_an_edited_model_goes_on_from_its_cache(model: nn.Module, name: str) -> None:
    v = draw(D, seed=2)
    with edited(model, {name: lambda x: 0.5 * x + v}):
        start = model(input_ids=TOKENS[:, :4], use_cache=True)
        rest = model(input_ids=TOKENS[:, 4:], past_key_values=start.past_key_values)
        same(torch.cat([start.logits, rest.logits], dim=1), logits(model))


def test_the_loss_is_the_models_own(model: nn.Module) -> None:
    (inputs,) = language_inputs(model, TOKENS)
    assert inputs.counted == 3 * 6
    assert inputs.real.all()
    assert not inputs.losses()[:, -1].any()
    own = model(input_ids=TOKENS, labels=TOKENS).loss
    same(mean_loss([inputs]).float(), own)


def test_padding_on_the_right_changes_no_loss(model: nn.Module) -> None:
    lengths = (7, 5, 2)
    mask = (torch.arange(7) < torch.tensor(lengths)[:, None]).long()
    padded = TOKENS.masked_fill(mask == 0, 9)
    (inputs,) = language_inputs(model, padded, mask)
    assert inputs.counted == 6 + 4 + 1
    assert torch.equal(inputs.real, mask.bool())
    losses, sums = inputs.losses(), 0.0
    for row, length in enumerate(lengths):
        (alone,) = language_inputs(model, TOKENS[row : row + 1, :length])
        same(losses[row : row + 1, :length], alone.losses())
        assert not losses[row, length - 1 :].any()
        sums += float(alone.losses().sum())
    assert float(mean_loss([inputs])) == pytest.approx(sums / 11, rel=1e-5)
    labels = padded.masked_fill(mask == 0, -100)
    same(mean_loss([inputs]).float(), model(padded, attention_mask=mask, labels=labels).loss)


def test_effects_are_alike_with_padding_and_without(model: nn.Module) -> None:
    mask = (torch.arange(7) < torch.tensor([5, 5, 5])[:, None]).long()
    padded = language_inputs(model, TOKENS.masked_fill(mask == 0, 9), mask)
    plain = language_inputs(model, TOKENS[:, :5])
    means = mean_outputs(model, plain)
    for name, mean in mean_outputs(model, padded).items():
        same(mean, means[name])
    coarse = partial(integrated_gradients, points=4)
    for estimate in (ablation_effects, attribution_patching, coarse):
        same(estimate(model, means, padded), estimate(model, means, plain))


@pytest.mark.seconds
def test_integrated_gradients_add_up_to_ablation(model: nn.Module) -> None:
    inputs = language_inputs(model, TOKENS)
    means = mean_outputs(model, inputs)
    exact = ablation_effects(model, means, inputs)
    assert exact.shape == (LAYERS,)
    torch.testing.assert_close(
        integrated_gradients(model, means, inputs), exact, rtol=2e-3, atol=1e-4
    )
    assert differs(attribution_patching(model, means, inputs), exact)


def test_attribution_patching_is_the_slope_towards_the_mean(model: nn.Module) -> None:
    inputs, step, slopes = language_inputs(model, TOKENS), 3e-3, []
    means = mean_outputs(model, inputs)
    for name, mean in means.items():
        ends = []
        for share in (step, -step):
            with edited(model, {name: lambda x, m=mean, s=share: x + s * (m - x)}):
                ends.append(mean_loss(inputs))
        slopes.append((ends[0] - ends[1]) / (2 * step))
    same(attribution_patching(model, means, inputs), torch.stack(slopes), 2e-3)


def hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_a_model_is_left_as_it_was(model: nn.Module) -> None:
    before, v = logits(model), draw(D, seed=5)
    assert hooks(model) == 0
    inside = (
        lambda: edited(model, dict.fromkeys((*SITES, *BLOCKS, *READERS), lambda x: x + v)),
        lambda: recorded(model, *SITES, *BLOCKS, *READERS),
        lambda: adding(model, "resid_post.0", v),
        lambda: ablated(model, dict.fromkeys(BLOCKS, v)),
    )
    for enter in inside:
        with enter():
            assert hooks(model) > 0
            logits(model)
        assert hooks(model) == 0
        assert torch.equal(logits(model), before)
        with pytest.raises(ZeroDivisionError), enter():
            hooks(model) / 0
        assert hooks(model) == 0
        assert torch.equal(logits(model), before)
    with pytest.raises(ValueError, match="got 'mlp.0'"):
        edited(
            model, {"block.0": torch.neg, "into.block.1": torch.neg, "mlp.0": torch.neg}
        ).__enter__()
    inputs = language_inputs(model, TOKENS)
    means = mean_outputs(model, inputs)
    for estimate in (
        ablation_effects,
        attribution_patching,
        partial(integrated_gradients, points=2),
    ):
        assert estimate(model, means, inputs).all()
    assert hooks(model) == 0
    assert torch.equal(logits(model), before)


def test_places_beyond_the_model_are_refused(model: nn.Module) -> None:
    everything = ", ".join((*SITES, *BLOCKS, *READERS))
    for name in ("block.3", "resid_post.3", "head.0.1", "into.block.3", "resid_mid.0"):
        expected = f"^Expected a place among {everything} but got '{name}'$"
        with pytest.raises(ValueError, match=expected):
            recorded(model, name).__enter__()


def test_a_model_without_its_head_is_refused(model: nn.Module) -> None:
    with pytest.raises(
        TypeError, match=f"GPT-NeoX, GPT-2, Llama, but got {type(model.base_model).__name__}$"
    ):
        places(model.base_model)


def test_padding_on_the_left_is_refused() -> None:
    tokens = torch.ones(1, 4, dtype=torch.long)
    with pytest.raises(ValueError, match="Expected mask to pad on the right"):
        language_inputs(torch.nn.Identity(), tokens, torch.tensor([[0, 1, 1, 1]]))
