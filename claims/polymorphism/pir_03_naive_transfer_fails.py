"""PIR-03: a sparse autoencoder applied directly to another seed is worse than the mean.

"Polymorphism Is Rotation" (arXiv 2605.24577): applied to the raw activations of another seed, the
autoencoder of seed 0 has a negative explained variance (EV) at every internal site.  Hardened: the
means are matched first, so that a shifted mean cannot make the EV negative; variance is taken about
the mean of each dimension; held-out tokens, all pairs.
"""

import pytest

from polyrot.capabilities import controls
from polyrot.capabilities.pairs import Pair, as_trained
from polyrot.capabilities.streams import Streams
from polyrot.claim import *
from polyrot.sae.metrics import ev, ev_published, reconstruct

CLAIM = Claim(
    "PIR-03",
    "Naive SAE transfer is worse than the mean",
    "arXiv 2605.24577, cross-seed reconstruction",
    {
        "dyck3": "negative at every internal site",
        "dyck3-independent": "-1.53 to -0.58",
        "pythia-70m": "-2.11 to 0.75, negative from layer 2",
    },
    true_in=("haar",),
    false_in=("identity", "mean-shift-only"),
)
BAR = Bar.below(0.0, "EV of the target by the source's SAE")
CONTROLS = (
    negative("identity with 1% noise", controls.identity_world(0.01)),
    positive("Haar world", controls.haar_world()),
)
PRINTED = {
    "dyck3-independent": (Printed((-1.53, -0.58), "over all sites", ends=True),),
    "pythia-70m": (Printed((-2.11, 0.75), "means of all sites", ends=True),),
}
PUBLISHED = Measurement(CLAIM, BAR, CONTROLS, published=True, printed=PRINTED)
HARDENED = Measurement(CLAIM, BAR, CONTROLS)


def naive_ev_published(pair: Pair) -> float:
    return ev_published(reconstruct(pair.sae, pair.target), pair.target)


def naive_ev(pair: Pair) -> float:
    fit, held = ~pair.held_out, pair.held_out
    shifted = pair.target[held] - pair.target[fit].mean(0) + pair.source[fit].mean(0)
    return ev(reconstruct(pair.sae, shifted), shifted)


@pytest.mark.measurement(PUBLISHED)
def test_published(streams: Streams, judge: Judge) -> None:
    judge(lambda world=as_trained: streams.each_site(naive_ev_published, world, anchored=True))


@pytest.mark.measurement(HARDENED)
def test_hardened(streams: Streams, judge: Judge) -> None:
    judge(lambda world=as_trained: streams.each_site(naive_ev, world))
