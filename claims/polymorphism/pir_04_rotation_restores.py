"""PIR-04: one rotation restores reconstruction by another seed's sparse autoencoder.

"Polymorphism Is Rotation" (arXiv 2605.24577): after one Procrustes rotation and a
shift, the autoencoder of seed 0 reconstructs another seed's activations almost as
well as its own; the toy's post-rotation EV is 0.976-0.990.  The published number scores the
reconstruction of the rotated activation against the rotated activation itself, so it
never asks whether that activation is the one the source would have had.  Hardened:
held-out tokens, and the reconstruction is scored against the source's own
activation of the same token.
"""

import pytest

from polyrot.capabilities import controls as worlds
from polyrot.capabilities import figures
from polyrot.capabilities.pairs import Pair, as_trained
from polyrot.sae.metrics import ev, ev_published, reconstruct
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, negative, positive
from polyrot.verdict.figure import Figure, Role
from polyrot.verdict.run import MODELS, Judge

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
BAR = Bar.at_most(0.025, "EV lost against within-seed")
GAUSSIAN = negative("matched Gaussian", worlds.matched_gaussian)
OWN, NAIVE, RESTORED = "EV of the source", "EV as it is", "EV rotated"
CONTROLS = (
    negative("untrained seed", worlds.untrained),
    negative("shuffled tokens", worlds.shuffled_tokens),
    negative("random rotation", worlds.random_rotation),
    GAUSSIAN,
    positive("Haar world", worlds.haar_world()),
)
PUBLISHED = Measurement(CLAIM, BAR, CONTROLS, published=True)
HARDENED = Measurement(CLAIM, BAR, CONTROLS)


def lost_published(pair: Pair) -> tuple[float, dict[str, float]]:
    """EV lost when the rotated target is scored against itself, on the tokens of the fit."""
    pair = pair.on_fit_tokens()
    rotated = pair.alignment.apply(pair.target).float()
    within = pair.within(ev_published, held_out=False)
    naive = ev_published(reconstruct(pair.sae, pair.target), pair.target)
    restored = ev_published(reconstruct(pair.sae, rotated), rotated)
    return within - restored, {OWN: within, NAIVE: naive, RESTORED: restored}


def lost(pair: Pair) -> tuple[float, dict[str, float]]:
    """EV of the source's own activations lost when it is read from the rotated target."""
    source, target = pair.source[pair.held_out], pair.target[pair.held_out]
    rotated = pair.alignment.apply(target).float()
    within = pair.within(ev, held_out=True)
    naive, restored = (ev(reconstruct(pair.sae, x), source) for x in (target, rotated))
    return within - restored, {OWN: within, NAIVE: naive, RESTORED: restored}


def failure_and_recovery(estimates: figures.Worlds) -> list[Figure]:
    curves = (
        ("the source itself", Role.POSITIVE, MODELS, f"mean {OWN}"),
        ("another seed, rotated", Role.MODELS, MODELS, f"mean {RESTORED}"),
        ("another seed, as it is", Role.BESIDE, MODELS, f"mean {NAIVE}"),
        ("Gaussian of its moments, rotated", Role.NEGATIVE, GAUSSIAN.name, f"mean {RESTORED}"),
    )
    return [
        figures.by_part(
            estimates,
            curves,
            name="recovery",
            title="SAE failure and recovery",
            caption="Explained variance by the source's autoencoder, mean over pairs: of the "
            "source's activations, and of another seed's before and after the rotation. 0 is no "
            "better than the mean.",
            y="reconstruction EV",
        )
    ]


@pytest.mark.measurement(PUBLISHED)
def test_published(suite: Suite, judge: Judge) -> None:
    judge(
        lambda world=as_trained: suite.each_site(lost_published, world, anchored=True),
        figures=failure_and_recovery,
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    judge(
        lambda world=as_trained: suite.each_site(lost, world),
        figures=failure_and_recovery,
    )
