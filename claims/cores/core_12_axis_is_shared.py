"""CORE-12: the agreement axis is shared across sizes.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600) calls the core
coordinates of GPT-2 small, medium and large "well aligned" over prompts.  Measured here: the
correlation over held-out prompts, between models of different sizes, of the coordinate along the
core, each model at the layer that CORE-11 chooses on the training prompts.  Signs are fixed on the
training prompts, so that the coordinate rises with the model's plural margin.

A prompt is singular or plural, so any two axes that encode the number correlate, however the
models compute it.  Hardened: within the singular prompts and within the plural ones, on more of
them.  A negative control keeps the number alone in common, by exchanging prompts of the same number
in the second model; where the number is most of what the coordinates vary with, it meets the
published bar.
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
from polyrot.experiments.agreement.studies import Readers, pairs_of_sizes, part_name
from polyrot.tasks.agreement import Prompts

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
Among = Callable[[Prompts], dict[str, Tensor]]
"""The prompts over which coordinates are correlated, by the name of the part."""
CONTROLS = (
    negative("shuffled prompts", controls.shuffled_prompts),
    negative("random axis", controls.random_axes_of_the_second),
    negative("the number alone in common", controls.label_alone),
    positive("itself, rotated", controls.first_rotated),
)


def figure(bar: Bar) -> ByPart:
    return ByPart(
        "correlations",
        title="Correlation of core coordinates",
        caption="Correlation of the coordinate along the axis between models of two sizes, over "
        "held-out prompts.",
        y="correlation",
        curves=(Curve("models", Role.MODELS), *control_curves(CONTROLS)),
        bar=bar,
    )


AT_ALL = Bar.at_least(
    0.9, "correlation of core coordinates on held-out prompts", scale=Scale.FISHER
)
WITHIN = Bar.at_least(
    0.5, "correlation of core coordinates on held-out prompts of one number", scale=Scale.FISHER
)
PUBLISHED = Measurement(CLAIM, AT_ALL, CONTROLS, published=True, figures=(figure(AT_ALL),))
HARDENED = Measurement(CLAIM, WITHIN, CONTROLS, figures=(figure(WITHIN),))


def all_prompts(prompts: Prompts) -> dict[str, Tensor]:
    return {"": torch.from_numpy(~prompts.training)}


def each_number(prompts: Prompts) -> dict[str, Tensor]:
    held_out, plural = ~prompts.training, prompts.plural
    return {
        "singular": torch.from_numpy(held_out & ~plural),
        "plural": torch.from_numpy(held_out & plural),
    }


def correlations(
    readers: Readers, world: World, among: Among, *, many: bool
) -> dict[str, Estimate]:
    """The correlation of the coordinates of two models, over several groups of prompts."""

    def measure(seeds: Seeds) -> dict[str, Measured]:
        one, other = (readers.study(seed, many=many) for seed in seeds)
        several = world(one, other, seeds)
        found = {}
        for part, chosen in among(one.prompts).items():
            each = [float(np.corrcoef(a[chosen], b[chosen])[0, 1]) for a, b in several]
            also = {"largest of several axes": max(each)} if len(each) > 1 else {}
            found[part] = Measured(mean(each), also=also)
        return found

    return {
        part_name(sizes, part): estimate
        for sizes, pairs in pairs_of_sizes(readers).items()
        for part, estimate in average_by_part(pairs, measure).items()
    }


@pytest.mark.measurement(PUBLISHED)
def test_published(readers: Readers, judge: Judge) -> None:
    judge(lambda world=controls.cores: correlations(readers, world, all_prompts, many=False))


@pytest.mark.measurement(HARDENED)
def test_hardened(readers: Readers, judge: Judge) -> None:
    judge(lambda world=controls.cores: correlations(readers, world, each_number, many=True))
