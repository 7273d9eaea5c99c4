"""PIR-04: one rotation restores reconstruction by another seed's sparse autoencoder.

"Polymorphism Is Rotation" (arXiv 2605.24577): after one Procrustes rotation and a shift, the
autoencoder of seed 0 reconstructs another seed's activations almost as well as those of seed 0.
The explained variance (EV) after rotation is 0.976-0.990 where toy models share their embedding and
unembeddings, and 0.965-0.987 where they share nothing.  The reconstruction is compared with the
rotated activation itself; PIR-23 asks whether this is the activation that the source would have
had.  Hardened: a rotation and one scale, fitted on other tokens; the variance of each dimension
about its mean; all pairs.
"""

import pytest

from polyrot.capabilities import controls
from polyrot.capabilities.pairs import Pair, as_trained
from polyrot.capabilities.streams import Streams
from polyrot.claim import *
from polyrot.sae.metrics import ev, ev_published, reconstruct

CLAIM = Claim(
    "PIR-04",
    "One rotation restores reconstruction",
    "arXiv 2605.24577, post-rotation reconstruction",
    {
        "dyck3": "EV 0.976 to 0.990",
        "dyck3-independent": "EV 0.965 to 0.987",
        "pythia-70m": "EV 0.85 to 0.99",
    },
    true_in=("haar", "permutation", "partial"),
    false_in=("linear-10", "shuffled-tokens", "gaussian-matched", "unrelated"),
)
BAR = Bar.at_most(0.025, "EV lost against within-seed", scale=Scale.LOG)
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
    title="SAE failure and recovery",
    caption="Explained variance of what the source's autoencoder reads, mean over pairs: the "
    "source's activations, and another seed's before and after the rotation. 0 is no better than "
    "the mean.",
    y="reconstruction EV",
    curves=(
        Curve("the source itself", Role.POSITIVE, detail=OWN),
        Curve("another seed, rotated", Role.MODELS, detail=RESTORED),
        Curve("another seed, as it is", Role.BESIDE, detail=NAIVE),
        Curve("Gaussian of its moments, rotated", Role.NEGATIVE, "matched Gaussian", RESTORED),
    ),
)
PUBLISHED = Measurement(CLAIM, BAR, CONTROLS, published=True, figures=(RECOVERY,))
HARDENED = Measurement(CLAIM, BAR, CONTROLS, figures=(RECOVERY,))


def ev_lost_published(pair: Pair) -> Measured:
    pair = pair.as_published()
    rotated = pair.carrying.apply(pair.target).float()
    within = pair.source_ev(ev_published, held_out=False)
    naive, restored = (ev_published(reconstruct(pair.sae, x), x) for x in (pair.target, rotated))
    return Measured(within - restored, {OWN: within, NAIVE: naive, RESTORED: restored})


def ev_lost(pair: Pair) -> Measured:
    target = pair.target[pair.held_out]
    rotated = pair.carrying.apply(target).float()
    within = pair.source_ev(ev, held_out=True)
    naive, restored = (ev(reconstruct(pair.sae, x), x) for x in (target, rotated))
    return Measured(within - restored, {OWN: within, NAIVE: naive, RESTORED: restored})


@pytest.mark.measurement(PUBLISHED)
def test_published(streams: Streams, judge: Judge) -> None:
    judge(lambda world=as_trained: streams.each_site(ev_lost_published, world, anchored=True))


@pytest.mark.measurement(HARDENED)
def test_hardened(streams: Streams, judge: Judge) -> None:
    judge(lambda world=as_trained: streams.each_site(ev_lost, world))
