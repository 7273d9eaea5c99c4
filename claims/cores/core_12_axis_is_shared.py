"""CORE-12: the agreement axis is shared across sizes.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600) calls the core
coordinates of GPT-2 small, medium and large "well aligned" over prompts.  Measured here: the
correlation over held-out prompts, between models of different sizes, of the coordinate along the
core, each model at the layer that CORE-11 chooses.  Signs are fixed on the training prompts, so
that the coordinate rises with the model's plural margin.

Limits: a prompt has one of two labels, so any two axes that encode the number correlate, however
the models compute it.  Whether two cores agree beyond the label is the correlation within each
number, which is reported too and decides nothing.
"""

from collections.abc import Callable
from statistics import mean

import numpy as np
import pytest
import torch
from torch import Tensor

from polyrot.claim import *
from polyrot.experiments.agreement import controls
from polyrot.experiments.agreement.axes import Study
from polyrot.experiments.agreement.controls import Coordinates, Seeds
from polyrot.experiments.agreement.studies import Readers, pairs_of_sizes

CLAIM = Claim(
    "CORE-12",
    "The agreement axis is shared across sizes",
    "arXiv 2602.22600, GPT-2",
    {"gpt2": "well aligned"},
    true_in=("verb-shared",),
    false_in=("verb-label-alone", "verb-one-axis", "verb-apart"),
)
World = Callable[[Study, Study, Seeds], list[Coordinates]]
"""Coordinates of two models, given their seeds; correlations are averaged over several."""
BAR = Bar.at_least(0.9, "correlation of core coordinates on held-out prompts")
CONTROLS = (
    negative("shuffled prompts", controls.shuffled_prompts),
    negative("random axis", controls.random_axes_of_the_second),
    positive("itself, rotated", controls.first_rotated),
)
WITHIN = "within each number"
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
HARDENED = Measurement(CLAIM, BAR, CONTROLS, figures=(CORRELATIONS,))


def correlation(one: Tensor, other: Tensor) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def within_number(one: Tensor, other: Tensor, plural: Tensor) -> float:
    """Correlate coordinates about the mean of their number."""
    residuals = [one.clone(), other.clone()]
    for x in residuals:
        for label in (plural, ~plural):
            x[label] -= x[label].mean()
    return correlation(*residuals)


def mean_correlation(readers: Readers, world: World, pairs: list[Seeds]) -> Estimate:
    found, largest = {}, []
    for seeds in pairs:
        one, other = map(readers.study, seeds)
        held_out = torch.from_numpy(~one.prompts.training)
        plural = torch.from_numpy(one.prompts.plural)[held_out]
        several = [(a[held_out], b[held_out]) for a, b in world(one, other, seeds)]
        over_all = [correlation(a, b) for a, b in several]
        within = mean(within_number(a, b, plural) for a, b in several)
        found[seeds] = Measured(mean(over_all), also={WITHIN: within})
        largest.append(max(over_all))
    details = {"lowest pair": min(measured.value for measured in found.values())}
    if world is controls.random_axes_of_the_second:
        details["largest of any axis"] = max(largest)
    return average(pairs, found.__getitem__, details=details)


@pytest.mark.measurement(HARDENED)
def test_hardened(readers: Readers, judge: Judge) -> None:
    judge(
        lambda world=controls.cores: {
            part: mean_correlation(readers, world, pairs)
            for part, pairs in pairs_of_sizes(readers).items()
        }
    )
