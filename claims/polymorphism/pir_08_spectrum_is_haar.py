"""PIR-08: the spectrum of the rotation is that of a Haar-random matrix.

"Polymorphism Is Rotation" (arXiv 2605.24577) compares folded eigenangles with those of ten Haar
draws by a two-sample Kolmogorov-Smirnov test and reports p = 1.000.  Eigenvalues of one matrix
repel each other, so the p-value for independent draws is far too large for any rotation; and a
spectrum cannot see the basis.  Hardened: eigenangles, spacings, traces of powers, entries and the
nearest signed permutation, each against its Monte-Carlo null.
"""

import pytest
import torch

from polyrot.capabilities import controls
from polyrot.capabilities.figures import eigenangle_histogram
from polyrot.capabilities.pairs import World, as_trained
from polyrot.capabilities.streams import Streams
from polyrot.claim import *
from polyrot.linalg.battery import BATTERY, adjusted_pvalues, ks_iid_published

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
    negative("permutation", controls.permutation()),
    negative("signed permutation", controls.signed_permutation),
    negative("block-Haar", controls.block_haar),
    negative("Haar but 5% identity", controls.partly_identity(0.05)),
    negative("QR without sign fix", controls.qr_without_sign_fix),
    negative("unrelated noise clouds", controls.noise_clouds),
    positive("Haar world", controls.haar_world()),
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


PVALUES = ByPart(
    "pvalues",
    title="Every statistic against Haar",
    caption="Monte-Carlo p-values, adjusted jointly over statistics and sites; lines show the "
    "uncertainty from the number of null draws.",
    y="adjusted p-value",
    curves=(
        Curve("smallest, which decides", Role.MODELS),
        *(Curve(name, Role.BESIDE, detail=f"p of {name}") for name in BATTERY),
    ),
    bar=BAR,
    log_y=True,
)


@pytest.mark.measurement(PUBLISHED)
def test_published(streams: Streams, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        rotations = torch.cat(list(streams.rotations(world, published=True).values()))
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

    judge(measure, figures=[lambda _: [eigenangle_histogram(streams.rotations(published=True))]])


@pytest.mark.measurement(HARDENED)
def test_hardened(streams: Streams, judge: Judge) -> None:
    def worst_site(estimates: Worlds) -> list[Figure]:
        models = estimates[MODELS]
        site = min(models, key=lambda site: models[site].value)
        where = f"{site}, where no other site's p-value is smaller"
        return [eigenangle_histogram({site: streams.rotations()[site]}, where=where)]

    judge(
        lambda world=as_trained: adjusted_pvalues(streams.rotations(world), BATTERY),
        figures=[PVALUES, worst_site],
    )
