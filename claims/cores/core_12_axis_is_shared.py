"""CORE-12: the agreement axis is shared across sizes.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600) calls the core
coordinates of GPT-2 small, medium and large "well aligned" over prompts.  Measured here: how
models of different sizes correlate in the coordinate of their core, each at the layer that
CORE-11 chooses.  Signs are fixed on the training prompts, so that coordinates rise with the
model's own plural margin; the correlation is over the prompts that were held out.

What it cannot show: a prompt has one of two labels, so that any two axes that carry the number
correlate, however the models compute it.  A high correlation says that both cores carry the
label and little else.  Whether they agree beyond it is the correlation within each number, which
stands beside and decides nothing.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from statistics import mean

import numpy as np
import pytest
import torch
from torch import Tensor

from polyrot.capabilities import figures
from polyrot.experiments.agreement import axes
from polyrot.experiments.agreement.axes import Study
from polyrot.experiments.agreement.controls import RotatedReader
from polyrot.experiments.agreement.studies import pairs_of_sizes, study_of
from polyrot.linalg import haar
from polyrot.stats.estimate import Estimate, beside, jackknife
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, negative, positive
from polyrot.verdict.figure import Figure, Role
from polyrot.verdict.run import MODELS, Judge

CLAIM = Claim(
    "CORE-12",
    "The agreement axis is shared across sizes",
    "arXiv 2602.22600, GPT-2",
    {"gpt2": "well aligned"},
    true_in=("verb-shared",),
    false_in=("verb-label-alone", "verb-one-axis", "verb-apart"),
)
Pair = tuple[int, int]
Coordinates = tuple[Tensor, Tensor]
"""Of two models, on every prompt."""
World = Callable[[Study, Study, Pair], list[Coordinates]]
"""Those of two models, given their seeds; where there are several, correlations are averaged."""
WITHIN = "within each number"
DRAWS = 8
"""Random axes a pair."""


def core(own: Study) -> Tensor:
    layer = own.training.best_layer
    return own.coordinates(layer, own.cores[layer])


def cores(one: Study, other: Study, pair: Pair) -> list[Coordinates]:
    return [(core(one), core(other))]


def shuffled_prompts(one: Study, other: Study, pair: Pair) -> list[Coordinates]:
    generator = torch.Generator().manual_seed(1_000 * pair[0] + pair[1])
    order = torch.randperm(len(other.margins), generator=generator)
    return [(core(one), core(other)[order])]


def random_axis(one: Study, other: Study, pair: Pair) -> list[Coordinates]:
    """In place of the second model's core, at its layer."""
    layer, d_model = other.training.best_layer, other.cores.shape[1]
    drawn = axes.random_directions(d_model, DRAWS, seed=1_000 * pair[0] + pair[1])
    return [(core(one), other.coordinates(layer, axis)) for axis in drawn]


def itself_rotated(one: Study, other: Study, pair: Pair) -> list[Coordinates]:
    """The first model against itself in another basis, its core found anew."""
    return [(core(one), core(rotated(one)))]


@lru_cache(maxsize=64)  # the same in every pair
def rotated(own: Study) -> Study:
    reader = RotatedReader(own.reader, haar.sample(own.cores.shape[1], seed=12))
    seen = reader.observe()
    cores = axes.cores_of(seen, own.prompts)
    return replace(own, reader=reader, states=seen.states, cores=cores)


HARDENED = Measurement(
    CLAIM,
    Bar.at_least(0.9, "correlation of core coordinates on held-out prompts"),
    (
        negative("shuffled prompts", shuffled_prompts),
        negative("random axis", random_axis),
        positive("itself, rotated", itself_rotated),
    ),
)


def correlation(one: Tensor, other: Tensor) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def within_number(one: Tensor, other: Tensor, plural: Tensor) -> float:
    """Correlate what is left of coordinates beside the mean of their number."""
    left = [x.clone() for x in (one, other)]
    for x in left:
        for label in (plural, ~plural):
            x[label] -= x[label].mean()
    return correlation(*left)


def shared(suite: Suite, world: World) -> dict[str, Estimate]:
    """Estimate the correlation for every two sizes."""
    studies = {seed: study_of(suite, seed) for seed in suite.seeds}
    found: dict[str, Estimate] = {}
    for part, pairs in pairs_of_sizes(suite).items():
        values, within, largest = {}, {}, {}
        for pair in pairs:
            one, other = (studies[seed] for seed in pair)
            held_out = torch.from_numpy(~one.prompts.training)
            plural = torch.from_numpy(one.prompts.plural)[held_out]
            both = [
                (
                    correlation(a[held_out], b[held_out]),
                    within_number(a[held_out], b[held_out], plural),
                )
                for a, b in world(one, other, pair)
            ]
            values[pair], within[pair] = map(mean, zip(*both, strict=True))
            largest[pair] = max(value for value, _ in both)
        details = beside(WITHIN, jackknife(within))
        if world is random_axis:
            details["largest of any axis"] = max(largest.values())
        found[part] = jackknife(values, details=details | {"lowest pair": min(values.values())})
    return found


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    def measure(world: World = cores) -> dict[str, Estimate]:
        return shared(suite, world)

    judge(measure, figures=correlations)


def correlations(estimates: figures.Worlds) -> list[Figure]:
    curves = [
        ("models", Role.MODELS, MODELS, ""),
        (WITHIN, Role.BESIDE, MODELS, WITHIN),
        *((c.name, Role(c.kind), c.name, "") for c in HARDENED.controls),
    ]
    return [
        figures.by_part(
            estimates,
            curves,
            name="correlations",
            title="How alike coordinates are",
            caption="Correlation of the axis's coordinate between models of two sizes, over "
            "held-out prompts, and over those of one number at a time.",
            y="correlation",
            bar=HARDENED.bar,
        )
    ]
