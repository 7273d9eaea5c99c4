"""PIR-22: the matrix is Haar-distributed, not its spectrum alone.

"Polymorphism Is Rotation" (arXiv 2605.24577) calls the rotation Haar-distributed and tests its
spectrum, which cannot see the basis: turned into any other basis, a rotation has the same.  If the
residual basis is privileged, the entries show it.  Under Haar d^2 times their mean fourth power is
3d / (d + 2); entries that are concentrated on few coordinates give more.  The ratio to
that value must lie within 3% of 1, on the coordinates that seeds do not share by construction.
Where the rotation explains no more of held-out tokens than one fitted to shuffled tokens, nothing
is judged: see PIR-07.
"""

import pytest

from polyrot.capabilities import controls
from polyrot.capabilities.pairs import Pair, World, as_trained
from polyrot.capabilities.rotations import A_MAP, a_map, on_free_coordinates, with_details
from polyrot.capabilities.streams import Streams
from polyrot.claim import *
from polyrot.experiments.synthetic.kind import PERMUTED, SAME_BASIS
from polyrot.linalg.battery import haar_fourth_power, haar_pvalues

CLAIM = Claim(
    "PIR-22",
    "The matrix is Haar, not its spectrum alone",
    'arXiv 2605.24577, "Haar-distributed"',
    true_in=("haar", "noise-0.1", "noise-0.3", "noise-1"),
    false_in=(*SAME_BASIS, *PERMUTED, "partial", "basis-aligned-axes"),
)
HARDENED = Measurement(
    CLAIM,
    Bar.between(0.97, 1.03, "d^2 mean R_ij^4, over its Haar mean"),
    (
        negative("signed permutation with 10% noise", controls.signed_permutation(noise=0.1)),
        negative("Haar with 3 basis-aligned axes", controls.aligned_axes(3)),
        positive("Haar world", controls.haar_world()),
        positive("noise-matched Haar world", controls.noise_matched()),
        positive("maps between untrained seeds", controls.untrained_seeds),
    ),
    precondition=A_MAP,
)


def fourth_power(pair: Pair) -> float:
    d = pair.d_model
    return d**2 * float(pair.alignment.rotation.pow(4).mean()) / haar_fourth_power(d)


@pytest.mark.measurement(HARDENED)
def test_hardened(streams: Streams, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        found = on_free_coordinates(streams, fourth_power, world)
        if world is not as_trained:  # a control needs no p-value
            return found
        return with_details(found, haar_pvalues(streams.rotations(), ("entries",)))

    judge(measure, precondition=lambda: a_map(streams))
