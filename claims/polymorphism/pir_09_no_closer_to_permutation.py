"""PIR-09: the rotation is no closer to a permutation than chance.

"Polymorphism Is Rotation" (arXiv 2605.24577) prints the Frobenius distance of R from the nearest
signed permutation, 29.6 at d = 512, but not the distance of a random rotation.  Here the mean over
all pairs must lie in the central 95% of its Monte-Carlo null.
"""

import pytest

from polyrot.capabilities import controls
from polyrot.capabilities.pairs import as_trained
from polyrot.capabilities.streams import Streams
from polyrot.claim import *
from polyrot.experiments.synthetic.kind import PERMUTED, SAME_BASIS
from polyrot.linalg.battery import adjusted_pvalues

CLAIM = Claim(
    "PIR-09",
    "The rotation is no closer to a permutation than chance",
    "arXiv 2605.24577, best signed permutation",
    {"pythia-70m": "29.6 +- 0.03"},
    true_in=("haar",),
    false_in=(*SAME_BASIS, *PERMUTED, "basis-aligned-axes"),
)
HARDENED = Measurement(
    CLAIM,
    Bar.at_least(0.05, "p of the distance to the nearest signed permutation"),
    (
        negative("permutation with 10% noise", controls.permutation(noise=0.1)),
        negative("Haar with 3 basis-aligned axes", controls.aligned_axes(3)),
        positive("Haar world", controls.haar_world()),
    ),
)


@pytest.mark.measurement(HARDENED)
def test_hardened(streams: Streams, judge: Judge) -> None:
    names = ("signed permutation",)
    judge(lambda world=as_trained: adjusted_pvalues(streams.rotations(world), names))
