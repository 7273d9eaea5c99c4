"""Is a set of rotations Haar? Statistics with Monte-Carlo nulls, not i.i.d. theory.

Eigenvalues of one matrix repel each other, so the p-value of an i.i.d. test on them
is not calibrated.  Every statistic here is compared with draws of Haar matrices of the
same dimension and determinant, averaged over the same number of matrices.
"""

from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from scipy import stats
from torch import Tensor

from polyrot.cache import cache_directory, content_key
from polyrot.files import write_atomically
from polyrot.linalg import haar
from polyrot.stats.estimate import Estimate, benjamini_hochberg, monte_carlo_p

POWERS = 8
DRAWS = 2_000
NULL_VERSION = 1
"""Raised when a statistic changes: cached nulls of another version are not used."""

BATTERY = ("angles", "spacings", "traces", "entries")
Statistics = dict[str, Float[Tensor, " matrix"]]


def statistics(rotations: Float[Tensor, "matrix d d"]) -> Statistics:
    """Compute every statistic of every matrix.

    trace: tr R, of mean 0 and variance 1 under Haar (||R - I||^2 = 2d - 2 tr R).
    angles: Kolmogorov-Smirnov distance of the folded eigenangles from uniform on [0, pi].
    spacings: mean ratio of neighbouring gaps between distinct eigenangles, the smaller
        over the larger (Oganesyan & Huse 2007, doi:10.1103/PhysRevB.75.155111).
    traces: sum over k = 1..8 of (tr R^k - its mean)^2 / its variance, with mean [k even]
        and variance k (Diaconis & Shahshahani 1994, doi:10.2307/3214948).
    entries: d^2 times the mean fourth power of the entries; near 3 under Haar, d for a
        signed permutation, which no spectrum sees.
    """
    d = rotations.shape[-1]
    angles = haar.eigenangles(rotations)
    uniform = torch.arange(1, d + 1, dtype=torch.float64) / d
    share = angles / torch.pi
    distance = torch.maximum(uniform - share, share - uniform + 1 / d).amax(-1)
    powers = torch.arange(1, POWERS + 1, dtype=torch.float64)
    # tr R^k is the sum of cos(k angle): the imaginary parts cancel.
    traces = torch.cos(powers[:, None, None] * angles).sum(-1)
    expected = (powers % 2 == 0).double()
    squares = (traces - expected[:, None]).square() / powers[:, None]
    return {
        "trace": traces[0],
        "angles": distance,
        "spacings": _spacing_ratio(angles, torch.linalg.det(rotations)),
        "traces": squares.sum(0),
        "entries": d**2 * rotations.pow(4).mean((-2, -1)),
    }


def haar_pvalues(
    rotations: Float[Tensor, "matrix d d"], names: tuple[str, ...], *, seed: int = 0
) -> dict[str, tuple[int, int]]:
    """Compare pooled statistics with their Haar nulls.

    Each statistic is averaged over the matrices and compared, on both sides, with averages
    over as many independent Haar matrices of the same determinants.  (Rotations between
    the same few seeds are pairwise independent under Haar frames, which fixes the
    variance of the average; what higher dependence adds is of order 1/d.)

    Returns:
        For each statistic the number of null draws at least as extreme, and of draws.
    """
    observed = statistics(rotations)
    proper = int((torch.linalg.det(rotations) > 0).sum())
    improper = len(rotations) - proper
    d = rotations.shape[-1]
    nulls = _null(d, True, seed), _null(d, False, seed)
    generator = torch.Generator().manual_seed(seed)
    picks = [torch.randint(DRAWS, (DRAWS, k), generator=generator) for k in (proper, improper)]
    result = {}
    for name in names:
        pooled = torch.cat([null[name][p] for null, p in zip(nulls, picks, strict=True)], 1)
        draws, value = pooled.mean(1), observed[name].mean()
        tail = min(int((draws >= value).sum()), int((draws <= value).sum()))
        result[name] = (min(2 * tail, DRAWS), DRAWS)
    return result


