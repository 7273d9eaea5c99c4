"""The paper's four bars, against numbers worked out by hand and models whose truth is known."""

import math
import re
from collections.abc import Callable

import numpy as np
import planted
import pytest
import torch
from scipy.special import rel_entr
from torch import Tensor

import polyrot as pr
from polyrot import bars
from polyrot.experiments.dyck.functions import averaged_depths
from polyrot.models.harvest import predict, real_labels
from polyrot.models.transformer import (
    HEADS,
    StackedTransformer,
    State,
    TransformerConfig,
    analytic_positions,
    initial_state,
    stack_states,
)
from polyrot.symmetry.group import Symmetry, random_symmetry
from polyrot.tasks import dyck
from polyrot.tasks.dyck import LabelledSequences

FULL = TransformerConfig()
CONFIG = TransformerConfig(d_model=16, heads=3, d_head=4, d_mlp=16)
LABELS = {"token": 40, "depth": 9, "valid": 2}
SEQUENCES, POINTS = 32, 4


def model(seed: int) -> State:
    """Small, with weights large enough for outputs that depend on the input."""
    state = initial_state(CONFIG, seed)
    return {n: t if n.endswith("gain") else 15 * t for n, t in state.items()}


def stack(*states: State, config: TransformerConfig = CONFIG) -> StackedTransformer:
    return StackedTransformer(config, stack_states(states))


def turned(state: State, seed: int) -> StackedTransformer:
    """A random image in a turned residual stream, with positions of its own."""
    symmetry = Symmetry.random(CONFIG, seed, residual=True)
    positions = symmetry.positions(CONFIG)[None]
    return StackedTransformer(CONFIG, stack_states([symmetry.apply(state)]), positions)


def sequences(*contents: str) -> LabelledSequences:
    """Label contents such as `(])`, framed and padded to a common width."""
    tokens = [
        [dyck.BOS, *(dyck.FIRST_BRACKET + "()[]{}".index(c) for c in content), dyck.EOS]
        for content in contents
    ]
    width = max(map(len, tokens))
    return dyck.label(np.array([row + [dyck.PAD] * (width - len(row)) for row in tokens]))


@pytest.fixture
def few_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "MEAN_SEQUENCES", 64)


# Bar B.


def by_hand(models: StackedTransformer, index: int, spec: LabelledSequences) -> float:
    """KL(labels || model) with all probabilities written out, one sequence after another."""
    divergences = []
    for row in range(len(spec)):
        one = spec.cut(np.array([row]), int(spec.lengths[row]))
        for head, logits in predict(models, one).items():
            q = logits[index].double().softmax(-1).numpy()
            for label, model_says in zip(one.labels[head][0], q, strict=True):
                p = np.full(len(model_says), 1e-6 / (len(model_says) - 1))
                p[label] = 1 - 1e-6
                divergences.append(rel_entr(p, model_says).sum())
    return float(np.mean(divergences))


@pytest.mark.seconds
def test_behavioural_is_the_divergence_written_out() -> None:
    # More than two groups of similar length, so that tokens are collected in another order.
    spec = dyck.sample_short(130, rng=np.random.default_rng(0))
    models = stack(model(0), model(1))
    found = bars.behavioural(models, spec)
    assert found.shape == (2,)
    assert found.tolist() == pytest.approx([by_hand(models, i, spec) for i in (0, 1)], rel=1e-6)
    assert float((found[0] - found[1]).abs()) > 1e-3


def readable(gap: float) -> StackedTransformer:
    """A model whose logits are `gap` for one label of each head, by its input, and 0 for others.

    It writes nothing and sees no positions: a token is a direction of the stream, of norm 8
    once normalised.
    """
    state = {name: torch.zeros(shape) for name, shape in FULL.shapes().items()}
    size = 1000.0  # beside which the norm's epsilon is nothing
    read = gap / 8
    state["W_E"] = size * torch.eye(40, 64)
    state["W_U_tok"] = read * torch.eye(40, 64)
    depth = {dyck.BOS: 0, dyck.EOS: 1, dyck.FIRST_BRACKET: 1, dyck.FIRST_BRACKET + 1: 0}
    for token, level in depth.items():
        state["W_U_depth"][level, token] = read
        state["W_U_valid"][0, token] = read
    state |= {name: torch.ones_like(t) for name, t in state.items() if name.endswith("gain")}
    positions = torch.zeros(1, *analytic_positions(FULL).shape)
    return StackedTransformer(FULL, stack_states([state]), positions)


def divergence(labels: int, gap: float) -> float:
    """KL from a smoothed label to a softmax whose logit for that label is higher by `gap`."""
    p = np.array([1 - 1e-6] + [1e-6 / (labels - 1)] * (labels - 1))
    weights = np.array([math.exp(gap)] + [1.0] * (labels - 1))
    return float(rel_entr(p, weights / weights.sum()).sum())


