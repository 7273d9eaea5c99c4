"""PIR-02: features of sparse autoencoders match across seeds.

"Polymorphism Is Rotation" (arXiv 2605.24577): at the late sites, at least 98% of the features of
one seed's autoencoder have a decoder column of the other's at a cosine above 0.5; the mean of the
best cosines is 0.89.  All of these autoencoders start from the same random decoder (SAE seed 0),
and several features may be matched to the same column.

Judged at the last site.  Hardened: decoder columns of models in different bases cannot be compared,
but what features do can.  Autoencoders are trained from different SAE seeds.  On held-out tokens
the features of two models are matched one to one, so that their correlations are largest in total;
a feature counts if its correlation is above 0.5, and a silent feature does not.  Two autoencoders
of one model differ too, so the share is divided by that between two SAE seeds of the source.
"""

from collections.abc import Callable

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.capabilities.decoders import Decoder, Decoders
from polyrot.capabilities.features import Firing, FiringAtLateSite
from polyrot.capabilities.streams import Autoencoders, Streams
from polyrot.claim import *
from polyrot.suites.draws import draw_seed

CLAIM = Claim(
    "PIR-02",
    "Features match across seeds",
    "arXiv 2605.24577, decoder cosine",
    {
        "dyck3": ">= 0.98, mean cosine 0.89",
        "pythia-70m": ">= 0.99, mean cosine 0.91 to 0.93; last site 0.62",
    },
    true_in=("identity", "haar", "permutation", "partial"),
    false_in=("shuffled-tokens", "gaussian-matched", "unrelated"),
)
PUBLISHED = Measurement(
    CLAIM,
    Bar.at_least(0.98, "share of features with cosine > 0.5"),
    (
        negative("unrelated activations", lambda d, i, j: (d.trained(i), d.of_noise(j))),
        negative("untrained decoders", lambda d, i, j: (d.initial(i), d.initial(j))),
        negative("own untrained decoder", lambda d, i, j: (d.trained(i), d.initial(i))),
        negative("model of another task", lambda d, i, j: (d.trained(i), d.other_task(j))),
        positive("the same decoder", lambda d, i, j: (d.trained(i), d.trained(i))),
    ),
    published=True,
    printed={"pythia-70m": (Printed((0.62,), "36 pairs at the last site", ("final_norm",)),)},
    unreachable="REPLICATED: untrained decoders from one SAE seed are equal, and meet the bar; "
    "REFUTED: in different bases columns do not match even if features do",
)


FeatureWorld = Callable[[FiringAtLateSite, int, int], tuple[Firing, Firing]]


def shuffled(firing: FiringAtLateSite, source: int, target: int) -> tuple[Firing, Firing]:
    generator = torch.Generator().manual_seed(draw_seed(source, target, 63))
    return firing.own(source), firing.own(target).shuffled(generator)


HARDENED = Measurement(
    CLAIM,
    Bar.at_least(0.9, "share of features with a partner, over that within a model"),
    (
        negative("shuffled tokens", shuffled),
        negative("untrained seed", lambda f, i, j: (f.own(i), f.untrained(j))),
        positive("Haar image, its SAE trained anew", lambda f, i, j: (f.own(i), f.image(i))),
    ),
)


def columns(decoders: Decoders, source: int, target: int) -> tuple[Decoder, Decoder]:
    return decoders.trained(source), decoders.trained(target)


def cosines(a: Decoder, b: Decoder) -> Float[Tensor, "feature_a feature_b"]:
    a, b = (x.double() / x.double().norm(dim=1, keepdim=True) for x in (a, b))
    return torch.mm(a, b.mT)


def best(a: Decoder, b: Decoder) -> Measured:
    """Each feature of `a` takes the nearest column of `b`: many to one is allowed."""
    cosine = cosines(a, b).amax(1)
    above = float((cosine > 0.5).double().mean())
    return Measured(above, means={"mean cosine": float(cosine.mean())})


@pytest.mark.measurement(PUBLISHED)
def test_published(streams: Streams, autoencoders: Autoencoders, judge: Judge) -> None:
    decoders = Decoders(autoencoders, streams.late_site, sae_seed=lambda seed: 0)
    pairs, first = streams.seed_pairs(anchored=True), streams.seeds[0]
    judge(
        lambda world=columns: {
            decoders.site: average(pairs, lambda p: best(*world(decoders, *p)), anchor=first)
        }
    )


def features(firing: FiringAtLateSite, source: int, target: int) -> tuple[Firing, Firing]:
    return firing.own(source), firing.own(target)


@pytest.mark.measurement(HARDENED)
def test_hardened(streams: Streams, autoencoders: Autoencoders, judge: Judge) -> None:
    firing = FiringAtLateSite(streams, autoencoders)

    def shared(pair: tuple[int, int], world: FeatureWorld) -> Measured:
        a, b = world(firing, *pair)
        between, within = a.shared_with(b), firing.within(pair[0])
        return Measured(between / within, {"share": between, "share within a model": within})

    judge(
        lambda world=features: {
            streams.late_site: average(streams.seed_pairs(), lambda pair: shared(pair, world))
        }
    )
