"""What interventions leave behind, and what they refuse."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import planted
import pytest
import torch
from planted_streams import (
    COMPONENTS,
    READERS,
    SEEDS,
    D,
    draw,
    joined,
    linear_model,
    output_inputs,
    some_means,
    stacked,
    stream,
)
from torch import Tensor, nn

from polyrot.interventions.attribution import attribution_patching, integrated_gradients
from polyrot.interventions.edit import ablated, adding, edited, recorded
from polyrot.interventions.effects import (
    Inputs,
    ablation_effects,
    mean_outputs,
)
from polyrot.interventions.places import places
from polyrot.models.linear import LinearModel
from polyrot.models.transformer import StackedTransformer, TransformerConfig, stack_states


@pytest.fixture
def linear() -> LinearModel:
    return linear_model()


@pytest.fixture(scope="module")
def stack() -> StackedTransformer:
    return stacked(*SEEDS)


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
    }
    return enter[how]()


KINDS = ("linear", "stack")
INTERVENTIONS = ("edited", "recorded", "adding", "ablated")


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
    for wrong in ("block.0", "into.block.1"):
        with pytest.raises(ValueError, match=sites.format(wrong)), adding(model, wrong, v):
            pass
    for wrong in ("resid_post.0", "into.block.1"):
        with pytest.raises(ValueError, match=components.format(wrong)):
            ablated(model, {wrong: v}).__enter__()


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