@pytest.mark.parametrize("gap", [0.0, 3.0, 12.0])
def test_behavioural_of_known_logits_is_in_nats(gap: float) -> None:
    spec = sequences("(", "()(")
    logits = predict(readable(gap), spec)
    for head, labels in real_labels(spec).items():
        assert logits[head].shape == (1, len(labels), LABELS[head])
        right = logits[head][0].gather(-1, labels[:, None])
        torch.testing.assert_close(right, torch.full_like(right, gap))
    expected = np.mean([divergence(labels, gap) for labels in LABELS.values()])
    assert bars.behavioural(readable(gap), spec).tolist() == pytest.approx([expected], rel=1e-6)


def test_behavioural_of_a_uniform_model_is_the_logarithm_of_the_labels() -> None:
    uniform = np.mean([math.log(labels) for labels in LABELS.values()])
    # Less the entropy of the smoothed labels, some 2e-5 nats.
    found = float(bars.behavioural(readable(0.0), sequences("(")))
    assert uniform - 5e-5 < found < uniform - 1e-5


def test_behavioural_is_zero_where_probabilities_equal_the_smoothed_labels() -> None:
    spec = sequences("(", "()(", "()()(")
    model = readable(0.0)
    for head, labels in LABELS.items():
        gap = math.log((1 - 1e-6) / (1e-6 / (labels - 1)))
        own = readable(gap).weight(HEADS[head])
        model.weight(HEADS[head]).data.copy_(own.detach())
    assert float(bars.behavioural(model, spec)) == pytest.approx(0, abs=1e-11)
    assert float(bars.behavioural(readable(3.0), spec)) > bars.BEHAVIOURAL


def test_labels_are_in_the_order_of_predictions() -> None:
    # The copy model predicts the token that it sees, whatever the order.
    spec = dyck.sample_short(150, rng=np.random.default_rng(3))
    copied = predict(readable(5.0), spec)["token"][0].argmax(-1)
    labels = real_labels(spec)
    assert torch.equal(copied, labels["token"])
    by_row = [spec.labels["token"][i, : spec.lengths[i]] for i in range(len(spec))]
    assert not np.array_equal(np.concatenate(by_row), labels["token"].numpy())
    for head, values in labels.items():
        kept = spec.labels[head][spec.labels[head] != dyck.IGNORE]
        assert np.array_equal(np.sort(kept), np.sort(values.numpy()))


def test_the_specification_has_the_published_mix() -> None:
    spec = bars.specification(1000)
    content = spec.lengths - 2
    assert len(spec) == 1000
    assert (content <= 48).sum() == 600
    assert (content[content <= 48].min(), content[content <= 48].max()) == (2, 48)
    assert (content == 62).sum() == 200
    assert ((content >= 50) & (content <= 60)).sum() == 200
    true = dyck.label(spec.tokens)
    assert all(np.array_equal(spec.labels[head], true.labels[head]) for head in LABELS)


