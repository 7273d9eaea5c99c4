"""PIR-08: the spectrum of the rotation is that of a Haar-random matrix.

"Polymorphism Is Rotation" (arXiv 2605.24577) compares folded eigenangles with those of ten Haar
draws by a two-sample Kolmogorov-Smirnov test and reports p = 1.000.  Eigenvalues of one matrix
repel each other, so the p-value for independent draws is far too large.  Hardened:
traces of powers, which under Haar have a known mean and variance.  (tr R^k less its mean)^2 / k is
1 on average for k = 1 to 4, and 8 for a matrix of eight blocks; each k is a part at each site, on
the coordinates that seeds do not share by construction.  The calibrated p-values of angles and
spacings are reported too.  A spectrum cannot see the basis: PIR-09 and PIR-22 do.

Between clouds that nothing relates, the best rotation is Haar by theorem.  So the claim is judged
only where the rotation explains more of held-out tokens than one fitted to shuffled tokens.  The
details of the published measurement hold the six
numbers that the paper's released verification checks, of independent noise in the place of its
models.
"""

from functools import partial

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.capabilities import controls, figures
from polyrot.capabilities.pairs import Pair, World, as_trained
from polyrot.capabilities.rotations import A_MAP, a_map, on_free_coordinates, with_details
from polyrot.capabilities.streams import Streams
from polyrot.claim import *
from polyrot.experiments.synthetic.kind import PERMUTED, SAME_BASIS
from polyrot.linalg.battery import SPECTRAL, haar_pvalues, ks_iid_published, power_trace
from polyrot.linalg.released_checks import checks_on_noise

CLAIM = Claim(
    "PIR-08",
    "The spectrum is Haar",
    "arXiv 2605.24577, eigenvalue spectrum",
    {"pythia-70m": "KS 0.0027, p 1.000; per pair 0.0068 to 0.0104"},
    true_in=("haar", "noise-0.1", "noise-0.3", "noise-1"),
    false_in=(*SAME_BASIS, *PERMUTED, "partial", "basis-aligned-axes"),
)
TRUE = (
    positive("Haar world", controls.haar_world()),
    positive("noise-matched Haar world", controls.noise_matched()),
)
PRINTED = {"pythia-70m": (Printed((1.0,), "as rounded there"),)}
PUBLISHED = Measurement(
    CLAIM,
    Bar.at_least(0.05, "p-value"),
    (
        negative("permutation", controls.permutation()),
        negative("signed permutation", controls.signed_permutation()),
        negative("block-Haar", controls.block_haar),
        negative("Haar but 5% identity", controls.partly_identity(0.05)),
        *TRUE,
    ),
    published=True,
    printed=PRINTED,
    precondition=A_MAP,
    unreachable="REPLICATED: one rotation of eight blocks has eigenvalues that are nearer to "
    "independent ones than Haar's are, and meets the bar at any d",
)
POWERS = (1, 2, 3, 4)
HARDENED = Measurement(
    CLAIM,
    Bar.between(0.5, 2.0, "mean (tr R^k - Haar mean)^2 / k", scale=Scale.LOG),
    # No part can tell permutations: by their cycles they have 2, 2, 2.7 and 2.75 for k = 1 to 4,
    # signed ones 1, 1.5, 1.3 and 2.  Where 3 of 64 axes are fixed it is 10, 5.5, 4 and 3.25; the
    # last is too close to 2 for five seeds to tell.
    (
        negative("block-Haar", controls.block_haar),
        negative("Haar but 5% identity", controls.partly_identity(0.05), "k = 1", "k = 2", "k = 3"),
        *TRUE,
    ),
    precondition=A_MAP,
)


def iid_pvalues(rotations: Float[Tensor, "pair d d"]) -> dict[str, Estimate]:
    tests = [ks_iid_published(rotation[None]) for rotation in rotations]
    found = {"pooled": ks_iid_published(rotations), "worst pair": min(tests, key=lambda t: t[1])}
    return {
        name: exact(
            p,
            unit="rotation",
            n=len(rotations),
            method="two-sample KS, i.i.d. p-value",
            details={"KS statistic": statistic},
        )
        for name, (statistic, p) in found.items()
    }


@pytest.mark.measurement(PUBLISHED)
def test_published(streams: Streams, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        fitted = streams.rotations(world, published=True)
        found = iid_pvalues(torch.cat(list(fitted.values())))
        return with_details(found, {"pooled": checks_on_noise()} if world is as_trained else {})

    judge(
        measure,
        precondition=lambda: {"": worst(a_map(streams, published=True))},
        figures=[lambda _: [figures.eigenangle_histogram(streams.rotations(published=True))]],
    )


def worst(estimates: dict[str, Estimate]) -> Estimate:
    return min(estimates.values(), key=lambda estimate: estimate.low)


def squared_trace(k: int, pair: Pair) -> float:
    return power_trace(pair.alignment.rotation, k)


def by_power(found: dict[int, dict[str, Estimate]]) -> dict[str, Estimate]:
    return {f"{site}, k = {k}": e for k, sites in found.items() for site, e in sites.items()}


@pytest.mark.measurement(HARDENED)
def test_hardened(streams: Streams, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        return by_power(
            {k: on_free_coordinates(streams, partial(squared_trace, k), world) for k in POWERS}
        )

    judge(
        measure,
        precondition=lambda: by_power(dict.fromkeys(POWERS, a_map(streams))),
        figures=[
            lambda _: [
                figures.haar_pvalues(haar_pvalues(streams.rotations(), SPECTRAL)),
                figures.eigenangle_histogram(streams.rotations()),
            ]
        ],
    )
