"""PIR-02: decoder columns of sparse autoencoders match across seeds.

"Polymorphism Is Rotation" (arXiv 2605.24577): at the late sites, at least 98% of the
features of one seed's autoencoder have a decoder column of the other's at a cosine above
0.5; the mean of the best cosines is 0.89.  All of these autoencoders start from the same
random decoder (SAE seed 0), and several features may be matched to the same column.
Hardened: a different SAE seed for each model, one-to-one matching, all pairs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from polyrot.capabilities.streams import Autoencoders, ControlAutoencoders, Streams
from polyrot.claim import *
from polyrot.sae.recipe import SAEConfig
from polyrot.sae.training import initial_weights

Decoder = Float[Tensor, "feature d_model"]


@dataclass(frozen=True)
class Decoders:
    """The decoders of the seeds' autoencoders at one site."""

    autoencoders: Autoencoders
    site: str
    sae_seed: Callable[[int], int]
    """The SAE seed of each model's autoencoder."""

    def trained(self, seed: int) -> Decoder:
        return self.autoencoders.sae(seed, self.site, self.sae_seed(seed)).W_dec

    def with_shared_start(self, seed: int) -> Decoder:
        """Trained from SAE seed 0, which all models share."""
        return self.autoencoders.sae(seed, self.site, 0).W_dec

    def initial(self, seed: int) -> Decoder:
        """Before the first step: it depends on the size and the SAE seed alone."""
        features, d_model = self.trained(seed).shape
        config = SAEConfig(expansion=features // d_model, seed=self.sae_seed(seed))
        return initial_weights(config, d_model)["W_dec"]

    def control(self, seed: int, site: str) -> Decoder:
        controls = self.autoencoders.get(ControlAutoencoders)
        return controls.control_sae(self.autoencoders.index(seed), site).W_dec


World = Callable[[Decoders, int, int], tuple[Decoder, Decoder]]
"""The decoders that are compared for a source and a target seed."""


def cross_seed(d: Decoders, source: int, target: int) -> tuple[Decoder, Decoder]:
    return d.trained(source), d.trained(target)


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
THRESHOLD = 0.5
BAR = Bar.at_least(0.98, "share of features with cosine > 0.5")
CONTROLS = (
    negative("unrelated activations", lambda d, i, j: (d.trained(i), d.control(j, "noise"))),
    negative("untrained decoders", lambda d, i, j: (d.initial(i), d.initial(j))),
    negative("model of another task", lambda d, i, j: (d.trained(i), d.control(j, d.site))),
    positive("same activations, same SAE seed", lambda d, i, j: (d.trained(i), d.trained(i))),
)
PUBLISHED = Measurement(
    CLAIM,
    BAR,
    (*CONTROLS, negative("own untrained decoder", lambda d, i, j: (d.trained(i), d.initial(i)))),
    published=True,
    printed={"pythia-70m": (Printed((0.62,), "36 pairs at the last site", ("final_norm",)),)},
)
RESEEDED = positive(
    "same activations, new SAE seed", lambda d, i, j: (d.trained(i), d.with_shared_start(i))
)
HARDENED = Measurement(CLAIM, BAR, (*CONTROLS, RESEEDED))


def cosines(a: Decoder, b: Decoder) -> Float[Tensor, "feature_a feature_b"]:
    a, b = a.double(), b.double()
    found: Tensor = (a / a.norm(dim=1, keepdim=True)) @ (b / b.norm(dim=1, keepdim=True)).mT
    return found


def best(a: Decoder, b: Decoder) -> Float[Tensor, " feature"]:
    """For every feature of `a`, the largest cosine to any of `b`: many to one is allowed."""
    return cosines(a, b).amax(1)


def matched(a: Decoder, b: Decoder) -> Float[Tensor, " feature"]:
    """Cosines under the one-to-one matching with the largest total."""
    similarity = cosines(a, b)
    found: Tensor = similarity[linear_sum_assignment(similarity, maximize=True)]
    return found


def shares(
    decoders: Decoders,
    world: World,
    compare: Callable[[Decoder, Decoder], Tensor],
    *,
    anchored: bool,
) -> dict[str, Estimate]:
    """Average the share of features above the threshold over pairs of seeds."""

    def share(seeds: tuple[int, int]) -> Measured:
        similarity = compare(*world(decoders, *seeds))
        above = float((similarity > THRESHOLD).double().mean())
        return Measured(above, means={"mean cosine": float(similarity.mean())})

    suite = decoders.autoencoders
    anchor = suite.seeds[0] if anchored else None
    return {decoders.site: average(suite.seed_pairs(anchored=anchored), share, anchor=anchor)}


@pytest.mark.measurement(PUBLISHED)
def test_published(streams: Streams, autoencoders: Autoencoders, judge: Judge) -> None:
    decoders = Decoders(autoencoders, streams.late_site, sae_seed=lambda seed: 0)
    judge(lambda world=cross_seed: shares(decoders, world, best, anchored=True))


@pytest.mark.measurement(HARDENED)
def test_hardened(streams: Streams, autoencoders: Autoencoders, judge: Judge) -> None:
    decoders = Decoders(autoencoders, streams.late_site, autoencoders.sae_seed)
    judge(lambda world=cross_seed: shares(decoders, world, matched, anchored=False))