def test_the_specification_is_a_function_of_its_seed() -> None:
    one, again, other = (bars.specification(50, seed=s).tokens for s in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert np.array_equal(bars.specification(50).tokens, one)


# Bar P.


@pytest.mark.seconds
def test_parametric_tells_an_image_from_the_decoy() -> None:
    state = planted.random_model(0)
    models = stack(averaged_depths(state), random_symmetry(state, FULL, 7), config=FULL)
    found = bars.parametric(models, stack(state, config=FULL))
    assert found.shape == (2,)
    assert float(found[0]) > bars.PARAMETRIC
    assert float(found[1]) < 1e-8


@pytest.mark.seconds
def test_parametric_is_of_every_seed_in_order() -> None:
    state = model(0)
    states = [model(1), random_symmetry(state, CONFIG, 3), averaged_depths(state), state]
    spec = stack(state)
    together = bars.parametric(stack(*states), spec)
    alone = [float(bars.parametric(stack(one), spec)) for one in states]
    assert together.tolist() == pytest.approx(alone, rel=1e-9)
    assert float(together[1]) < 1e-8
    assert float(together[3]) < 1e-8
    assert min(float(together[0]), float(together[2])) > bars.PARAMETRIC


def test_parametric_may_leave_the_residual_stream() -> None:
    state = model(0)
    image, spec = turned(state, 4), stack(state)
    assert float(bars.parametric(image, spec)) < 1e-8
    assert float(bars.parametric(image, spec, turn_residual=False)) > bars.PARAMETRIC
    image = stack(random_symmetry(state, CONFIG, 4))
    assert float(bars.parametric(image, spec, turn_residual=False)) < 1e-8


# Bars C and Pr.


def writing_as(state: State, other: State) -> State:
    """Give a model's heads the output matrices of another's."""
    return {n: other[n] if n.endswith("W_O") else t for n, t in state.items()}


def bar_c(models: StackedTransformer, spec: StackedTransformer) -> Tensor:
    return bars.causal(models, spec, sequences=SEQUENCES, points=POINTS)


def bar_pr(models: StackedTransformer, spec: StackedTransformer) -> Tensor:
    return bars.predictive(models, spec, sequences=SEQUENCES)


@pytest.mark.usefixtures("few_means")
@pytest.mark.seconds
def test_causal_of_a_model_with_itself_is_one_and_of_broken_heads_is_not() -> None:
    state = model(0)
    image = random_symmetry(state, CONFIG, 4)
    assert not torch.equal(Symmetry.random(CONFIG, 4).layers[0].heads, torch.arange(CONFIG.heads))
    models = stack(state, writing_as(state, model(1)), image)
    itself, broken, of_image = bar_c(models, stack(state)).tolist()
    assert itself > 0.999
    assert of_image == pytest.approx(itself, abs=1e-4)
    assert broken < itself - 0.2


@pytest.mark.usefixtures("few_means")
@pytest.mark.seconds
def test_predictive_of_an_image_is_that_of_the_model_and_of_broken_heads_is_not() -> None:
    state = model(0)
    models = stack(state, writing_as(state, model(1)), random_symmetry(state, CONFIG, 4))
    itself, broken, of_image = bar_pr(models, stack(state)).tolist()
    assert itself > 0.8
    assert of_image == pytest.approx(itself, abs=1e-4)
    assert broken < itself - 0.2


@pytest.mark.usefixtures("few_means")
@pytest.mark.seconds
def test_heads_unmatched_would_be_another_number() -> None:
    # The control of the two tests above: with components in the image's own order, r falls.
    state = model(0)
    batch = bars.analysis_batch(SEQUENCES, seed=1)
    spec, image = stack(state), stack(random_symmetry(state, CONFIG, 4))
    own, matched = bars.matched_effects(spec, spec, batch), bars.matched_effects(image, spec, batch)
    torch.testing.assert_close(own, matched, rtol=1e-3, atol=1e-5)
    order = bars.component_order([layer.heads for layer in Symmetry.random(CONFIG, 4).layers])
    unmatched = matched[:, order]
    assert float(bars.correlation(own, unmatched)) < 0.99


@pytest.mark.usefixtures("few_means")
@pytest.mark.parametrize("bar", [bar_c, bar_pr])
@pytest.mark.seconds
def test_a_turned_residual_stream_changes_no_correlation(
    bar: Callable[[StackedTransformer, StackedTransformer], Tensor],
) -> None:
    state = model(0)
    plain, image = stack(state), turned(state, 4)
    itself = float(bar(plain, plain))
    assert float(bar(image, plain)) == pytest.approx(itself, abs=1e-3)
    assert float(bar(plain, image)) == pytest.approx(itself, abs=1e-3)


def test_components_follow_the_order_of_their_heads() -> None:
    # Layers of heads 0-2 and an MLP: components 0-3 and 4-7.
    heads = [torch.tensor([2, 0, 1]), torch.tensor([1, 2, 0])]
    assert bars.component_order(heads).tolist() == [2, 0, 1, 3, 5, 6, 4, 7]


def test_correlation_is_pearsons() -> None:
    x, y = (torch.from_numpy(np.random.default_rng(s).normal(size=(4, 10))) for s in (0, 1))
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(x, y, strict=True)]
    assert bars.correlation(x, y).tolist() == pytest.approx(expected, abs=1e-12)
    one = [np.corrcoef(x[0], b)[0, 1] for b in y]
    assert bars.correlation(x[:1], y).tolist() == pytest.approx(one, abs=1e-12)
    assert bars.correlation(x, 3 - 2 * x).tolist() == pytest.approx([-1.0] * 4)


def test_analysis_batches_are_short_and_differ_by_seed() -> None:
    one, again, other = (bars.analysis_batch(40, seed=s) for s in (1, 1, 2))
    assert np.array_equal(one.tokens, again.tokens)
    assert not np.array_equal(one.tokens, other.tokens)
    assert one.lengths.max() <= 50


# What users see.


def test_bars_are_public() -> None:
    assert pr.bars is bars
    assert pr.bars.behavioural is bars.behavioural
    assert (bars.BEHAVIOURAL, bars.PARAMETRIC, bars.CAUSAL, bars.PREDICTIVE) == (
        1e-4,
        1e-3,
        0.99,
        0.99,
    )


@pytest.mark.parametrize("bar", [bars.parametric, bars.causal, bars.predictive])
def test_a_specification_of_two_models_is_named_with_the_mend(
    bar: Callable[[StackedTransformer, StackedTransformer], Tensor],
) -> None:
    models = stack(model(0), model(1))
    message = "a stack of one model but got 2; take one with spec.take(0)"
    with pytest.raises(ValueError, match=re.escape(message)):
        bar(models, models)


TOKENS = torch.randint(40, (3, 4, 9), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("own_positions", [False, True])
def test_models_taken_from_a_stack_are_those_asked_for(own_positions: bool) -> None:
    positions = None
    if own_positions:
        positions = torch.stack(
            [Symmetry.random(CONFIG, s, residual=True).positions(CONFIG) for s in range(3)]
        )
    models = StackedTransformer(CONFIG, stack_states([model(s) for s in range(3)]), positions)
    logits, _ = models(TOKENS)
    for indices in ((2,), (2, 0), (1, 1, 0)):
        taken = models.take(*indices)
        assert taken.seeds == len(indices)
        found, _ = taken(TOKENS[list(indices)])
        for head, values in found.items():
            torch.testing.assert_close(values, logits[head][list(indices)])
    assert not torch.allclose(logits["token"][0], logits["token"][2])
