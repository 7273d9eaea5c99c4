"""PIR-09: the rotation is no closer to a permutation than chance.

"Polymorphism Is Rotation" (arXiv 2605.24577) prints the Frobenius distance of R from the nearest
signed permutation, 29.6 at d = 512, but not the distance of a random rotation.  Here the mean over
all pairs, divided by that of Haar matrices, must be at least 0.995, on the coordinates that seeds
do not share by construction.  Above d = 128 it is the distance of 128 random columns.  Where the
rotation explains no more of held-out tokens than one fitted to shuffled tokens, nothing is judged:
see PIR-07.
"""

import pytest

from polyrot.capabilities import controls
from polyrot.capabilities.pairs import Pair, World, as_trained
from polyrot.capabilities.rotations import A_MAP, a_map, on_free_coordinates, with_details
from polyrot.capabilities.streams import Streams
from polyrot.claim import *
from polyrot.experiments.synthetic.kind import PERMUTED, SAME_BASIS
from polyrot.linalg.battery import haar_pvalues, signed_permutation_mean, statistics

CLAIM = Claim(
    "PIR-09",
    "The rotation is no closer to a permutation than chance",
    "arXiv 2605.24577, best signed permutation",
    {"pythia-70m": "29.6 +- 0.03"},
    true_in=("haar", "noise-0.1", "noise-0.3", "noise-1"),
    false_in=(*SAME_BASIS, *PERMUTED, "basis-aligned-axes"),
)
HARDENED = Measurement(
    CLAIM,
    Bar.at_least(0.995, "distance to the nearest signed permutation, over its Haar mean"),
    (
        negative("permutation with 10% noise", controls.permutation(noise=0.1)),
        negative("Haar with 3 basis-aligned axes", controls.aligned_axes(3)),
        positive("Haar world", controls.haar_world()),
        positive("noise-matched Haar world", controls.noise_matched()),
    ),
    precondition=A_MAP,
)
DISTANCE = "signed permutation"


def relative_distance(pair: Pair) -> float:
    distance = statistics(pair.alignment.rotation[None], (DISTANCE,))[DISTANCE]
    return float(distance) / signed_permutation_mean(pair.d_model)


@pytest.mark.measurement(HARDENED)
def test_hardened(streams: Streams, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        found = on_free_coordinates(streams, relative_distance, world)
        if world is not as_trained:  # a control needs no p-value
            return found
        return with_details(found, haar_pvalues(streams.rotations(), (DISTANCE,)))

    judge(measure, precondition=lambda: a_map(streams))
