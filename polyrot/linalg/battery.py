"""Is a set of rotations Haar? Statistics with Monte-Carlo nulls, not i.i.d. theory.

Eigenvalues of one matrix repel each other, so the p-value of an i.i.d. test on them
is not calibrated.  Every statistic here is compared with draws of Haar matrices of the
same dimension and determinant, averaged over the same number of matrices.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import stats
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from polyrot.linalg import haar
from polyrot.linalg.checks import Array, as_orthogonal
from polyrot.linalg.lu import determinants
from polyrot.parallel import one_thread, run_units
from polyrot.stats.estimate import CONFIDENCE, benjamini_hochberg, ends_of
from polyrot.stats.nulls import Draws, cached_draws

POWERS = 8
DRAWS = 2_000
COLUMNS = 128
"""Number of columns used by the statistics of the entries, drawn at random if there are more.

Their null costs O(d COLUMNS^2) per draw instead of O(d^3)."""
SPECTRAL_UNIT, ENTRIES_UNIT = 2**20, 2**25
"""Most numbers that one unit of work draws: seconds of work, and 256 MiB."""
NULL_VERSION = 5
"""Raised when a statistic changes: cached nulls of another version are not used."""

SPECTRAL = ("angles", "spacings", "traces")
OF_ENTRIES = ("entries", "signed permutation")
BATTERY = (*SPECTRAL, *OF_ENTRIES)
Statistics = dict[str, Float[Tensor, " matrix"]]


@dataclass(frozen=True)
class HaarTest:
    """Result of the battery for one or several matrices, taken together."""

    pvalue: float
    """The smallest adjusted p-value: the matrices are not Haar if it is at most the level."""
    pvalues: Mapping[str, float]
    """Monte-Carlo p-value by statistic, two-sided, before adjustment."""
    adjusted: Mapping[str, float]
    """The same, adjusted together (Benjamini-Hochberg)."""
    statistics: Mapping[str, float]
    """Observed value by statistic, averaged over the matrices."""
    expected: Mapping[str, float]
    """The same, averaged over Haar matrices of this dimension and determinant."""
    draws: int
    """Null draws per p-value, which is therefore at least 2 / (draws + 1)."""


@dataclass(frozen=True)
class Comparison:
    """A pooled statistic and its null."""

    observed: float
    expected: float
    """Mean of the null draws."""
    tail: int
    """Null draws at least as extreme as the observed value, in the smaller tail."""
    draws: int
    low: float
    """`low` and `high` bound the central 95% of the null draws."""
    high: float

    @classmethod
    def of(cls, observed: float, null: Float[Tensor, " draw"]) -> "Comparison":
        if not (math.isfinite(observed) and bool(null.isfinite().all())):
            raise ValueError(f"Expected a statistic and its null to be finite but got {observed}")
        # Forced eigenvalues make constants, and angles near 0 and pi are accurate to 1e-8: values
        # that differ only by rounding are ties.
        slack = 1e-7 * max(1.0, abs(observed))
        above, below = (null >= observed - slack).sum(), (null <= observed + slack).sum()
        tail = min(int(above), int(below))
        low, high = (float(null.quantile(q)) for q in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
        return cls(observed, float(null.mean()), tail, len(null), low, high)

    @property
    def pvalue(self) -> float:
        """Two-sided: twice the smaller tail, the observed value counted as a draw."""
        return min(1.0, 2 * (self.tail + 1) / (self.draws + 1))


def haar_test(rotation: Array, *, seed: int) -> HaarTest:
    """Run the whole battery; see `polyrot.haar.test`."""
    rotations = as_orthogonal("rotation", rotation)
    if rotations.ndim not in (2, 3):
        raise ValueError(
            f"Expected rotation of shape [d, d] or [matrix, d, d] but got {tuple(rotations.shape)}"
        )
    pooled = rotations.cpu().reshape(-1, *rotations.shape[-2:])
    compared = compare_with_haar(pooled, BATTERY, seed=seed)
    pvalues = {name: test.pvalue for name, test in compared.items()}
    adjusted = dict(zip(pvalues, benjamini_hochberg(pvalues.values()), strict=True))
    return HaarTest(
        min(adjusted.values()),
        pvalues,
        adjusted,
        {name: test.observed for name, test in compared.items()},
        {name: test.expected for name, test in compared.items()},
        DRAWS,
    )


def statistics(
    rotations: Float[Tensor, "matrix d d"], names: tuple[str, ...], *, seed: int = 0
) -> Statistics:
    """Compute statistics of every matrix.

    Of the spectrum:
        trace: tr R, of mean 0 and variance 1 under Haar (||R - I||^2 = 2d - 2 tr R).
        angles: Kolmogorov-Smirnov distance of the folded eigenangles from uniform.
        spacings: mean ratio of neighbouring gaps between distinct eigenangles, the smaller
            over the larger (Oganesyan & Huse 2007, doi:10.1103/PhysRevB.75.155111); 1 where
            there are fewer than three.
        traces: sum over k = 1..8 of (tr R^k - its mean)^2 / its variance, with mean
            [k even] and variance k (Diaconis & Shahshahani 1994, doi:10.2307/3214948).
    Of the entries (of at most `COLUMNS` columns), which the spectrum does not determine:
        entries: d^2 times the mean fourth power; near 3 under Haar, d for a signed
            permutation.
        signed permutation: distance to the nearest one, relative to sqrt(2 columns).
    """
    result: Statistics = {}
    if set(names) - set(OF_ENTRIES):
        proper = determinants(rotations) > 0
        result |= _of_angles(haar.eigenangles(rotations), proper)
    if set(names) & set(OF_ENTRIES):
        d = rotations.shape[-1]
        order = torch.randperm(d, generator=torch.Generator().manual_seed(seed))
        result |= _of_entries(rotations[:, :, order[:COLUMNS]])
    return {name: result[name] for name in names}


def compare_with_haar(
    rotations: Float[Tensor, "matrix d d"], names: tuple[str, ...], *, seed: int = 0
) -> dict[str, Comparison]:
    """Compare pooled statistics with their Haar nulls.

    Each statistic is averaged over the matrices and compared, on both sides, with averages
    over the same number of independent Haar matrices of the same determinants.  (Rotations
    between the same few seeds are pairwise independent under Haar frames, which fixes the
    variance of the average; higher-order dependence adds a term of order 1/d.)
    """
    observed = statistics(rotations, names, seed=seed)
    d = rotations.shape[-1]
    proper = int((determinants(rotations) > 0).sum())
    improper = len(rotations) - proper
    generator = torch.Generator().manual_seed(seed)
    picks = [torch.randint(DRAWS, (DRAWS, k), generator=generator) for k in (proper, improper)]
    result = {}
    for name in names:
        # Flipping a column's sign changes no statistic of the entries: one null serves both.
        nulls = [
            _entries_null(d, seed) if name in OF_ENTRIES else _spectral_null(d, kind, seed)
            for kind in (True, False)
        ]
        pooled = torch.cat([null[name][p] for null, p in zip(nulls, picks, strict=True)], 1)
        result[name] = Comparison.of(float(observed[name].mean()), pooled.mean(1))
    return result


def haar_pvalues(
    rotations: Mapping[str, Float[Tensor, "matrix d d"]], names: tuple[str, ...]
) -> dict[str, dict[str, float]]:
    """Test several sets of rotations: by set, the figures to report with an estimate.

    For each statistic its Monte-Carlo p-value, two-sided, all sets and statistics adjusted together
    (Benjamini-Hochberg), its mean, and the mean over Haar matrices with the ends of the central 95%
    of such means.
    """
    tests = {
        (key, name): test
        for key, matrices in rotations.items()
        for name, test in compare_with_haar(matrices, names).items()
    }
    adjusted = benjamini_hochberg([test.pvalue for test in tests.values()])
    told: dict[str, dict[str, float]] = {key: {} for key in rotations}
    for ((key, name), test), p in zip(tests.items(), adjusted, strict=True):
        under_haar = f"mean {name} under Haar"
        low, high = ends_of(under_haar)
        told[key] |= {
            f"p of {name}": p,
            f"mean {name}": test.observed,
            under_haar: test.expected,
            low: test.low,
            high: test.high,
        }
    return told


def haar_fourth_power(d: int) -> float:
    """Return d^2 times the mean fourth power of an entry under Haar: 3d / (d + 2).

    The first column is uniform on the sphere, so an entry's square is a Beta(1/2, (d - 1)/2).

    >>> round(haar_fourth_power(64), 3)
    2.909
    """
    return 3 * d / (d + 2)


def power_trace(rotation: Float[Tensor, "d d"], power: int) -> float:
    """(tr R^k less its Haar mean)^2 / k: 1 on average under Haar, 8 for eight blocks.

    Under Haar tr R^k has mean 1 for even k and 0 for odd k, and variance k (Diaconis & Shahshahani
    1994, doi:10.2307/3214948), for k well below d.
    """
    trace = float(torch.trace(torch.linalg.matrix_power(rotation, power)))
    return (trace - (power + 1) % 2) ** 2 / power


def signed_permutation_mean(d: int) -> float:
    """Mean distance of Haar matrices from the nearest signed permutation, over sqrt(2 columns)."""
    return float(_entries_null(d, 0)["signed permutation"].mean())


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


def _of_angles(angles: Float[Tensor, "matrix d"], proper: Bool[Tensor, " matrix"]) -> Statistics:
    d = angles.shape[-1]
    uniform = torch.arange(1, d + 1, dtype=torch.float64) / d
    share = angles / torch.pi
    powers = torch.arange(1, POWERS + 1, dtype=torch.float64)
    # tr R^k is the sum of cos(k angle): the imaginary parts cancel.
    traces = torch.stack([torch.cos(k * angles).sum(-1) for k in powers.tolist()])
    expected = (powers % 2 == 0).double()
    squares = (traces - expected[:, None]).square() / powers[:, None]
    return {
        "trace": traces[0],
        "angles": torch.maximum(uniform - share, share - uniform + 1 / d).amax(-1),
        "spacings": _spacing_ratio(angles, proper),
        "traces": squares.sum(0),
    }


def _spacing_ratio(
    angles: Float[Tensor, "matrix d"], proper: Bool[Tensor, " matrix"]
) -> Float[Tensor, " matrix"]:
    d = angles.shape[-1]
    ratios = torch.empty(len(angles), dtype=torch.float64)
    for kind in (True, False):
        rows = proper == kind
        kept = angles[rows]
        # Complex pairs give every angle twice. Determinant -1 (d even) and odd d force
        # eigenvalues at +1 or -1; the remaining ones come in pairs.
        if not kind:
            kept = kept[:, 1:-1] if d % 2 == 0 else kept[:, :-1]
        elif d % 2:
            kept = kept[:, 1:]
        gaps = kept[:, ::2].diff(dim=-1)
        if gaps.shape[1] < 2:
            ratios[rows] = 1.0  # no neighbours to compare: a constant has no effect
            continue
        small = torch.minimum(gaps[:, 1:], gaps[:, :-1])
        large = torch.maximum(gaps[:, 1:], gaps[:, :-1])
        ratios[rows] = (small / large.clamp(min=1e-12)).mean(-1)
    return ratios


def _of_entries(columns: Float[Tensor, "matrix d column"]) -> Statistics:
    _, d, count = columns.shape
    closest = []
    for sizes in np.abs(columns.numpy()):
        closest.append(sizes[linear_sum_assignment(sizes, maximize=True)].sum())
    overlap = torch.tensor(np.array(closest), dtype=torch.float64)
    return {
        "entries": d**2 * columns.pow(4).mean((-2, -1)),
        # ||R - P||^2 = 2 columns - 2 <R, P>
        "signed permutation": (1 - overlap / count).clamp(min=0).sqrt(),
    }


def _spectral_null(d: int, proper: bool, seed: int) -> Draws:
    size = max(1, SPECTRAL_UNIT // d)
    return cached_draws(
        _key("spectral", d, seed, proper=proper),
        lambda: _drawn(draw_spectral, (d, proper, seed + 1, DRAWS), size),
    )


def _entries_null(d: int, seed: int) -> Draws:
    columns = min(d, COLUMNS)
    size = max(1, ENTRIES_UNIT // (d * columns))
    return cached_draws(
        _key("entries", d, seed, columns=columns),
        lambda: _drawn(draw_entries, (d, columns, seed + 1), size),
    )


def _drawn(unit: Callable[..., Draws], arguments: tuple[int, ...], size: int) -> Draws:
    """Draw a null in units of work of `size` draws."""
    ranges = [(first, min(first + size, DRAWS)) for first in range(0, DRAWS, size)]
    parts = run_units(unit, [(*arguments, *range) for range in ranges])
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def draw_spectral(d: int, proper: bool, seed: int, draws: int, first: int, last: int) -> Draws:
    """Unit of work: the draws from `first` to before `last` of all `draws`."""
    with one_thread():
        half = haar.component_eigenangles(
            d, draws, proper=proper, seed=seed, rows=slice(first, last)
        )
        angles = haar.all_eigenangles(half, d, proper=proper)
        return _of_angles(angles, torch.full((last - first,), proper))


def draw_entries(d: int, columns: int, seed: int, first: int, last: int) -> Draws:
    """Unit of work: the draws from `first` to before `last`, from a separate generator."""
    with one_thread():
        return _of_entries(
            haar.frames(d, columns, last - first, np.random.default_rng([seed, first]))
        )


def _key(what: str, d: int, seed: int, **more: object) -> dict[str, object]:
    return {"null": what, "d": d, "draws": DRAWS, "seed": seed, "version": NULL_VERSION, **more}
