"""PIR-06: the map between seeds is orthogonal, not merely affine.

"Polymorphism Is Rotation" (arXiv 2605.24577) says so in these words.  An affine map explains more
than a rotation even of sequences that neither fit saw, if only because it shrinks noisy directions.
So the difference of the two is compared with the same difference where nothing but a rotation, a
scale and noise relates the seeds: a Haar world with the residuals of the pair's own fit, and so
with its explained variance.  If both seeds are noisy, an affine map gains more than that even where
only a rotation relates them: the control with noise on both sides shows how much.
"""

import pytest

from polyrot.capabilities import controls
from polyrot.capabilities.pairs import Pair, as_trained
from polyrot.capabilities.streams import Streams
from polyrot.claim import *

CLAIM = Claim(
    "PIR-06",
    "The map is orthogonal, not merely affine",
    'arXiv 2605.24577, "not merely affine but orthogonal"',
    true_in=("haar", "permutation", "partial", "noise-0.1", "noise-0.3", "noise-1"),
    false_in=("linear-3", "linear-10"),
)
GAIN, OF_NOISE = "mean gain", "mean gain in the noise-matched Haar world"
GAINS = ByPart(
    "gains",
    title="What an affine map gains",
    caption="Held-out explained variance of the best affine map less that of the best rotation "
    "with a scale; mean over pairs. In the noise-matched Haar world only a rotation relates "
    "the seeds.",
    y="gain in alignment EV",
    curves=(
        Curve("models", Role.MODELS, detail=GAIN),
        Curve("noise-matched Haar world", Role.NULL, detail=OF_NOISE),
    ),
)
HARDENED = Measurement(
    CLAIM,
    Bar.at_most(0.05, "gain of the affine map beyond that in a noise-matched Haar world"),
    (
        negative("linear world, condition number 3", controls.linear(3.0)),
        negative("linear world, condition number 10", controls.linear(10.0)),
        positive("another noise-matched Haar world", controls.noise_matched(draw=1)),
        positive("Haar world with noise on both sides", controls.private_noise),
    ),
    figures=(GAINS,),
)


def gain(pair: Pair) -> float:
    """Held-out EV of the affine map less that of the rotation."""
    return pair.procrustes("affine").ev - pair.alignment.ev


def beyond_noise(pair: Pair) -> Measured:
    found, of_noise = gain(pair), gain(controls.noise_matched()(pair))
    return Measured(found - of_noise, {GAIN: found, OF_NOISE: of_noise})


@pytest.mark.measurement(HARDENED)
def test_hardened(streams: Streams, judge: Judge) -> None:
    judge(lambda world=as_trained: streams.each_site(beyond_noise, world))