def adjusted_pvalues(
    rotations: Mapping[str, Float[Tensor, "matrix d d"]], names: tuple[str, ...]
) -> dict[str, Estimate]:
    """Test several sets of rotations; report the smallest adjusted p-value of each.

    All p-values of all sets and statistics are adjusted together (Benjamini-Hochberg).
    """
    counts = {
        (key, name): count
        for key, matrices in rotations.items()
        for name, count in haar_pvalues(matrices, names).items()
    }
    raw = [(extreme + 1) / (draws + 1) for extreme, draws in counts.values()]
    factors = [q / p for q, p in zip(benjamini_hochberg(raw), raw, strict=True)]
    tests = {
        test: monte_carlo_p(extreme, draws, factor=factor)
        for (test, (extreme, draws)), factor in zip(counts.items(), factors, strict=True)
    }
    result = {}
    for key, matrices in rotations.items():
        own = {name: tests[key, name] for name in names}
        smallest = min(own.values(), key=lambda estimate: estimate.value)
        observed = statistics(matrices)
        details = {f"p of {name}": estimate.value for name, estimate in own.items()}
        details |= {f"mean {name}": float(observed[name].mean()) for name in names}
        result[key] = Estimate(
            smallest.value,
            smallest.low,
            smallest.high,
            smallest.unit,
            smallest.n,
            f"{smallest.method}, Benjamini-Hochberg over {len(tests)} tests",
            details,
        )
    return result


def ks_iid_published(observed: Float[Tensor, "matrix d d"], seed: int = 0) -> tuple[float, float]:
    """Two-sample Kolmogorov-Smirnov test of folded eigenangles against 10 Haar draws.

    As arXiv 2605.24577 computes it: every eigenangle counts as an independent draw, which
    it is not.  Returns the statistic and its i.i.d. p-value.
    """
    reference = haar.sample(observed.shape[-1], 10, group="O", seed=seed)
    result = stats.ks_2samp(
        haar.eigenangles(observed).flatten(), haar.eigenangles(reference).flatten()
    )
    return float(result.statistic), float(result.pvalue)


def _spacing_ratio(
    angles: Float[Tensor, "matrix d"], det: Float[Tensor, " matrix"]
) -> Float[Tensor, " matrix"]:
    d = angles.shape[-1]
    ratios = torch.empty(len(angles), dtype=torch.float64)
    for proper in (True, False):
        rows = (det > 0) == proper
        own = angles[rows]
        # Complex pairs give every angle twice. Determinant -1 (d even) and odd d force
        # eigenvalues at +1 or -1; what is left after them comes in pairs.
        if not proper:
            own = own[:, 1:-1] if d % 2 == 0 else own[:, :-1]
        elif d % 2:
            own = own[:, 1:]
        gaps = own[:, ::2].diff(dim=-1)
        small = torch.minimum(gaps[:, 1:], gaps[:, :-1])
        large = torch.maximum(gaps[:, 1:], gaps[:, :-1])
        ratios[rows] = (small / large.clamp(min=1e-12)).mean(-1)
    return ratios


@lru_cache(maxsize=16)
def _null(d: int, proper: bool, seed: int) -> Statistics:
    """Statistics of `DRAWS` Haar matrices of one determinant, cached on disk."""
    what = {"d": d, "proper": proper, "draws": DRAWS, "seed": seed, "version": NULL_VERSION}
    path = cache_directory() / "nulls" / f"battery-{content_key(what)}.safetensors"
    if path.is_file():
        try:
            return load_file(path)
        except SafetensorError:
            path.unlink()  # damaged: drawn again below
    matrices = haar.sample(d, DRAWS, group="SO", seed=seed + 1)
    if not proper:
        matrices[:, :, 0] *= -1
    null = {name: values.contiguous() for name, values in statistics(matrices).items()}
    with suppress(OSError):  # a full disk costs the next run its time, nothing else
        write_atomically(path, lambda p: save_file(null, p))
    return null
