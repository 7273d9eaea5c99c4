"""CORE-05: cores of independently trained models are statistically the same.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): on the same tokens the
coordinates of two cores have canonical correlations of 0.93-0.99.  Measured here for every pair of
seeds, on sequences that the cores were not extracted from; each of the three correlations is
judged separately.  A control shows the correlations of three random directions of the same
activations.
"""

import pytest

from polyrot.claim import *
from polyrot.cores.comparison import canonical_correlations
from polyrot.experiments.chains import controls
from polyrot.experiments.chains.controls import Coordinates
from polyrot.experiments.chains.models import Chains

CLAIM = Claim(
    "CORE-05",
    "Cores are statistically the same",
    "arXiv 2602.22600, Markov chain",
    {"markov": "0.93 to 0.99"},
    true_in=("chain-state",),
    false_in=("chain-own-third", "chain-other-sequences"),
)
BAR = Bar.at_least(0.93, "canonical correlation of core coordinates", scale=Scale.FISHER)
CONTROLS = (
    negative("shuffled tokens", controls.shuffled_tokens),
    negative("random projections", controls.random_projections),
    positive("the core of one seed, rotated", controls.first_core_rotated),
)
CORRELATIONS = ByPart(
    "correlations",
    title="What two seeds have in common",
    caption="Canonical correlations of coordinates on held-out tokens, mean over pairs.",
    y="canonical correlation",
    curves=(Curve("cores", Role.MODELS), *control_curves(CONTROLS[:2])),
    bar=BAR,
)
HARDENED = Measurement(
    CLAIM,
    BAR,
    CONTROLS,
    printed={"markov": (Printed((0.93, 0.99), "three seeds, three directions", ends=True),)},
    figures=(CORRELATIONS,),
)


def correlations(chains: Chains, sources: Coordinates, targets: Coordinates) -> dict[str, Estimate]:
    def measure(seeds: tuple[int, int]) -> dict[str, float]:
        source, target = map(chains.index, seeds)
        found = canonical_correlations(sources[source], targets[target])
        return dict(zip(("first", "second", "third"), map(float, found), strict=True))

    return average_by_part(chains.seed_pairs(), measure)


@pytest.mark.measurement(HARDENED)
def test_hardened(chains: Chains, judge: Judge) -> None:
    judge(lambda world=controls.cores_compared: correlations(chains, *world(chains.models)))
