"""The encoder: against PyTorch's own layers, seed by seed; from every site; wrong tensors."""

import re

import pytest
import torch

from polyrot.models.encoder import EncoderConfig, PlainEncoder, StackedEncoder, initial_state
from polyrot.models.transformer import State, stack_states

CONFIG = EncoderConfig(layers=2, d_model=24, heads=3, d_mlp=40, vocabulary=5, context=12)
SITES = ("resid_pre.0", "resid_mid.0", "resid_post.0", "resid_mid.1", "resid_post.1")


def states() -> list[State]:
    """Three seeds with uneven gains and biases, which are 1 and 0 at the start."""
    drawn = [initial_state(CONFIG, seed) for seed in range(3)]
    generator = torch.Generator().manual_seed(9)
    for state in drawn:
        for name, tensor in state.items():
            if "norm" in name or "bias" in name:
                tensor.add_(torch.randn(tensor.shape, generator=generator), alpha=0.3)
    return drawn


@pytest.fixture(scope="module")
def stack() -> StackedEncoder:
    return StackedEncoder(CONFIG, stack_states(states()))


@pytest.fixture
def tokens() -> torch.Tensor:
    """Other sequences for every seed, shorter than the context."""
    return torch.randint(5, (3, 7, 9), generator=torch.Generator().manual_seed(0))


def plain(state: State) -> PlainEncoder:
    model = PlainEncoder(CONFIG)
    model.load_state_dict(state)
    return model.eval()


def test_every_seed_computes_what_pytorchs_layers_do(
    stack: StackedEncoder, tokens: torch.Tensor
) -> None:
    logits, _ = stack(tokens)
    for seed, state in enumerate(states()):
        expected = plain(state)(tokens[seed])
        assert float(expected.detach().std()) > 0.1
        torch.testing.assert_close(logits[seed], expected, rtol=0, atol=1e-6)


def test_gradients_are_those_of_pytorchs_layers(
    stack: StackedEncoder, tokens: torch.Tensor
) -> None:
    stack.zero_grad()
    stack(tokens)[0].square().sum().backward()
    for seed, state in enumerate(states()):
        model = plain(state)
        model(tokens[seed]).square().sum().backward()
        for name, parameter in model.named_parameters():
            own = stack.weight(name).grad[seed]
            torch.testing.assert_close(own, parameter.grad, rtol=1e-4, atol=1e-3)


def watch(module: torch.nn.Module, site: str, seen: dict[str, torch.Tensor]) -> None:
    module.register_forward_hook(lambda module, inputs, output: seen.update({site: output}))


def test_residuals_are_those_of_pytorchs_layers(
    stack: StackedEncoder, tokens: torch.Tensor
) -> None:
    _, residual = stack(tokens)
    assert tuple(residual) == SITES == CONFIG.sites()
    for seed, state in enumerate(states()):
        model = plain(state)
        seen: dict[str, torch.Tensor] = {}
        for i, layer in enumerate(model.layers):
            watch(layer.norm1, f"resid_mid.{i}", seen)
            watch(layer, f"resid_post.{i}", seen)
        model(tokens[seed])
        seen["resid_pre.0"] = model.embedding(tokens[seed]) + model.positions.weight[:9]
        for site in SITES:
            torch.testing.assert_close(residual[site][seed], seen[site], rtol=0, atol=2e-6)


def test_the_last_position_alone_is_that_of_the_whole_run(
    stack: StackedEncoder, tokens: torch.Tensor
) -> None:
    logits, residual = stack(tokens)
    last, there = stack(tokens, last=True)
    assert last.shape == (3, 7, 1, 5)
    torch.testing.assert_close(last[:, :, 0], logits[:, :, -1], rtol=0, atol=1e-6)
    # The layers before the last one still run everywhere.
    for site in SITES[:3]:
        assert torch.equal(there[site], residual[site])
    for site in SITES[3:]:
        torch.testing.assert_close(there[site], residual[site][:, :, -1:], rtol=0, atol=1e-6)


@pytest.mark.parametrize("site", [*SITES, "resid_pre.1"])
def test_the_rest_of_the_model_runs_from_any_site(
    stack: StackedEncoder, tokens: torch.Tensor, site: str
) -> None:
    logits, residual = stack(tokens)
    canonical = "resid_post.0" if site == "resid_pre.1" else site
    resumed, rest = stack.resume(site, residual[canonical])
    assert torch.equal(resumed, logits)
    assert tuple(rest) == SITES[SITES.index(canonical) :]
    moved, _ = stack.resume(site, residual[canonical] * 1.5)
    assert not torch.allclose(moved, logits, atol=1e-2)
    torch.testing.assert_close(stack.unembed(residual["resid_post.1"]), logits)


