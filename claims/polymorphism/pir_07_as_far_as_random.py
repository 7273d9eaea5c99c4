"""PIR-07: the rotation is as far from the identity as a random one.

"Polymorphism Is Rotation" (arXiv 2605.24577) compares the Frobenius distance of R from the
identity with sqrt(2d), its value for a random rotation.  But ||R - I||^2 = 2d - 2 tr R, and under
Haar tr R has mean 0 and variance 1: a tolerance on the norm is a tolerance on one trace, and a wide
one.  Hardened: the mean trace over all pairs against its Monte-Carlo null.
"""

import pytest
import torch

from polyrot.capabilities import controls
from polyrot.capabilities.figures import norm_histogram
from polyrot.capabilities.pairs import World, as_trained
from polyrot.capabilities.streams import Streams
from polyrot.claim import *
from polyrot.linalg.battery import adjusted_pvalues

CLAIM = Claim(
    "PIR-07",
    "The rotation is as far from identity as a random one",
    "arXiv 2605.24577, distance of R from the identity",
    {
        "dyck3": "9.4 to 10.7 of 11.31",
        "dyck3-independent": "10.80 to 11.25 of 11.31",
        "pythia-70m": "31.99 of 32.00",
    },
    true_in=("haar",),
    false_in=(
        "identity",
        "mean-shift-only",
        "partial",
        "shuffled-tokens",
        "gaussian-matched",
        "unrelated",
    ),
)
CONTROLS = (
    negative("identity world", controls.identity_world(0.01)),
    negative("half of the dimensions", controls.half_rotation),
    negative("unrelated noise clouds", controls.noise_clouds),
    positive("Haar world", controls.haar_world()),
)
PUBLISHED = Measurement(
    CLAIM,
    Bar.between(0.95, 1.05, "norm(R - I) / sqrt(2d)"),
    CONTROLS,
    published=True,
    printed={
        "dyck3": (Printed((9.4 / 128**0.5, 10.7 / 128**0.5), "over all sites", ends=True),),
        "dyck3-independent": (
            Printed((10.8 / 128**0.5, 11.25 / 128**0.5), "over all sites", ends=True),
        ),
        "pythia-70m": (
            Printed((31.99 / 1024**0.5,), "mean of all sites"),
            Printed((31.94 / 1024**0.5, 32.03 / 1024**0.5), "10% to 90% of all", ends=True),
        ),
    },
)
HARDENED = Measurement(CLAIM, Bar.at_least(0.05, "p of the mean trace"), CONTROLS)
TRACE = ByPart(
    "trace",
    title="Mean trace",
    caption="Mean over pairs of seeds of the trace of their rotation, site by site, and the "
    "mean over the same number of Haar matrices with the same determinants.",
    y="mean trace",
    curves=(
        Curve("Haar: mean, and where 95% of means fall", Role.NULL, detail="mean trace under Haar"),
        Curve("rotations between seeds", Role.MODELS, detail="mean trace"),
    ),
)


@pytest.mark.measurement(PUBLISHED)
def test_published(streams: Streams, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        estimates = {}
        pairs = streams.seed_pairs(anchored=True)
        for site, rotations in streams.rotations(world, published=True).items():
            d = rotations.shape[-1]
            distances = torch.linalg.matrix_norm(rotations - torch.eye(d, dtype=torch.float64))
            ratios = dict(zip(pairs, (distances / (2 * d) ** 0.5).tolist(), strict=True))
            details = {"lowest norm": float(distances.min()), "highest": float(distances.max())}
            anchor = streams.seeds[0]
            estimates[site] = average(pairs, ratios.__getitem__, anchor=anchor, details=details)
        return estimates

    judge(measure, figures=[lambda _: [norm_histogram(streams.rotations(published=True))]])


@pytest.mark.measurement(HARDENED)
def test_hardened(streams: Streams, judge: Judge) -> None:
    judge(
        lambda world=as_trained: adjusted_pvalues(streams.rotations(world), ("trace",)),
        figures=[TRACE, lambda _: [norm_histogram(streams.rotations())]],
    )
