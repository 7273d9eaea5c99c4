"""PIR-08: the spectrum of the rotation is that of a Haar-random matrix.

"Polymorphism Is Rotation" (arXiv 2605.24577) compares folded eigenangles with those of
ten Haar draws by a two-sample Kolmogorov-Smirnov test and reports p = 1.000.
Eigenvalues of one matrix repel each other, so their i.i.d. p-value is far too large
for any rotation; and a spectrum cannot see the basis.  Hardened: eigenangles,
spacings, traces of powers, entries and nearest signed permutation, each against its
Monte-Carlo null.
"""

import pytest
import torch

from polyrot.capabilities import controls as worlds
from polyrot.capabilities import figures
from polyrot.capabilities.pairs import World, as_trained
from polyrot.linalg.battery import BATTERY, adjusted_pvalues, ks_iid_published
from polyrot.stats.estimate import Estimate, exact
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, Printed, negative, positive
from polyrot.verdict.figure import Figure, Role
from polyrot.verdict.run import MODELS, Judge

CLAIM = Claim(
    "PIR-08",
    "The spectrum is Haar",
    "arXiv 2605.24577, eigenvalue spectrum",
    {"pythia-70m": "KS 0.0027, p 1.000; per pair 0.0068 to 0.0104"},
    true_in=("haar",),
    false_in=(
        "identity",
        "mean-shift-only",
        "permutation",
        "signed-permutation",
        "partial",
        "basis-aligned-axes",
        "shuffled-tokens",
        "gaussian-matched",
        "unrelated",
    ),
)
CONTROLS = (
    negative("permutation", worlds.permutation()),
    negative("signed permutation", worlds.signed_permutation),
    negative("block-Haar", worlds.block_haar),
    negative("Haar but 5% identity", worlds.partly_identity(0.05)),
    negative("QR without sign fix", worlds.qr_without_sign_fix),
    negative("unrelated noise clouds", worlds.noise_clouds),
    positive("Haar world", worlds.haar_world()),
)
BAR = Bar.at_least(0.05, "p-value")
PUBLISHED = Measurement(
    CLAIM,
    BAR,
    CONTROLS,
    published=True,
    printed={"pythia-70m": (Printed((1.0,), "as rounded there"),)},
)
HARDENED = Measurement(CLAIM, BAR, CONTROLS)


@pytest.mark.measurement(PUBLISHED)
def test_published(suite: Suite, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        rotations = torch.cat(list(suite.rotations(world, published=True).values()))
        tests = [ks_iid_published(rotation[None]) for rotation in rotations]
        pooled = ks_iid_published(rotations)
        worst = min(tests, key=lambda test: test[1])
        return {
            name: exact(
                p,
                unit="rotation",
                n=len(rotations),
                method="two-sample KS, i.i.d. p-value",
                details={"KS statistic": statistic},
            )
            for name, (statistic, p) in {"pooled": pooled, "worst pair": worst}.items()
        }

    judge(
        measure, figures=lambda _: [figures.eigenangle_histogram(suite.rotations(published=True))]
    )


def pvalues(estimates: figures.Worlds) -> Figure:
    curves = (
        ("smallest, which decides", Role.MODELS, MODELS, ""),
        *((name, Role.BESIDE, MODELS, f"p of {name}") for name in BATTERY),
    )
    return figures.by_part(
        estimates,
        curves,
        name="pvalues",
        title="Every statistic against Haar",
        caption="Monte-Carlo p-values, adjusted together over statistics and sites; lines are what "
        "the number of null draws leaves open.",
        y="adjusted p-value",
        bar=BAR,
        log_y=True,
    )


def worst_site(suite: Suite, estimates: figures.Worlds) -> Figure:
    models = estimates[MODELS]
    site = min(models, key=lambda site: models[site].value)
    return figures.eigenangle_histogram(
        {site: suite.rotations()[site]}, where=f"{site}, where no other site's p-value is smaller"
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    judge(
        lambda world=as_trained: adjusted_pvalues(suite.rotations(world), BATTERY),
        figures=lambda estimates: [pvalues(estimates), worst_site(suite, estimates)],
    )
