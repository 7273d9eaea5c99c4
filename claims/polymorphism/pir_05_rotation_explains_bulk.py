"""PIR-05: the rotation explains the bulk of cross-seed variation.

"Polymorphism Is Rotation" (arXiv 2605.24577) says so without printing the number that would show
it: how much of the variance of the source's activations the rotated target explains, token by token
and on sequences that the fit never saw.  The details hold the same number for the maps that compete
with a rotation.
"""

import pytest

from polyrot.capabilities import controls
from polyrot.capabilities.pairs import Pair, as_trained
from polyrot.capabilities.streams import Streams
from polyrot.claim import *
from polyrot.linalg.procrustes import COMPETITORS, Group

CLAIM = Claim(
    "PIR-05",
    "The rotation explains the bulk of cross-seed variation",
    "arXiv 2605.24577, Discussion; the figure is not printed",
    true_in=("haar", "permutation", "partial", "noise-0.1"),
    false_in=("noise-1", "shuffled-tokens", "gaussian-matched", "unrelated"),
)
MAPS = ByPart(
    "maps",
    title="What each map explains",
    caption="Explained variance of the source's activations, token by token on held-out "
    "sequences, by the best map of each kind from another seed's; mean over pairs.",
    y="alignment EV, held out",
    curves=(
        Curve("rotation", Role.MODELS),
        *(Curve(group, Role.BESIDE, detail=group) for group in COMPETITORS),
    ),
)
HARDENED = Measurement(
    CLAIM,
    Bar.above(0.5, "held-out alignment EV"),
    (
        negative("shuffled tokens", controls.shuffled_tokens),
        negative("untrained seed", controls.untrained),
        positive("Haar world with 10% noise", controls.haar_world(noise=0.1)),
    ),
    figures=(MAPS,),
)


def explained(pair: Pair, competitors: tuple[Group, ...]) -> Measured:
    return Measured(pair.alignment.ev, {group: pair.procrustes(group).ev for group in competitors})


@pytest.mark.measurement(HARDENED)
def test_hardened(streams: Streams, judge: Judge) -> None:
    judge(
        lambda world=as_trained: streams.each_site(
            lambda pair: explained(pair, COMPETITORS if world is as_trained else ()), world
        )
    )
