"""PIR-05: the rotation explains the bulk of cross-seed variation.

"Polymorphism Is Rotation" (arXiv 2605.24577) says so and does not print the number
that would show it: how much of the source's activations, token by token and on
sequences that the fit never saw, the rotated target explains.  The details hold the
same number for the maps that a rotation competes with.
"""

from dataclasses import replace

import pytest

from polyrot.capabilities import controls as worlds
from polyrot.capabilities import figures
from polyrot.capabilities.pairs import Pair, World, as_trained
from polyrot.linalg.procrustes import COMPETITORS
from polyrot.stats.estimate import Estimate, beside
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, negative, positive
from polyrot.verdict.figure import Figure, Role
from polyrot.verdict.run import MODELS, Judge

CLAIM = Claim(
    "PIR-05",
    "The rotation explains the bulk of cross-seed variation",
    "arXiv 2605.24577, Discussion; the figure is not printed",
    true_in=("haar", "permutation", "partial", "noise-0.1"),
    false_in=("noise-1", "shuffled-tokens", "gaussian-matched", "unrelated"),
)
HARDENED = Measurement(
    CLAIM,
    Bar.above(0.5, "held-out alignment EV"),
    (
        negative("shuffled tokens", worlds.shuffled_tokens),
        negative("untrained seed", worlds.untrained),
        positive("Haar world with 10% noise", worlds.haar_world(noise=0.1)),
    ),
)


def alignment_ev(pair: Pair) -> float:
    return pair.alignment.ev


def competing_maps(estimates: figures.Worlds) -> list[Figure]:
    curves = [("rotation", Role.MODELS, MODELS, "")]
    curves += [(group, Role.BESIDE, MODELS, group) for group in COMPETITORS]
    return [
        figures.by_part(
            estimates,
            curves,
            name="maps",
            title="What each map explains",
            caption="Explained variance of the source's activations, token by token on held-out "
            "sequences, by the best map of each kind from another seed's; mean over pairs.",
            y="alignment EV, held out",
        )
    ]


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        estimates = suite.each_site(alignment_ev, world)
        if world is not as_trained:
            return estimates
        for group in COMPETITORS:
            other = suite.each_site(lambda pair, group=group: pair.procrustes(group).ev)
            estimates = {
                site: replace(own, details={**own.details, **beside(group, other[site])})
                for site, own in estimates.items()
            }
        return estimates

    judge(measure, figures=competing_maps)
