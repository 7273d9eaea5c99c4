"""One axis for each layer that should carry agreement: how it is found, and what removing it does.

It is found on the training prompts only.  The effect of an intervention is the area under the ROC
curve of the plural margin for a plural head, on either half of the prompts (arXiv 2602.22600).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from polyrot.cores.ablation import flip, keep, remove
from polyrot.cores.extraction import core_of
from polyrot.cores.gramians import reachability
from polyrot.experiments.agreement.readers import Observed, Reader
from polyrot.interventions.blocks import Edit
from polyrot.stats.ranking import area_under_curve
from polyrot.tasks.agreement import Prompts

INTERVENTIONS = {"keep": keep, "remove": remove, "flip": flip}
"""Interventions relative to the mean of the training prompts, at the last token only."""

FEW = 600
"""Prompts of each half on which every layer is tried: as many as were published."""
TIE = 1e-4
"""Share of the standard deviation of a model's margins below which differences are ties."""
Direction = Float[Tensor, " d_model"]


@dataclass(frozen=True)
class Areas:
    """Areas under the curve on one half of the prompts, or the first `FEW` of it."""

    base: float
    """Without intervention."""
    by_layer: Mapping[str, tuple[float, ...]]
    """By intervention; the first layer is the state after the first block."""

    @property
    def best_layer(self) -> int:
        """The first layer where flipping the axis has the largest effect, as published."""
        return int(np.argmin(self.by_layer["flip"]))

    def at(self, layer: int) -> dict[str, float]:
        """Return the areas at one layer, by intervention."""
        return {name: areas[layer] for name, areas in self.by_layer.items()}


@dataclass(frozen=True, eq=False)
class Study:
    """The states and cores of one model at every layer, and the effect of interventions."""

    reader: Reader
    prompts: Prompts
    states: Float[Tensor, "layer prompt d_model"]
    margins: Float[Tensor, " prompt"]
    cores: Float[Tensor, "layer d_model"]
    """Top directions of algorithmic core extraction, unit vectors, float64."""
    training: Areas
    test: Areas

    def on_core(self, layer: int) -> dict[str, float]:
        """Return the areas on all test prompts: without intervention, and with those on the core.

        The first is "base".
        """
        test = ~self.prompts.training
        if test.sum() <= FEW:
            return {"base": self.test.base} | self.test.at(layer)
        (areas,) = self.intervene(layer, [self.cores[layer]])
        return {"base": self.base} | areas

    @property
    def base(self) -> float:
        """The area on all test prompts without intervention."""
        test = ~self.prompts.training
        margins = self.margins[torch.from_numpy(test)] / _scale(self.margins)
        return _area(margins, self.prompts.plural[test])

    def intervene(
        self, layer: int, directions: Sequence[Direction]
    ) -> tuple[dict[str, float], ...]:
        """Intervene on other axes at a layer: areas under the curve on the test prompts."""
        mean = _means(self.states, self.prompts)[layer]
        edits = [(layer, edit) for axis in directions for edit in _edits(axis, mean)]
        test = ~self.prompts.training
        edited = self.reader.edited_margins(edits, torch.from_numpy(test))
        scale = _scale(self.margins)
        areas = [_area(margins / scale, self.prompts.plural[test]) for margins in edited]
        rows = np.array(areas).reshape(-1, len(INTERVENTIONS)).tolist()
        return tuple(dict(zip(INTERVENTIONS, row, strict=True)) for row in rows)

    def coordinates(self, layer: int, direction: Direction) -> Float[Tensor, " prompt"]:
        """Express states along an axis, about their training mean.

        The sign is such that coordinates rise with the margin of the training prompts.
        """
        centred = self.states[layer].double() - _means(self.states, self.prompts)[layer]
        along = centred @ direction.double()
        training = torch.from_numpy(self.prompts.training)
        margins = self.margins.double()[training]
        rises = float(along[training] @ (margins - margins.mean())) >= 0
        return along if rises else -along


