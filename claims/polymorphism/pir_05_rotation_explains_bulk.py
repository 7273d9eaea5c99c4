"""PIR-05: the rotation explains the bulk of cross-seed variation.

"Polymorphism Is Rotation" (arXiv 2605.24577) says so without printing the number that would show
it: how much of the variance of the source's activations the rotated target explains, token by token
and on sequences that the fit never saw.  Here it must be above 0.5.  A rotation and one scale are
fitted together, as seeds differ in norm.  The details give the same number for other maps: the
rotation without a scale, the identity, a permutation, a signed one and an affine map.
"""

from collections.abc import Mapping

import pytest

from polyrot.capabilities import controls
from polyrot.capabilities.pairs import Pair, as_trained
from polyrot.capabilities.streams import Streams
from polyrot.claim import *
from polyrot.linalg.procrustes import Group

CLAIM = Claim(
    "PIR-05",
    "The rotation explains the bulk of cross-seed variation",
    "arXiv 2605.24577, Discussion; the figure is not printed",
    true_in=("haar", "permutation", "partial", "noise-0.1"),
    false_in=("noise-1", "shuffled-tokens", "gaussian-matched", "unrelated"),
)
BESIDE: dict[str, Group] = {
    "rotation alone": "O",
    "identity": "identity",
    "permutation": "permutation",
    "signed-permutation": "signed-permutation",
    "affine": "affine",
}
MAPS = ByPart(
    "maps",
    title="What each map explains",
    caption="Explained variance of the source's activations, token by token on held-out "
    "sequences, by the best map of each kind from another seed's; mean over pairs.",
    y="alignment EV, held out",
    curves=(
        Curve("rotation and scale", Role.MODELS),
        *(Curve(name, Role.BESIDE, detail=name) for name in BESIDE),
    ),
)
HARDENED = Measurement(
    CLAIM,
    Bar.above(0.5, "held-out alignment EV", scale=Scale.LOG_LOST),
    (
        negative("shuffled tokens", controls.shuffled_tokens),
        negative("untrained seed", controls.untrained),
        positive("Haar world with noise at EV 0.7", controls.haar_world(controls.noise_for(0.7))),
    ),
    figures=(MAPS,),
)


def explained(pair: Pair, beside: Mapping[str, Group]) -> Measured:
    evs = {name: pair.procrustes(group).ev for name, group in beside.items()}
    return Measured(pair.alignment.ev, evs)


@pytest.mark.measurement(HARDENED)
def test_hardened(streams: Streams, judge: Judge) -> None:
    judge(
        lambda world=as_trained: streams.each_site(
            lambda pair: explained(pair, BESIDE if world is as_trained else {}), world
        )
    )
