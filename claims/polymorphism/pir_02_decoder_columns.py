"""PIR-02: decoder columns of sparse autoencoders match across seeds.

"Polymorphism Is Rotation" (arXiv 2605.24577): at the late sites at least 98% of the
features of one seed's autoencoder have a decoder column of another's within cosine
0.5; the mean of the best cosines is 0.89.  Every autoencoder behind these numbers
starts from the same random decoder (SAE seed 0), and columns may be matched many to
one.  Hardened: independent SAE seeds, one-to-one matching, all pairs.
"""

from collections.abc import Callable

import pytest
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from polyrot.sae.recipe import SAEConfig
from polyrot.sae.training import initial_weights
from polyrot.stats.estimate import Estimate, jackknife
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, Printed, negative, positive
from polyrot.verdict.run import Judge

Decoder = Float[Tensor, "feature d_model"]
SAESeeds = Callable[[int], int]
"""The SAE seed of each model's autoencoder."""


def trained(suite: Suite, seed: int, sae_seeds: SAESeeds) -> Decoder:
    return suite.sae(seed, suite.late_site, sae_seeds(seed)).W_dec


def initial(suite: Suite, seed: int, sae_seeds: SAESeeds) -> Decoder:
    """The decoder before its first step: a function of its size and the SAE seed alone."""
    features, d_model = trained(suite, seed, sae_seeds).shape
    config = SAEConfig(expansion=features // d_model, seed=sae_seeds(seed))
    return initial_weights(config, d_model)["W_dec"]


# Worlds: the decoder of the source and the decoder of the target.


def cross_seed(suite: Suite, i: int, j: int, sae_seeds: SAESeeds) -> tuple[Decoder, Decoder]:
    return trained(suite, i, sae_seeds), trained(suite, j, sae_seeds)


def unrelated(suite: Suite, i: int, j: int, sae_seeds: SAESeeds) -> tuple[Decoder, Decoder]:
    return trained(suite, i, sae_seeds), suite.control_sae(suite.index(j), "noise").W_dec


def untrained(suite: Suite, i: int, j: int, sae_seeds: SAESeeds) -> tuple[Decoder, Decoder]:
    return initial(suite, i, sae_seeds), initial(suite, j, sae_seeds)


def own_initial(suite: Suite, i: int, j: int, sae_seeds: SAESeeds) -> tuple[Decoder, Decoder]:
    return trained(suite, i, sae_seeds), initial(suite, i, sae_seeds)


def other_task(suite: Suite, i: int, j: int, sae_seeds: SAESeeds) -> tuple[Decoder, Decoder]:
    target = suite.control_sae(suite.index(j), suite.late_site).W_dec
    return trained(suite, i, sae_seeds), target


def same(suite: Suite, i: int, j: int, sae_seeds: SAESeeds) -> tuple[Decoder, Decoder]:
    return trained(suite, i, sae_seeds), trained(suite, i, sae_seeds)


def reseeded(suite: Suite, i: int, j: int, sae_seeds: SAESeeds) -> tuple[Decoder, Decoder]:
    """Two autoencoders of one model: its own SAE seed, and the one that all models share."""
    return trained(suite, i, sae_seeds), trained(suite, i, lambda seed: 0)


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
THRESHOLD = 0.5
CONTROLS = (
    negative("unrelated activations", unrelated),
    negative("untrained decoders", untrained),
    negative("model of another task", other_task),
    positive("same activations, same SAE seed", same),
)
PUBLISHED = Measurement(
    CLAIM,
    BAR,
    (*CONTROLS, negative("own untrained decoder", own_initial)),
    published=True,
    printed={"pythia-70m": (Printed((0.62,), "36 pairs at the last site", ("final_norm",)),)},
)
HARDENED = Measurement(
    CLAIM, BAR, (*CONTROLS, positive("same activations, new SAE seed", reseeded))
)


def cosines(a: Decoder, b: Decoder) -> Float[Tensor, "feature_a feature_b"]:
    """Cosines between the columns of two decoders."""
    a, b = a.double(), b.double()
    return (a / a.norm(dim=1, keepdim=True)) @ (b / b.norm(dim=1, keepdim=True)).mT


def best(a: Decoder, b: Decoder) -> Float[Tensor, " feature"]:
    """For every feature of `a` the largest cosine to any of `b`: many to one is allowed."""
    return cosines(a, b).amax(1)


def matched(a: Decoder, b: Decoder) -> Float[Tensor, " feature"]:
    """Cosines under the one-to-one matching of the largest total."""
    similarity = cosines(a, b)
    return similarity[linear_sum_assignment(similarity, maximize=True)]


def shares(
    suite: Suite,
    world: Callable[..., tuple[Decoder, Decoder]],
    compare: Callable[[Decoder, Decoder], Float[Tensor, " feature"]],
    *,
    published: bool,
) -> dict[str, Estimate]:
    """Average the share of features above the threshold over pairs of seeds."""
    above, means = {}, []
    for i, j in suite.seed_pairs(anchored=published):
        similarity = compare(*world(suite, i, j, (lambda seed: 0) if published else suite.sae_seed))
        above[i, j] = float((similarity > THRESHOLD).double().mean())
        means.append(float(similarity.mean()))
    anchor = suite.seeds[0] if published else None
    details = {"mean cosine": sum(means) / len(means)}
    return {suite.late_site: jackknife(above, anchor=anchor, details=details)}


@pytest.mark.measurement(PUBLISHED)
def test_published(suite: Suite, judge: Judge) -> None:
    judge(lambda world=cross_seed: shares(suite, world, best, published=True))


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    judge(lambda world=cross_seed: shares(suite, world, matched, published=False))