def study(reader: Reader, prompts: Prompts, *, known: Study | None = None) -> Study:
    """Find the core of every layer on the training prompts, and intervene on it.

    All training prompts determine the cores; `FEW` of each half show the effect at every layer.

    Args:
        reader: of these prompts.
        prompts: labels and split.
        known: of the same model with its states read at other places; where a layer is read at
            the same place, its areas are reused.
    """
    observed = reader.observe()
    cores = cores_of(observed, prompts)
    means = _means(observed.states, prompts)
    same = [
        known is not None and torch.equal(layer_states, other)
        for layer_states, other in zip(
            observed.states, known.states if known else cores, strict=True
        )
    ]
    edits = [
        (layer, edit)
        for layer, (axis, mean) in enumerate(zip(cores, means, strict=True))
        if not same[layer]
        for edit in _edits(axis, mean)
    ]
    scale = _scale(observed.margins)
    training, test = _first(prompts.training), _first(~prompts.training)
    either = training | test
    edited = reader.edited_margins(edits, torch.from_numpy(either)) / scale
    halves = []
    for half, before in (
        (training, known and known.training),
        (test, known and known.test),
    ):
        new = iter(edited[:, torch.from_numpy(half[either])])
        rows = [
            before.at(layer) if before and same[layer] else _rows(new, prompts.plural[half])
            for layer in range(len(cores))
        ]
        base = _area(observed.margins[torch.from_numpy(half)] / scale, prompts.plural[half])
        halves.append(Areas(base, {n: tuple(row[n] for row in rows) for n in INTERVENTIONS}))
    return Study(reader, prompts, observed.states, observed.margins, cores, *halves)


def _first(half: Bool[np.ndarray, " prompt"]) -> Bool[np.ndarray, " prompt"]:
    """Return the first `FEW` prompts of a half."""
    first: Bool[np.ndarray, " prompt"] = half & (half.cumsum() <= FEW)
    return first


def random_directions(d_model: int, count: int, *, seed: int) -> Float[Tensor, "count d_model"]:
    """Draw axes that are independent of any model."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(count, d_model, generator=generator, dtype=torch.float64)
    units: Tensor = drawn / drawn.norm(dim=1, keepdim=True)
    return units


def past_direction(study: Study, layer: int) -> Direction:
    """Point from the prompts without "In the past," to those with it: an unrelated label's axis."""
    training, past = (torch.from_numpy(x) for x in (study.prompts.training, study.prompts.past))
    states = study.states[layer].double()
    difference = states[training & past].mean(0) - states[training & ~past].mean(0)
    unit: Tensor = difference / difference.norm()
    return unit


def cores_of(observed: Observed, prompts: Prompts) -> Float[Tensor, "layer d_model"]:
    """Find the top direction of algorithmic core extraction at every layer, a unit vector."""
    training = torch.from_numpy(prompts.training)
    found = []
    for states, gradients in zip(observed.states, observed.gradients.double(), strict=True):
        fitted = gradients[training]
        core = core_of(reachability(states[training]), fitted.mT @ fitted / len(fitted))
        found.append(core.basis(1)[:, 0])
    return torch.stack(found)


def _means(states: Tensor, prompts: Prompts) -> Float[Tensor, "layer d_model"]:
    """Return the mean of the training prompts, at every layer."""
    means: Tensor = states[:, torch.from_numpy(prompts.training)].double().mean(1)
    return means


def _edits(axis: Direction, mean: Direction) -> list[Edit]:
    """Make the three interventions on an axis, in double precision."""

    def edit(intervention: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Edit:
        def changed(x: Tensor) -> Tensor:
            basis, centre = axis[:, None].to(x.device), mean.to(x.device)
            return intervention(x.double(), basis, centre).to(x.dtype)

        return changed

    return [edit(intervention) for intervention in INTERVENTIONS.values()]


def _rows(edited: Iterator[Tensor], plural: Bool[np.ndarray, " _"]) -> dict[str, float]:
    """Return the areas of the next layer's interventions."""
    return {name: _area(next(edited), plural) for name in INTERVENTIONS}


def _area(margins: Float[Tensor, " _"], plural: Bool[np.ndarray, " _"]) -> float:
    return area_under_curve(margins.double().round().numpy(), plural)


def _scale(margins: Float[Tensor, " prompt"]) -> float:
    """Return the differences of margins that count as ties: exact removal leaves only rounding."""
    return TIE * float(margins.double().std())
