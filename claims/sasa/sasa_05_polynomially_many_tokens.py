"""SASA-05: the tokens to recover a subspace are polynomially many.

"Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333): recovery is principal-subspace estimation,
and the samples that it takes are a polynomial of the subspace's dimension; for single directions,
an exponential.  Four orthogonal features of one dimension, two of them on, are planted, and
dictionaries of eight groups, whose rank is that dimension, are trained on more and more of the same
tokens.  Judged is the recorded result of that sweep: the fewest with which half of the features
were found to 5 degrees, in the run of four that reconstructs those tokens best.  Each repetition is
fitted by itself, on logarithms and from two dimensions on, by a power of the dimension and by an
exponential of it, and their information criteria (AIC) are compared; both have two parameters.
What a fit leaves is at least what rounding to the numbers that were tried would.  Where a
repetition never found the features of some dimension, nothing is decided.

The other half of the claim, that for a scalar autoencoder it is the exponential, is a control: of
single directions, one at a time, each token is an atom, without noise.  A scalar autoencoder has no
number to fit: TopK with as many columns, as many of them on, found features of one and two
dimensions only, with any number of tokens that the sweep tries, whether its columns were clustered
or assigned by the truth (tried once, in three repetitions).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from math import log
from statistics import mean, median

import numpy as np
import pytest
import torch

from polyrot.errors import NotRun
from polyrot.experiments.planted import figures as dictionary_figures
from polyrot.experiments.planted.samples import RESOLUTION, Samples
from polyrot.stats.estimate import Estimate, over_seeds
from polyrot.suites.draws import draw_seed
from polyrot.suites.suite import Suite
from polyrot.tasks.subspaces import sphere
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, negative, positive
from polyrot.verdict.run import Judge

CLAIM = Claim(
    "SASA-05",
    "Polynomially many tokens recover a subspace",
    "arXiv 2606.06333, sample complexity",
    true_in=("samples-power",),
    false_in=("samples-exponential",),
)
ERROR, COVERED = 0.5, 0.9
"""Of a single direction: how near a point must be, and what share of points."""
HELD_OUT, TOKENS, DRAWS = 500, 4_096, 10
COVERABLE = 8
"""Dimensions up to which so many directions come near to most points."""
ROUNDING = log(RESOLUTION) ** 2 / 12
"""Variance of a logarithm by rounding to the numbers of tokens that were tried."""

Needed = Mapping[int, Sequence[float | None]]
"""Tokens of every repetition by dimension."""
World = Callable[[Suite], Needed]


def as_trained(suite: Suite) -> Needed:
    return suite.samples


def one_direction_a_token(suite: Suite) -> Needed:
    """As many directions as tokens, which are the tokens: until most others are near to one."""
    return {
        dim: [
            median(covering(dim, draw_seed(dim, repetition, draw, 96)) for draw in range(DRAWS))
            for repetition in range(len(own))
        ]
        for dim, own in suite.samples.items()
        if dim <= COVERABLE
    }


@cache
def covering(dim: int, seed: int) -> float:
    """Draw points of a sphere one by one; count them until most others are near to one."""
    generator = torch.Generator().manual_seed(seed)
    tokens = sphere(TOKENS, dim, generator)
    near = (sphere(HELD_OUT, dim, generator) @ tokens.mT).abs() >= (1 - ERROR**2) ** 0.5
    first = torch.where(near.any(1), near.byte().argmax(1), len(tokens))
    return 1 + float(first.double().quantile(COVERED))


def planted(power: float, base: float) -> World:
    """Needs that are a power of the dimension, or an exponential of it, with a tenth of scatter."""

    def world(suite: Suite) -> Needed:
        rng = np.random.default_rng(97)
        return {
            dim: [round(40 * dim**power * base**dim * rng.lognormal(0, 0.1)) for _ in own]
            for dim, own in suite.samples.items()
        }

    return world


HARDENED = Measurement(
    CLAIM,
    Bar.above(0, "AIC of the exponential less that of the power"),
    (
        negative("one direction a token", one_direction_a_token),
        negative("doubled by every dimension", planted(power=0, base=2)),
        positive("a power of three halves", planted(power=1.5, base=1)),
    ),
)


def preference(dims: Sequence[int], needed: Sequence[float]) -> float:
    """How much better a power fits than an exponential: the difference of their AIC."""
    left = []
    for x in (np.array(dims, dtype=float), np.log(dims)):
        fit = np.polyfit(x, np.log(needed), 1)
        variance = float(np.square(np.log(needed) - np.polyval(fit, x)).mean())
        left.append(max(variance, ROUNDING))
    exponential, power = left
    return len(dims) * log(exponential / power)


def preferences(needed: Needed) -> dict[int, float]:
    dims = [dim for dim in needed if dim >= 2]
    found = {}
    for repetition, own in enumerate(zip(*(needed[dim] for dim in dims), strict=True)):
        known = [n for n in own if n is not None]
        if len(known) == len(dims):
            found[repetition] = preference(dims, known)
    if not found:
        raise NotRun("no repetition of the sweep found the features of every dimension")
    return found


def missing(samples: Samples) -> str:
    """Say for which dimensions no number of tokens was enough; empty if there always was one."""
    short = {dim: own.count(None) for dim, own in samples.items()}
    said = [f"{count} of {len(samples[dim])} at {dim}" for dim, count in short.items() if count]
    return f"repetitions found no subspace: {', '.join(said)}" if said else ""


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        needed = world(suite)
        details: dict[str, float] = {}
        for dim, own in needed.items():
            known = [n for n in own if n is not None]
            details[f"found at {dim}"] = len(known)
            if known:
                details[f"mean tokens at {dim}"] = mean(known)
        return {"tokens": over_seeds(preferences(needed), details=details)}

    judge(
        measure,
        figures=lambda estimates: [
            dictionary_figures.samples(
                {"groups": suite.samples, "one direction a token": one_direction_a_token(suite)}
            )
        ],
        proxy=missing(suite.samples),
    )
