"""Interventions on a linear model, against outcomes worked out by hand."""

from collections.abc import Callable
from itertools import permutations

import pytest
import torch
from planted_streams import BLOCKS, D, behind, draw, linear_model, same, some_means, stream, writes
from torch import Tensor, nn

from polyrot.interventions.edit import ablated, adding, edited, recorded
from polyrot.models.linear import LinearBlock, LinearModel


@pytest.fixture
def linear() -> LinearModel:
    return linear_model()


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
