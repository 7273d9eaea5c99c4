"""PIR-07: the rotation is as far from the identity as a random one.

"Polymorphism Is Rotation" (arXiv 2605.24577) compares the Frobenius distance of R from the identity
with sqrt(2d), its value for a random rotation.  But ||R - I||^2 = 2d - 2 tr R, and under Haar tr R
has mean 0 and variance 1: a tolerance on the norm is a tolerance on one trace, and a wide one.
Hardened: the mean trace over all pairs against its Monte-Carlo null.
"""

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.capabilities import controls, figures
from polyrot.capabilities.pairs import as_trained
from polyrot.capabilities.streams import Streams
from polyrot.claim import *
from polyrot.experiments.synthetic.kind import NOTHING_SHARED, SAME_BASIS
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
    false_in=(*SAME_BASIS, "partial", *NOTHING_SHARED),
)
CONTROLS = (
    negative("identity world", controls.identity_world(0.01)),
    negative("half of the dimensions", controls.half_rotation),
    negative("unrelated noise clouds", controls.noise_clouds),
    positive("Haar world", controls.haar_world()),
)
DYCK, PYTHIA = 128**0.5, 1024**0.5  # sqrt(2d)
PRINTED = {
    "dyck3": (Printed((9.4 / DYCK, 10.7 / DYCK), "over all sites", ends=True),),
    "dyck3-independent": (Printed((10.8 / DYCK, 11.25 / DYCK), "over all sites", ends=True),),
    "pythia-70m": (
        Printed((31.99 / PYTHIA,), "mean of all sites"),
        Printed((31.94 / PYTHIA, 32.03 / PYTHIA), "10% to 90% of all", ends=True),
    ),
}
NORM = Bar.between(0.95, 1.05, "norm(R - I) / sqrt(2d)")
PUBLISHED = Measurement(CLAIM, NORM, CONTROLS, published=True, printed=PRINTED)
PVALUE = Bar.at_least(0.05, "p of the mean trace")
HARDENED = Measurement(CLAIM, PVALUE, CONTROLS, figures=(figures.TRACES,))


def relative_norms(streams: Streams, rotations: Float[Tensor, "pair d d"]) -> Estimate:
    """Average the distances from the identity of the rotations from the first seed."""
    d, pairs = rotations.shape[-1], streams.seed_pairs(anchored=True)
    norms = torch.linalg.matrix_norm(rotations - torch.eye(d, dtype=torch.float64))
    relative = dict(zip(pairs, (norms / (2 * d) ** 0.5).tolist(), strict=True))
    details = {"lowest norm": float(norms.min()), "highest": float(norms.max())}
    return average(pairs, relative.__getitem__, anchor=streams.seeds[0], details=details)


@pytest.mark.measurement(PUBLISHED)
def test_published(streams: Streams, judge: Judge) -> None:
    judge(
        lambda world=as_trained: {
            site: relative_norms(streams, rotations)
            for site, rotations in streams.rotations(world, published=True).items()
        },
        figures=[lambda _: [figures.norm_histogram(streams.rotations(published=True))]],
    )


@pytest.mark.measurement(HARDENED)
def test_hardened(streams: Streams, judge: Judge) -> None:
    judge(
        lambda world=as_trained: adjusted_pvalues(streams.rotations(world), ("trace",)),
        figures=[lambda _: [figures.norm_histogram(streams.rotations())]],
    )
