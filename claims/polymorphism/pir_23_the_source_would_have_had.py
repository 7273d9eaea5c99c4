"""PIR-23: the rotated activation is the one that the source would have had, token by token.

Asked here, of "Polymorphism Is Rotation" (arXiv 2605.24577).  The paper compares the reconstruction
of a rotated activation with that activation itself (PIR-04), and so never asks whether it is the
activation of the source on the same token.  Here the reconstruction is compared with the source's
own activation, on held-out tokens of all pairs.
"""

import pytest

from polyrot.capabilities import controls
from polyrot.capabilities.pairs import Pair, as_trained
from polyrot.capabilities.streams import Streams
from polyrot.claim import *
from polyrot.sae.metrics import ev, reconstruct

CLAIM = Claim(
    "PIR-23",
    "The rotated activation is the one the source would have had",
    "asked here, of arXiv 2605.24577",
    {
        "pythia-70m": "EV 0.20 to 0.48 for a number of this kind, by an independent replication; "
        "the paper's 0.85 to 0.99 is PIR-04's"
    },
    true_in=("haar", "permutation", "partial"),
    false_in=("linear-10", "shuffled-tokens", "gaussian-matched", "unrelated"),
)
BAR = Bar.at_most(0.025, "EV of the source lost against within-seed", scale=Scale.LOG)
CONTROLS = (
    negative("untrained seed", controls.untrained),
    negative("shuffled tokens", controls.shuffled_tokens),
    negative("random rotation", controls.random_rotation),
    negative("matched Gaussian", controls.matched_gaussian),
    positive("Haar world", controls.haar_world()),
    positive("noise-matched Haar world", controls.noise_matched()),
)
OWN, NAIVE, RESTORED = "mean EV of the source", "mean EV as it is", "mean EV rotated"
RECOVERY = ByPart(
    "recovery",
    title="The source's activation, token by token",
    caption="Explained variance of the source's activations by its own autoencoder, mean over "
    "pairs: read from the source, and from another seed before and after the rotation. 0 is no "
    "better than the mean.",
    y="reconstruction EV",
    curves=(
        Curve("the source itself", Role.POSITIVE, detail=OWN),
        Curve("another seed, rotated", Role.MODELS, detail=RESTORED),
        Curve("another seed, as it is", Role.BESIDE, detail=NAIVE),
        Curve("Gaussian of its moments, rotated", Role.NEGATIVE, "matched Gaussian", RESTORED),
    ),
)
HARDENED = Measurement(CLAIM, BAR, CONTROLS, figures=(RECOVERY,))


def ev_lost(pair: Pair) -> Measured:
    source, target = pair.source[pair.held_out], pair.target[pair.held_out]
    rotated = pair.carrying.apply(target).float()
    within = pair.source_ev(ev, held_out=True)
    naive, restored = (ev(reconstruct(pair.sae, x), source) for x in (target, rotated))
    return Measured(within - restored, {OWN: within, NAIVE: naive, RESTORED: restored})


@pytest.mark.measurement(HARDENED)
def test_hardened(streams: Streams, judge: Judge) -> None:
    judge(lambda world=as_trained: streams.each_site(ev_lost, world))
