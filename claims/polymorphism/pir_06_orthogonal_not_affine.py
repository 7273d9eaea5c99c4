"""PIR-06: the map between seeds is orthogonal, not merely affine.

"Polymorphism Is Rotation" (arXiv 2605.24577) says so in these words.  On the tokens of the fit, an
affine map always explains at least as much as an orthogonal one.  On sequences that neither fit
saw, the orthogonal map must lose next to nothing against it.
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
HARDENED = Measurement(
    CLAIM,
    Bar.at_most(0.05, "held-out EV of the affine map less that of the rotation"),
    (
        negative("linear world, condition number 10", controls.linear(10.0)),
        positive("Haar world", controls.haar_world()),
    ),
)


def gained_by_affine(pair: Pair) -> float:
    return pair.procrustes("affine").ev - pair.procrustes().ev


@pytest.mark.measurement(HARDENED)
def test_hardened(streams: Streams, judge: Judge) -> None:
    judge(lambda world=as_trained: streams.each_site(gained_by_affine, world))
