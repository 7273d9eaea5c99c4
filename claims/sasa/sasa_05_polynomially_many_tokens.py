"""SASA-05: the number of tokens needed to recover a subspace is polynomial in its dimension.

"Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333): recovery is principal-subspace estimation,
and the samples it needs are polynomial in the dimension of the subspace; for single directions they
are exponential.  Four orthogonal features of equal dimension are planted, two of them active in
each token, and SAEs of eight groups, whose rank is that dimension, are trained on increasing
numbers of the same tokens.  The recorded result of that sweep is judged: the smallest number of
tokens with which half of the features were found to within 5 degrees, in the run of four that
reconstructs those tokens best.  For each repetition a power of the dimension and an exponential of
it are fitted to the logarithms, from two dimensions on, and their information criteria (AIC) are
compared; both have two parameters.  A repetition that never found the features of some dimension is
left out of the fit, and the verdict is then INCONCLUSIVE.

The other half of the claim, that a scalar SAE needs exponentially many, is a control, up to eight
dimensions: each token, without noise, is a single direction, one direction is active at a time, and
tokens are needed until 90% of points are near one, the median of ten draws.  A trained scalar SAE
gives nothing to fit: TopK with equally many latents and the same L0 found features of one and two
dimensions only, with any number of tokens in the sweep, whether its latents were clustered or
assigned by the ground truth (tried once, in three repetitions).
"""

from collections.abc import Sequence
from math import log
from statistics import mean

import numpy as np
import pytest

from polyrot.claim import *
from polyrot.experiments.planted import figures
from polyrot.experiments.planted.controls import Needed, one_direction_a_token, planted_needs
from polyrot.experiments.planted.samples import RESOLUTION, missing
from polyrot.experiments.planted.suite import SampleCounts

CLAIM = Claim(
    "SASA-05",
    "Polynomially many tokens recover a subspace",
    "arXiv 2606.06333, sample complexity",
    true_in=("samples-power",),
    false_in=("samples-exponential",),
)
ROUNDING = log(RESOLUTION) ** 2 / 12
"""Least residual variance: that of rounding to the numbers of tokens that were tried."""

HARDENED = Measurement(
    CLAIM,
    Bar.above(0, "AIC of the exponential less that of the power"),
    (
        negative("one direction a token", one_direction_a_token),
        negative("doubled by every dimension", planted_needs(power=0, base=2)),
        positive("a power of three halves", planted_needs(power=1.5, base=1)),
    ),
)


def preference(dims: Sequence[int], needed: Sequence[float]) -> float:
    """How much better a power fits than an exponential: the difference of their AIC."""
    residuals = []
    for x in (np.array(dims, dtype=float), np.log(dims)):
        fit = np.polyfit(x, np.log(needed), 1)
        variance = float(np.square(np.log(needed) - np.polyval(fit, x)).mean())
        residuals.append(max(variance, ROUNDING))
    exponential, power = residuals
    return len(dims) * log(exponential / power)


def preferences(needed: Needed) -> dict[int, float]:
    """The preference of every repetition that found the features of all dimensions."""
    dims = [dim for dim in needed if dim >= 2]
    found = {}
    for repetition, counts in enumerate(zip(*(needed[dim] for dim in dims), strict=True)):
        known = [n for n in counts if n is not None]
        if len(known) == len(dims):
            found[repetition] = preference(dims, known)
    if not found:
        raise NotRun("no repetition of the sweep found the features of every dimension")
    return found


def measured(needed: Needed) -> Estimate:
    details: dict[str, float] = {}
    for dim, counts in needed.items():
        known = [n for n in counts if n is not None]
        details[f"found at {dim}"] = len(known)
        if known:
            details[f"mean tokens at {dim}"] = mean(known)
    found = preferences(needed)
    return average(found, found.__getitem__, details=details)


@pytest.mark.measurement(HARDENED)
def test_hardened(sample_counts: SampleCounts, judge: Judge) -> None:
    def both(_: Worlds) -> list[Figure]:
        directions = one_direction_a_token(sample_counts)
        groups = sample_counts.samples
        return [figures.samples({"groups": groups, "one direction a token": directions})]

    judge(
        lambda world=lambda counts: counts.samples: {"tokens": measured(world(sample_counts))},
        figures=[both],
        proxy=missing(sample_counts.samples),
    )
