"""Other axes than the core, and readers of known truth: in another basis, with a planted axis."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import mean

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from polyrot.experiments.agreement import axes
from polyrot.experiments.agreement.axes import Study
from polyrot.experiments.agreement.readers import Chosen, Observed, Placed, Reader
from polyrot.interventions.blocks import Edit
from polyrot.linalg import haar

ChooseLayer = Callable[[Study], int]
Seeds = tuple[int, int]
Coordinates = tuple[Float[Tensor, " prompt"], Float[Tensor, " prompt"]]
"""Of two models, on the same prompts."""

AXES = 4
"""Random axes for each seed, whose areas are averaged."""
NEAREST = f"{{}}, of {AXES} random axes the nearest to the bar"
AXES_OF_A_PAIR = 8
"""Random axes for each pair of models."""


def random_axis(study: Study, choose: ChooseLayer, seed: int) -> dict[str, float]:
    """Intervene on random axes: areas under the curve, averaged, and the nearest to the bar."""
    drawn = axes.random_directions(study.cores.shape[1], AXES, seed=seed)
    areas = {"base": study.base}
    each_axis = study.intervene(choose(study), list(drawn))
    for name in axes.INTERVENTIONS:
        found = [one[name] for one in each_axis]
        areas[name] = mean(found)
        areas[NEAREST.format(name)] = max(found) if name == "keep" else min(found)
    return areas


def axis_of_the_past(study: Study, choose: ChooseLayer, seed: int) -> dict[str, float]:
    """Intervene on the axis from prompts without "In the past," to those with it."""
    layer = choose(study)
    (areas,) = study.intervene(layer, [axes.past_direction(study, layer)])
    return {"base": study.base} | areas


def planted(study: Study, seed: int) -> Study:
    """A model of the same width whose margin is one axis of its states."""
    reader = planted_axis(study.prompts.plural, d_model=study.cores.shape[1], seed=seed)
    return axes.study(reader, study.prompts)


def along_the_core(study: Study) -> Float[Tensor, " prompt"]:
    """The coordinate along a model's core, at the layer chosen on the training prompts."""
    layer = study.training.best_layer
    return study.coordinates(layer, study.cores[layer])


def cores(one: Study, other: Study, seeds: Seeds) -> list[Coordinates]:
    """The cores of both models: no control."""
    return [(along_the_core(one), along_the_core(other))]


def shuffled_prompts(one: Study, other: Study, seeds: Seeds) -> list[Coordinates]:
    """The second model's prompts in another order."""
    generator = torch.Generator().manual_seed(1_000 * seeds[0] + seeds[1])
    order = torch.randperm(len(other.margins), generator=generator)
    return [(along_the_core(one), along_the_core(other)[order])]


def random_axes_of_the_second(one: Study, other: Study, seeds: Seeds) -> list[Coordinates]:
    """Random axes in place of the second model's core, at the same layer."""
    layer, d_model = other.training.best_layer, other.cores.shape[1]
    drawn = axes.random_directions(d_model, AXES_OF_A_PAIR, seed=1_000 * seeds[0] + seeds[1])
    return [(along_the_core(one), other.coordinates(layer, axis)) for axis in drawn]


def label_alone(one: Study, other: Study, seeds: Seeds) -> list[Coordinates]:
    """The second model's prompts in another order within each number."""
    generator = torch.Generator().manual_seed(1_000 * seeds[0] + seeds[1])
    moved = along_the_core(other).clone()
    plural = torch.from_numpy(other.prompts.plural)
    for label in (plural, ~plural):
        (rows,) = label.nonzero(as_tuple=True)
        moved[rows] = moved[rows[torch.randperm(len(rows), generator=generator)]]
    return [(along_the_core(one), moved)]


def first_rotated(one: Study, other: Study, seeds: Seeds) -> list[Coordinates]:
    """The first model against itself in another basis, where its core is extracted again."""
    return [(along_the_core(one), along_the_core(rotated(one)))]


@dataclass(frozen=True)
class RotatedReader:
    """A reader whose states are expressed in a rotated basis; its margins are unchanged."""

    reader: Reader
    rotation: Float[Tensor, "d_model d_model"]
    """Orthogonal: states become `x @ rotation`."""

    def observe(self) -> Observed:
        seen, turn = self.reader.observe(), self.rotation
        # Gradients rotate as states do, because the rotation is orthogonal.
        return Observed(seen.states.double() @ turn, seen.gradients.double() @ turn, seen.margins)

    def edited_margins(self, edits: Sequence[Placed], chosen: Chosen) -> Float[Tensor, "edit _"]:
        turned = [(layer, self._turned(edit)) for layer, edit in edits]
        return self.reader.edited_margins(turned, chosen)

    def _turned(self, edit: Edit) -> Edit:
        turn = self.rotation
        return lambda x: (edit(x.double() @ turn.to(x.device)) @ turn.mT.to(x.device)).to(x.dtype)


@lru_cache(maxsize=64)  # the same in every pair of a model
def rotated(study: Study) -> Study:
    """Express a model's states in a random basis, and extract its cores there."""
    reader = RotatedReader(study.reader, haar.sample(study.cores.shape[1], seed=12))
    seen = reader.observe()
    cores = axes.cores_of(seen, study.prompts)
    return replace(study, reader=reader, states=seen.states, cores=cores)


@dataclass(frozen=True)
class LinearReader:
    """A reader with given states, whose margins are linear in the states after any layer."""

    states: Float[Tensor, "layer prompt d_model"]
    readout: Float[Tensor, "prompt d_model"]
    """The gradient of each prompt's margin; the margin is its product with the state."""

    def observe(self) -> Observed:
        gradients = self.readout.expand_as(self.states)
        return Observed(self.states, gradients, (self.states[-1] * self.readout).sum(-1))

    def edited_margins(self, edits: Sequence[Placed], chosen: Chosen) -> Float[Tensor, "edit _"]:
        rows, readout = self.states[:, chosen], self.readout[chosen]
        margins = torch.empty(len(edits), len(readout), dtype=rows.dtype)
        for index, (layer, edit) in enumerate(edits):
            margins[index] = (edit(rows[layer]) * readout).sum(-1)
        return margins


def planted_axis(plural: Bool[np.ndarray, " prompt"], *, d_model: int, seed: int) -> LinearReader:
    """Make a world in which agreement is one axis: a direction of the states carries the label.

    The margin is the state's coordinate along it, at each of two layers.  The axis is estimated:
    with n prompts in d dimensions the error of the estimate is of the order of sqrt(d / n), and so
    is the separation of the labels that remains when the estimated axis is removed.
    """
    generator = torch.Generator().manual_seed(seed)
    axis = torch.randn(d_model, generator=generator, dtype=torch.float64)
    axis /= axis.norm()
    sign = signs(plural)
    states = 1.5 * sign[:, None] * axis + torch.randn(
        2, len(sign), d_model, generator=generator, dtype=torch.float64
    )
    return along(LinearReader(states, axis.expand(states.shape[1:])), states[0] @ axis)


def along(reader: LinearReader, coordinates: Float[Tensor, " prompt"]) -> LinearReader:
    """Set the states' coordinates along the readout, after every layer."""
    units = reader.readout / reader.readout.norm(dim=1, keepdim=True)
    missing = coordinates - (reader.states * units).sum(-1)
    return replace(reader, states=reader.states + missing[..., None] * units)


def signs(plural: Bool[np.ndarray, " prompt"]) -> Float[Tensor, " prompt"]:
    """Return 1 for a plural head, -1 for a singular one."""
    return 2 * torch.from_numpy(plural).double() - 1
