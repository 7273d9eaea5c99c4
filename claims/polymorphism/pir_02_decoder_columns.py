"""PIR-02: decoder columns of sparse autoencoders match across seeds.

"Polymorphism Is Rotation" (arXiv 2605.24577): at the late sites, at least 98% of the features of
one seed's autoencoder have a decoder column of the other's at a cosine above 0.5; the mean of the
best cosines is 0.89.  All of these autoencoders start from the same random decoder (SAE seed 0),
and several features may be matched to the same column.  Hardened: a different SAE seed for each
model, one-to-one matching, all pairs.
"""

import pytest
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from polyrot.capabilities.decoders import Decoder, Decoders
from polyrot.capabilities.streams import Autoencoders, Streams
from polyrot.claim import *

CLAIM = Claim(
    "PIR-02",
    "Decoder columns match across seeds",
    "arXiv 2605.24577, decoder cosine",
    {
        "dyck3": ">= 0.98, mean cosine 0.89",
        "pythia-70m": ">= 0.99, mean cosine 0.91 to 0.93; last site 0.62",
    },
    true_in=("identity",),
    false_in=("haar", "permutation", "shuffled-tokens", "gaussian-matched", "unrelated"),
)
BAR = Bar.at_least(0.98, "share of features with cosine > 0.5")
CONTROLS = (
    negative("unrelated activations", lambda d, i, j: (d.trained(i), d.of_noise(j))),
    negative("untrained decoders", lambda d, i, j: (d.initial(i), d.initial(j))),
    negative("model of another task", lambda d, i, j: (d.trained(i), d.other_task(j))),
    # A decoder with itself.
    positive("same activations, same SAE seed", lambda d, i, j: (d.trained(i), d.trained(i))),
)
OWN_START = negative("own untrained decoder", lambda d, i, j: (d.trained(i), d.initial(i)))
PRINTED = {"pythia-70m": (Printed((0.62,), "36 pairs at the last site", ("final_norm",)),)}
PUBLISHED = Measurement(CLAIM, BAR, (*CONTROLS, OWN_START), published=True, printed=PRINTED)
RESEEDED = positive(
    "same activations, new SAE seed", lambda d, i, j: (d.trained(i), d.with_shared_start(i))
)
HARDENED = Measurement(CLAIM, BAR, (*CONTROLS, RESEEDED))


def trained(decoders: Decoders, source: int, target: int) -> tuple[Decoder, Decoder]:
    return decoders.trained(source), decoders.trained(target)


def cosines(a: Decoder, b: Decoder) -> Float[Tensor, "feature_a feature_b"]:
    a, b = a.double(), b.double()
    return (a / a.norm(dim=1, keepdim=True)) @ (b / b.norm(dim=1, keepdim=True)).mT


def best(a: Decoder, b: Decoder) -> Measured:
    """Each feature of `a` takes the nearest column of `b`: many to one is allowed."""
    return share(cosines(a, b).amax(1))


def matched(a: Decoder, b: Decoder) -> Measured:
    """One to one, by the matching with the largest total of cosines."""
    similarity = cosines(a, b)
    return share(similarity[linear_sum_assignment(similarity, maximize=True)])


def share(cosine: Float[Tensor, " feature"]) -> Measured:
    above = float((cosine > 0.5).double().mean())
    return Measured(above, means={"mean cosine": float(cosine.mean())})


@pytest.mark.measurement(PUBLISHED)
def test_published(streams: Streams, autoencoders: Autoencoders, judge: Judge) -> None:
    decoders = Decoders(autoencoders, streams.late_site, sae_seed=lambda seed: 0)
    pairs, first = streams.seed_pairs(anchored=True), streams.seeds[0]
    judge(
        lambda world=trained: {
            decoders.site: average(pairs, lambda p: best(*world(decoders, *p)), anchor=first)
        }
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(streams: Streams, autoencoders: Autoencoders, judge: Judge) -> None:
    decoders = Decoders(autoencoders, streams.late_site, autoencoders.sae_seed)
    pairs = streams.seed_pairs()
    judge(
        lambda world=trained: {
            decoders.site: average(pairs, lambda p: matched(*world(decoders, *p)))
        }
    )