def test_a_site_that_is_none_is_refused(stack: StackedEncoder, tokens: torch.Tensor) -> None:
    _, residual = stack(tokens)
    with pytest.raises(ValueError, match="not in tuple"):
        stack.resume("resid_mid.2", residual["resid_mid.1"])


def test_a_later_token_changes_no_earlier_logit(
    stack: StackedEncoder, tokens: torch.Tensor
) -> None:
    changed = tokens.clone()
    changed[:, :, 5] = (changed[:, :, 5] + 1) % 5
    before, after = stack(tokens)[0], stack(changed)[0]
    torch.testing.assert_close(before[:, :, :5], after[:, :, :5], rtol=0, atol=1e-6)
    for position in (5, 8):
        differences = (before - after)[:, :, position].detach().abs().amax(-1)
        assert float(differences.min()) > 1e-3
    shorter, _ = stack(tokens[:, :, :5])
    torch.testing.assert_close(shorter, before[:, :, :5], rtol=0, atol=1e-6)


def test_seeds_see_their_own_tokens_and_weights_alone(
    stack: StackedEncoder, tokens: torch.Tensor
) -> None:
    changed = tokens.clone()
    changed[1] = (changed[1] + 1) % 5
    before, after = stack(tokens)[0], stack(changed)[0]
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert not torch.equal(before[1], after[1])


def test_initial_weights_are_pytorchs_own() -> None:
    before = torch.random.get_rng_state()
    state = initial_state(CONFIG, 100)
    assert torch.equal(torch.random.get_rng_state(), before)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(100)
        expected = PlainEncoder(CONFIG).state_dict()
    assert set(state) == set(expected) == set(CONFIG.shapes())
    for name, tensor in state.items():
        assert torch.equal(tensor, expected[name])
        assert tuple(tensor.shape) == CONFIG.shapes()[name]
    other = initial_state(CONFIG, 101)
    assert not torch.equal(state["lm_head.weight"], other["lm_head.weight"])


def test_a_seed_leaves_the_stack_as_it_came(stack: StackedEncoder) -> None:
    for seed, state in enumerate(states()):
        found = stack.state(seed)
        assert set(found) == set(state)
        assert all(torch.equal(found[name], state[name]) for name in state)
    found["lm_head.bias"].zero_()
    assert bool((stack.weight("lm_head.bias") != 0).all())


def test_the_sizes_of_the_paper() -> None:
    defaults = EncoderConfig()
    # 4 symbols, 64 positions; one layer of attention, MLP and two norms; the unembedding.
    layer = 4 * 64**2 + 4 * 64 + 2 * 64 * 256 + 256 + 64 + 4 * 64
    expected = 4 * 64 + 64 * 64 + layer + 4 * 64 + 4
    assert sum(t.numel() for t in initial_state(defaults, 0).values()) == expected
    layers = PlainEncoder(defaults).layers[0]
    assert layers.norm_first is False
    assert layers.dropout.p == layers.self_attn.dropout == 0.1


def test_dropout_is_where_pytorchs_layers_have_it(
    stack: StackedEncoder, tokens: torch.Tensor
) -> None:
    shapes, before = [], stack.drop

    def drop(x: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(x.shape))
        return x

    stack.drop = drop
    try:
        stack(tokens)
    finally:
        stack.drop = before
    # Attention's weights, what attention writes, the hidden layer, what the MLP writes.
    layer = [(3 * 7 * 3, 9, 9), (3, 7, 9, 24), (3, 7, 9, 40), (3, 7, 9, 24)]
    assert shapes == layer * 2


@pytest.mark.parametrize(
    ("name", "change", "found"),
    [
        ("embedding.weight", lambda t: t[:, :4], "(3, 4, 24)"),
        ("layers.1.linear1.weight", lambda t: t.mT, "(3, 24, 40)"),
        ("lm_head.bias", lambda t: t[:2], "(2, 5)"),
        ("positions.weight", None, "nothing"),
    ],
)
def test_wrong_tensors_are_named(name, change, found) -> None:
    state = stack_states(states())
    expected = tuple(state[name].shape)
    if change is None:
        del state[name]
    else:
        state[name] = change(state[name])
    message = f"Expected state['{name}'] of shape {expected} but got {found}"
    with pytest.raises(ValueError, match=re.escape(message)):
        StackedEncoder(CONFIG, state)
