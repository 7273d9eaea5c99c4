"""CORE-05: cores of independently trained models are statistically the same.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): on the same tokens the
coordinates of two cores have canonical correlations of 0.93-0.99.  Here of every pair of seeds,
on sequences that the cores were not extracted from, each of the three correlations by itself.
What any three directions of the same activations would give stands beside it as a control.
"""

from collections.abc import Callable

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.capabilities import figures
from polyrot.cores.comparison import canonical_correlations
from polyrot.experiments.chains import controls as subspaces
from polyrot.experiments.chains.controls import Choice
from polyrot.linalg import haar
from polyrot.stats.estimate import Estimate, jackknife
from polyrot.suites.draws import draw_seed
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, Printed, negative, positive
from polyrot.verdict.figure import Figure, Role
from polyrot.verdict.run import MODELS, Judge

CLAIM = Claim(
    "CORE-05",
    "Cores are statistically the same",
    "arXiv 2602.22600, Markov chain",
    {"markov": "0.93 to 0.99"},
    true_in=("chain-state",),
    false_in=("chain-own-third", "chain-other-sequences"),
)
BAR = Bar.at_least(0.93, "canonical correlation of core coordinates")
NAMES = ("first", "second", "third")

Coordinates = list[Float[Tensor, "token rank"]]
"""Of every seed, on held-out tokens."""
World = Callable[[Suite], tuple[Coordinates, Coordinates]]
"""What stands for the sources and what for the targets of the pairs."""


def in_subspaces(suite: Suite, choice: Choice) -> Coordinates:
    models = suite.chain
    return [
        x[models.held_out].flatten(0, 1).double() @ choice(models, i)
        for i, x in enumerate(models.activations)
    ]


def as_trained(suite: Suite) -> tuple[Coordinates, Coordinates]:
    own = in_subspaces(suite, subspaces.own_core)
    return own, own


def random_projections(suite: Suite) -> tuple[Coordinates, Coordinates]:
    own = in_subspaces(suite, subspaces.random_subspace)
    return own, own


def shuffled_tokens(suite: Suite) -> tuple[Coordinates, Coordinates]:
    own = in_subspaces(suite, subspaces.own_core)
    return own, [x[shuffled(len(x), i)] for i, x in enumerate(own)]


def rotated(suite: Suite) -> tuple[Coordinates, Coordinates]:
    """Each target is the first seed's core, turned by a rotation drawn for the target."""
    first = in_subspaces(suite, subspaces.own_core)[0]
    d = first.shape[1]
    turned = [first @ haar.sample(d, seed=draw_seed(i, 45)) for i in range(len(suite.seeds))]
    return [first] * len(suite.seeds), turned


def shuffled(tokens: int, index: int) -> Tensor:
    return torch.randperm(tokens, generator=torch.Generator().manual_seed(draw_seed(index, 46)))


CONTROLS = (
    negative("shuffled tokens", shuffled_tokens),
    negative("random projections", random_projections),
    positive("the core of one seed, rotated", rotated),
)
HARDENED = Measurement(
    CLAIM,
    BAR,
    CONTROLS,
    printed={"markov": (Printed((0.93, 0.99), "three seeds, three directions", ends=True),)},
)


def each_direction(estimates: figures.Worlds) -> list[Figure]:
    curves = [
        ("cores", Role.MODELS, MODELS, ""),
        *((control.name, Role.NEGATIVE, control.name, "") for control in CONTROLS[:2]),
    ]
    return [
        figures.by_part(
            estimates,
            curves,
            name="correlations",
            title="What two seeds have in common",
            caption="Canonical correlations of coordinates on held-out tokens, mean over pairs.",
            y="canonical correlation",
            bar=BAR,
        )
    ]


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        sources, targets = world(suite)
        found = {
            (a, b): canonical_correlations(sources[suite.index(a)], targets[suite.index(b)])
            for a, b in suite.seed_pairs()
        }
        return {
            name: jackknife({pair: float(own[k]) for pair, own in found.items()})
            for k, name in enumerate(NAMES)
        }

    judge(measure, figures=each_direction)
