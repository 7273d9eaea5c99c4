"""PIR-10: features fire together once the activations are rotated.

"Polymorphism Is Rotation" (arXiv 2605.24577): the features of seed 0's autoencoder,
read from another seed's activations, correlate with themselves on seed 0's own; the
mean correlation over features is low on raw activations and rises when they are
rotated.  The bar asks for a rise above 0.2 and for a correlation of at least 0.25; the
measured margin is the smaller of what is left above either.  Features that are silent on
the rotated or raw activations are left out of their mean.  Hardened: held-out tokens, all
pairs, and a feature that falls silent counts as uncorrelated.
"""

import pytest

from polyrot.capabilities import controls as worlds
from polyrot.capabilities import figures
from polyrot.capabilities.pairs import Pair, as_trained
from polyrot.sae.metrics import firing_correlation
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, negative, positive
from polyrot.verdict.figure import Figure, Role
from polyrot.verdict.run import MODELS, Judge

CLAIM = Claim(
    "PIR-10",
    "Features fire together once rotated",
    "arXiv 2605.24577, firing patterns",
    {
        "dyck3": "mean r 0.03-0.51 raw, 0.27-0.74 rotated",
        "pythia-70m": "mean r 0.009-0.075 raw, 0.252-0.437 rotated",
    },
    true_in=("haar",),
    false_in=("identity", "mean-shift-only", "shuffled-tokens", "gaussian-matched", "unrelated"),
)
RISE, LEAST = 0.2, 0.25
BAR = Bar.above(0.0, f"smaller of r - {LEAST} and the rise of r - {RISE}")
UNTRAINED = negative("untrained seed", worlds.untrained)
CONTROLS = (
    negative("shuffled tokens", worlds.shuffled_tokens),
    UNTRAINED,
    positive("Haar world", worlds.haar_world()),
)
PUBLISHED = Measurement(CLAIM, BAR, CONTROLS, published=True)
HARDENED = Measurement(CLAIM, BAR, CONTROLS)


def margin(pair: Pair, *, silent_counts: bool = True) -> tuple[float, dict[str, float]]:
    """Take what is left above either bar, with the mean correlations on raw and rotated."""
    tokens, aligned = pair.scored, pair.alignment
    raw, rotated = (
        firing_correlation(pair.sae, pair.source[tokens], y, silent_counts=silent_counts)
        for y in (pair.target[tokens], aligned.apply(pair.target[tokens]).float())
    )
    return min(rotated - LEAST, rotated - raw - RISE), {"r raw": raw, "r rotated": rotated}


def margin_published(pair: Pair) -> tuple[float, dict[str, float]]:
    """The same on the tokens of the fit, and without the features that fall silent."""
    return margin(pair.on_fit_tokens(), silent_counts=False)


def raw_and_rotated(estimates: figures.Worlds) -> list[Figure]:
    curves = (
        ("rotated", Role.MODELS, MODELS, "mean r rotated"),
        ("as they are", Role.BESIDE, MODELS, "mean r raw"),
        ("untrained seed, rotated", Role.NEGATIVE, UNTRAINED.name, "mean r rotated"),
    )
    return [
        figures.by_part(
            estimates,
            curves,
            name="firing",
            title="Features that fire together",
            caption="Correlation, over tokens, of a feature's activations on its own seed and on "
            "another's; mean over features and pairs.",
            y="mean r over features",
        )
    ]


@pytest.mark.measurement(PUBLISHED)
def test_published(suite: Suite, judge: Judge) -> None:
    judge(
        lambda world=as_trained: suite.each_site(margin_published, world, anchored=True),
        figures=raw_and_rotated,
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    judge(lambda world=as_trained: suite.each_site(margin, world), figures=raw_and_rotated)
