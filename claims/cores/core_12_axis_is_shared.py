"""CORE-12: the agreement axis is shared across sizes.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600) calls the core
coordinates of GPT-2 small, medium and large "well aligned" over prompts.  Measured here: the
correlation, between models of different sizes, of the coordinate along the core, each model at the
layer that CORE-11 chooses.  Signs are fixed on the training prompts, so that the coordinate rises
with the model's plural margin; the correlation is over held-out prompts.

Limits: a prompt has one of two labels, so any two axes that encode the number correlate, however
the models compute it.  A high correlation shows that both cores encode the label and little else.
Whether they agree beyond the label is the correlation within each number, which is reported too
and decides nothing.
"""

from collections.abc import Callable
from statistics import mean

import numpy as np
import pytest
import torch
from torch import Tensor

from polyrot.claim import *
from polyrot.experiments.agreement import axes
from polyrot.experiments.agreement.axes import Study
from polyrot.experiments.agreement.controls import rotated
from polyrot.experiments.agreement.studies import Readers, pairs_of_sizes

CLAIM = Claim(
    "CORE-12",
    "The agreement axis is shared across sizes",
    "arXiv 2602.22600, GPT-2",
    {"gpt2": "well aligned"},
    true_in=("verb-shared",),
    false_in=("verb-label-alone", "verb-one-axis", "verb-apart"),
)
Seeds = tuple[int, int]
Coordinates = tuple[Tensor, Tensor]
"""Of two models, on every prompt."""
World = Callable[[Study, Study, Seeds], list[Coordinates]]
"""Coordinates of two models, given their seeds; correlations are averaged over several."""
WITHIN = "within each number"
DRAWS = 8
"""Random axes for each pair."""


def core(study: Study) -> Tensor:
    layer = study.training.best_layer
    return study.coordinates(layer, study.cores[layer])


def cores(one: Study, other: Study, seeds: Seeds) -> list[Coordinates]:
    return [(core(one), core(other))]


def shuffled_prompts(one: Study, other: Study, seeds: Seeds) -> list[Coordinates]:
    generator = torch.Generator().manual_seed(1_000 * seeds[0] + seeds[1])
    order = torch.randperm(len(other.margins), generator=generator)
    return [(core(one), core(other)[order])]


def random_axis(one: Study, other: Study, seeds: Seeds) -> list[Coordinates]:
    """In place of the second model's core, at the same layer."""
    layer, d_model = other.training.best_layer, other.cores.shape[1]
    drawn = axes.random_directions(d_model, DRAWS, seed=1_000 * seeds[0] + seeds[1])
    return [(core(one), other.coordinates(layer, axis)) for axis in drawn]


def itself_rotated(one: Study, other: Study, seeds: Seeds) -> list[Coordinates]:
    """The first model against itself in another basis, where its core is extracted again."""
    return [(core(one), core(rotated(one)))]


BAR = Bar.at_least(0.9, "correlation of core coordinates on held-out prompts")
CONTROLS = (
    negative("shuffled prompts", shuffled_prompts),
    negative("random axis", random_axis),
    positive("itself, rotated", itself_rotated),
)
HARDENED = Measurement(CLAIM, BAR, CONTROLS)
CORRELATIONS = ByPart(
    "correlations",
    title="Correlation of core coordinates",
    caption="Correlation of the coordinate along the axis between models of two sizes, over "
    "held-out prompts, and over those of each number separately.",
    y="correlation",
    curves=(
        Curve("models", Role.MODELS),
        Curve(WITHIN, Role.BESIDE, detail=WITHIN),
        *control_curves(CONTROLS),
    ),
    bar=BAR,
)


def correlation(one: Tensor, other: Tensor) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def within_number(one: Tensor, other: Tensor, plural: Tensor) -> float:
    """Correlate coordinates about the mean of their number."""
    residuals = [one.clone(), other.clone()]
    for x in residuals:
        for label in (plural, ~plural):
            x[label] -= x[label].mean()
    return correlation(*residuals)


def correlations(readers: Readers, world: World, seeds: Seeds) -> list[tuple[float, float]]:
    """Of two models on held-out prompts: over all of them, and within each number."""
    one, other = map(readers.study, seeds)
    held_out = torch.from_numpy(~one.prompts.training)
    plural = torch.from_numpy(one.prompts.plural)[held_out]
    pairs = [(a[held_out], b[held_out]) for a, b in world(one, other, seeds)]
    return [(correlation(a, b), within_number(a, b, plural)) for a, b in pairs]


def correlation_by_sizes(readers: Readers, world: World) -> dict[str, Estimate]:
    estimates = {}
    for part, pairs in pairs_of_sizes(readers).items():
        found = {seeds: correlations(readers, world, seeds) for seeds in pairs}
        measured = {}
        for seeds, several in found.items():
            over_all, within = map(mean, zip(*several, strict=True))
            measured[seeds] = Measured(over_all, also={WITHIN: within})
        details = {"lowest pair": min(pair.value for pair in measured.values())}
        if world is random_axis:
            details["largest of any axis"] = max(max(several)[0] for several in found.values())
        estimates[part] = average(pairs, measured.__getitem__, details=details)
    return estimates


@pytest.mark.measurement(HARDENED)
def test_hardened(readers: Readers, judge: Judge) -> None:
    judge(lambda world=cores: correlation_by_sizes(readers, world), figures=[CORRELATIONS])
