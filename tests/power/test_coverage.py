"""Coverage of the intervals, simulated in worlds of pairs of seeds whose truth is known."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from polyrot.stats.estimate import Estimate, jackknife
from polyrot.stats.looks import LOOKS
from polyrot.stats.scale import Scale

TRUTH = 0.5
RUNS = 1_000


def worlds(seeds: int) -> Iterator[np.ndarray]:
    """Values of ordered pairs: an effect of the source, one of the target, one of the pair."""
    rng = np.random.default_rng(seeds)
    for _ in range(RUNS):
        source, target = 0.1 * rng.standard_normal((2, seeds))
        yield TRUTH + source[:, None] + target + 0.05 * rng.standard_normal((seeds, seeds))


def pairs(values: np.ndarray) -> dict[tuple[int, int], float]:
    n = len(values)
    return {(i, j): float(values[i, j]) for i in range(n) for j in range(n) if i != j}


def bootstrap(values: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Percentile interval of the mean over pairs of seeds drawn with replacement."""
    draws = rng.integers(len(values), size=(200, len(values)))
    chosen = values[draws[:, :, None], draws[:, None, :]]
    different = draws[:, :, None] != draws[:, None, :]
    means = (chosen * different).sum((1, 2)) / np.maximum(different.sum((1, 2)), 1)
    low, high = np.quantile(means, [0.025, 0.975])
    return low, high


@pytest.mark.parametrize("seeds", [5, 9, 20])
@pytest.mark.seconds
def test_the_jackknife_covers_and_the_bootstrap_is_too_narrow(seeds: int) -> None:
    rng = np.random.default_rng(0)
    covered = resampled = predicted = 0
    previous = TRUTH
    for values in worlds(seeds):
        estimate = jackknife(pairs(values))
        covered += estimate.low <= TRUTH <= estimate.high
        low, high = estimate.prediction
        predicted += low <= previous <= high
        previous = estimate.value
        low, high = bootstrap(values, rng)
        resampled += low <= TRUTH <= high
    # Binomial(1000, 0.95) leaves [0.92, 0.98] once in 20,000.
    assert 0.92 <= covered / RUNS <= 0.98
    assert 0.92 <= predicted / RUNS <= 0.98
    # Why intervals here are not bootstrapped: few seeds leave too little to resample.
    assert resampled < covered


@pytest.mark.parametrize("seeds", [5, 9])
def test_the_anchored_jackknife_covers_the_mean_from_its_anchor(seeds: int) -> None:
    # What the published measurements use: the other seeds are the units.
    covered = 0
    rng = np.random.default_rng(seeds)
    for _ in range(RUNS):
        source, target = 0.1 * rng.standard_normal(), 0.1 * rng.standard_normal(seeds)
        values = {(0, j): TRUTH + source + float(target[j]) for j in range(1, seeds)}
        estimate = jackknife(values, anchor=0)
        covered += estimate.low <= TRUTH + source <= estimate.high
    # Binomial(1000, 0.95) leaves [0.92, 0.98] once in 20,000.
    assert 0.92 <= covered / RUNS <= 0.98


Draws = np.ndarray
"""Values of ordered pairs of seeds, [run, source, target]."""
World = Callable[[np.random.Generator, int], tuple[Draws, float]]
"""Draws of a number of seeds, and their true mean."""
MANY = 4_000


def normal(of_seed: float, of_pair: float) -> World:
    def world(rng: np.random.Generator, seeds: int) -> tuple[Draws, float]:
        source, target = of_seed * rng.standard_normal((2, MANY, seeds))
        pair = of_pair * rng.standard_normal((MANY, seeds, seeds))
        return TRUTH + source[:, :, None] + target[:, None, :] + pair, TRUTH

    return world


