"""PIR-07: the rotation is as far from the identity as a random one.

"Polymorphism Is Rotation" (arXiv 2605.24577) prints the Frobenius distance of R from
the identity beside sqrt(2d), its value for a random rotation.  But
||R - I||^2 = 2d - 2 tr R, and under Haar tr R has mean 0 and variance 1: a tolerance
on the norm is a tolerance on one trace, and a wide one.  Hardened: the mean trace of
all pairs against its Monte-Carlo null.
"""

import pytest
import torch

from polyrot.capabilities import controls as worlds
from polyrot.capabilities import figures
from polyrot.capabilities.pairs import World, as_trained
from polyrot.linalg.battery import adjusted_pvalues
from polyrot.stats.estimate import Estimate, jackknife
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, Printed, negative, positive
from polyrot.verdict.figure import Role
from polyrot.verdict.run import MODELS, Judge

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
    negative("identity world", worlds.identity_world(0.01)),
    negative("half of the dimensions", worlds.half_rotation),
    negative("unrelated noise clouds", worlds.noise_clouds),
    positive("Haar world", worlds.haar_world()),
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
UNDER_HAAR = "mean trace under Haar"


@pytest.mark.measurement(PUBLISHED)
def test_published(suite: Suite, judge: Judge) -> None:
    first, *others = suite.seeds

    def measure(world: World = as_trained) -> dict[str, Estimate]:
        estimates = {}
        for site, rotations in suite.rotations(world, published=True).items():
            d = rotations.shape[-1]
            distances = torch.linalg.matrix_norm(rotations - torch.eye(d, dtype=torch.float64))
            ratios = distances / (2 * d) ** 0.5
            values = {(first, seed): float(r) for seed, r in zip(others, ratios, strict=True)}
            details = {"lowest norm": float(distances.min()), "highest": float(distances.max())}
            estimates[site] = jackknife(values, anchor=first, details=details)
        return estimates

    judge(measure, figures=lambda _: [figures.norm_histogram(suite.rotations(published=True))])


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    judge(
        lambda world=as_trained: adjusted_pvalues(suite.rotations(world), ("trace",)),
        figures=lambda worlds: [
            figures.by_part(
                worlds,
                (
                    ("Haar: mean, and where 95% of means fall", Role.NULL, MODELS, UNDER_HAAR),
                    ("rotations between seeds", Role.MODELS, MODELS, "mean trace"),
                ),
                name="trace",
                title="Mean trace",
                caption="Mean over pairs of seeds of the trace of their rotation, beside the mean "
                "of as many Haar matrices with the same determinants, site by site.",
                y="mean trace",
            ),
            figures.norm_histogram(suite.rotations()),
        ],
    )
