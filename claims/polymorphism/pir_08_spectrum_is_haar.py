"""PIR-08: the spectrum of the rotation is that of a Haar-random matrix.

"Polymorphism Is Rotation" (arXiv 2605.24577) compares folded eigenangles with those of ten Haar
draws by a two-sample Kolmogorov-Smirnov test and reports p = 1.000.  Eigenvalues of one matrix
repel each other, so the p-value for independent draws is far too large for any rotation; and a
spectrum cannot see the basis.  Hardened: eigenangles, spacings, traces of powers, entries and the
nearest signed permutation, each against its Monte-Carlo null.
"""

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.capabilities import controls, figures
from polyrot.capabilities.pairs import as_trained
from polyrot.capabilities.streams import Streams
from polyrot.claim import *
from polyrot.experiments.synthetic.kind import NOTHING_SHARED, PERMUTED, SAME_BASIS
from polyrot.linalg.battery import BATTERY, adjusted_pvalues, ks_iid_published

CLAIM = Claim(
    "PIR-08",
    "The spectrum is Haar",
    "arXiv 2605.24577, eigenvalue spectrum",
    {"pythia-70m": "KS 0.0027, p 1.000; per pair 0.0068 to 0.0104"},
    true_in=("haar",),
    false_in=(*SAME_BASIS, *PERMUTED, "partial", "basis-aligned-axes", *NOTHING_SHARED),
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
PRINTED = {"pythia-70m": (Printed((1.0,), "as rounded there"),)}
PUBLISHED = Measurement(CLAIM, BAR, CONTROLS, published=True, printed=PRINTED)
HARDENED = Measurement(CLAIM, BAR, CONTROLS, figures=(figures.haar_pvalues(BAR),))


def iid_pvalues(rotations: Float[Tensor, "pair d d"]) -> dict[str, Estimate]:
    tests = [ks_iid_published(rotation[None]) for rotation in rotations]
    found = {"pooled": ks_iid_published(rotations), "worst pair": min(tests, key=lambda t: t[1])}
    how = {"unit": "rotation", "n": len(rotations), "method": "two-sample KS, i.i.d. p-value"}
    return {
        name: exact(p, **how, details={"KS statistic": statistic})
        for name, (statistic, p) in found.items()
    }


@pytest.mark.measurement(PUBLISHED)
def test_published(streams: Streams, judge: Judge) -> None:
    judge(
        lambda world=as_trained: iid_pvalues(
            torch.cat(list(streams.rotations(world, published=True).values()))
        ),
        figures=[lambda _: [figures.eigenangle_histogram(streams.rotations(published=True))]],
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(streams: Streams, judge: Judge) -> None:
    judge(
        lambda world=as_trained: adjusted_pvalues(streams.rotations(world), BATTERY),
        figures=[lambda found: figures.worst_eigenangles(streams.rotations(), found)],
    )