def skewed(spread: float, of: Callable[[np.ndarray], np.ndarray] = lambda loss: loss) -> World:
    """Losses whose logarithm varies between seeds, and a function of them."""

    def world(rng: np.random.Generator, seeds: int) -> tuple[Draws, float]:
        source = spread * rng.standard_normal((MANY, seeds, 1))
        values = of(0.15 * np.exp(source - spread**2 / 2)) * np.ones(seeds)
        return values, float(of(np.array(0.15)))

    return world


def shares(rng: np.random.Generator, seeds: int) -> tuple[Draws, float]:
    return rng.beta(8, 2, (MANY, seeds, 1)) * np.ones(seeds), 0.8


def correlations(rng: np.random.Generator, seeds: int) -> tuple[Draws, float]:
    points, weights = np.polynomial.hermite_e.hermegauss(60)
    truth = float(weights @ np.tanh(1.5 + 0.3 * points) / weights.sum())
    z = 1.5 + 0.3 * rng.standard_normal((MANY, seeds, 1))
    return np.tanh(z) * np.ones(seeds), truth


WORLDS: dict[str, tuple[World, Scale]] = {
    "effects of seeds": (normal(0.1, 0.0), Scale.LINEAR),
    "effects of seeds and of pairs": (normal(0.1, 0.05), Scale.LINEAR),
    "effects of pairs alone": (normal(0.0, 0.1), Scale.LINEAR),
    "losses, spread by a factor of 1.6": (skewed(0.5), Scale.LOG),
    "the same without a scale": (skewed(0.5), Scale.LINEAR),
    "losses, spread by a factor of 2.7": (skewed(1.0), Scale.LOG),
    "explained variances": (skewed(0.5, lambda loss: 1 - loss), Scale.LOG_LOST),
    "shares": (shares, Scale.LOGIT),
    "correlations": (correlations, Scale.FISHER),
}
"""The rows of the table in docs/statistics.md."""


def intervals(values: Draws, scale: Scale) -> tuple[np.ndarray, np.ndarray]:
    """The jackknife of every run at once; the next test compares it with the library's."""
    seeds = values.shape[1]
    off = values * ~np.eye(seeds, dtype=bool)
    total = off.sum((1, 2))
    with_seed = off.sum(1) + off.sum(2)
    means = np.c_[total, total[:, None] - with_seed]
    means /= [seeds * (seeds - 1), *[(seeds - 1) * (seeds - 2)] * seeds]
    points = np.vectorize(scale.of)(means)
    spread = points[:, 1:] - points[:, 1:].mean(1, keepdims=True)
    half = ((seeds - 1) / seeds * (spread**2).sum(1)) ** 0.5 * stats.t.ppf(0.975, seeds - 1)
    back = np.vectorize(scale.back)
    return back(points[:, 0] - half), back(points[:, 0] + half)


@pytest.mark.parametrize(("world", "scale"), WORLDS.values(), ids=WORLDS)
def test_the_intervals_of_the_simulation_are_the_librarys(world: World, scale: Scale) -> None:
    values, _ = world(np.random.default_rng(0), 5)
    for run, (low, high) in enumerate(zip(*intervals(values[:3], scale), strict=True)):
        found: Estimate = jackknife(pairs(values[run])).on(scale)
        assert (found.low, found.high) == pytest.approx((low, high))


@pytest.mark.seconds
@pytest.mark.parametrize("name", WORLDS)
def test_coverage_is_as_the_page_says(name: str) -> None:
    page = Path(__file__).parents[2] / "docs" / "statistics.md"
    (row,) = (line for line in page.read_text().splitlines() if line.startswith(f"| {name} |"))
    said = [float(cell) for cell in row.split("|")[2:-1]]
    world, scale = WORLDS[name]
    for seeds, expected in zip(LOOKS, said, strict=True):
        values, truth = world(np.random.default_rng(seeds), seeds)
        low, high = intervals(values, scale)
        covered = float(((low <= truth) & (truth <= high)).mean())
        assert covered == pytest.approx(expected, abs=0.0051), (seeds, covered)
