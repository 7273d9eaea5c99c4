"""The figures of claims, as data: from estimates that were measured, or from rotations."""

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.linalg import haar
from polyrot.linalg.lu import determinants
from polyrot.stats.estimate import CONFIDENCE, Estimate, ends_of
from polyrot.verdict.bar import Bar
from polyrot.verdict.figure import Figure, Mark, Role, Series
from polyrot.verdict.run import MODELS

Worlds = Mapping[str, Mapping[str, Estimate]]
"""Estimates by world (`MODELS`, or the name of a control) and part."""
Curve = tuple[str, Role, str, str]
"""Label and role of a series, its world, and the detail that it shows; empty: the estimate."""

NULL_DRAWS = 1_000
"""Haar matrices whose eigenangles stand for all: pools of a figure's size are drawn from them."""
POOLS = 1_000
Rotations = Mapping[str, Float[Tensor, "pair d d"]]


def by_part(
    worlds: Worlds,
    curves: Iterable[Curve],
    *,
    name: str,
    title: str,
    caption: str,
    y: str,
    bar: Bar | None = None,
    log_y: bool = False,
) -> Figure:
    """Draw figures of every part, say of every site, side by side, with their intervals.

    The `bar` is drawn across, where `y` is the quantity that it is of.
    """
    parts = list(worlds[MODELS])
    series = []
    for label, role, world, detail in curves:
        own = worlds.get(world, {})
        have = [
            part for part in parts if part in own and (not detail or detail in own[part].details)
        ]
        if not have:
            continue
        if detail:
            drawn = (detail_of(own[part], detail) for part in have)
            series.append(Series(label, role, tuple(have), *zip(*drawn, strict=True)))
        else:
            series.append(Series.of(label, role, have, (own[part] for part in have)))
    if bar:
        caption += f" Dashed: the bar, {bar}."
    if not all(known for own in series for known in own.has_interval):
        caption += " Hollow: without an interval."
    edges = tuple(end for end in (bar.low, bar.high) if math.isfinite(end)) if bar else ()
    return Figure(name, title, caption, "", y, Mark.POINTS, tuple(series), bar=edges, log_y=log_y)


def by_dose(
    worlds: Worlds,
    part: str,
    curves: Iterable[Curve],
    doses: Sequence[float],
    *,
    name: str,
    title: str,
    caption: str,
    y: str,
) -> Figure:
    """Draw how the effect on one part grows with the dose.

    The detail of a curve is a pattern: `given at {dose:g}, logits`.
    """
    series = []
    for label, role, world, pattern in curves:
        details = worlds[world][part].details if part in worlds.get(world, {}) else {}
        keys = {dose: pattern.format(dose=dose) for dose in doses}
        have = {dose: float(details[key]) for dose, key in keys.items() if key in details}
        if have:  # without a dose there is no effect
            series.append(Series(label, role, (0.0, *have), (0.0, *have.values())))
    x_label = "alpha: times the vector is added"
    return Figure(name, title, caption, x_label, y, Mark.LINES, tuple(series))


def against_each_other(
    predicted: Mapping[str, tuple[Tensor, Tensor]],
    *,
    name: str,
    title: str,
    caption: str,
    x: str,
    y: str,
) -> Figure:
    """Draw what was predicted (the first of two tensors) over what was measured."""
    series = [
        Series(
            label,
            Role.BESIDE if number else Role.MODELS,
            *(_numbers(values.flatten()) for values in (second, first)),
        )
        for number, (label, (first, second)) in enumerate(predicted.items())
    ]
    return Figure(name, title, caption, x, y, Mark.POINTS, tuple(series), diagonal=True)


def norm_histogram(rotations: Rotations) -> Figure:
    """Draw the distances of rotations from the identity beside those of Haar matrices."""
    pooled = torch.cat(list(rotations.values()))
    d = pooled.shape[-1]
    traces = pooled.diagonal(dim1=-2, dim2=-1).sum(-1)
    null = torch.cat([angles.cos().sum(-1) for angles in _null_angles(pooled).values()])
    # ||R - I||^2 = 2d - 2 tr R
    own, random = ((2 * d - 2 * t).clamp(min=0).sqrt() / (2 * d) ** 0.5 for t in (traces, null))
    low, high = (float(f(torch.cat([own, random]))) for f in (torch.min, torch.max))
    edges = torch.linspace(low - 1e-9, high + 1e-9, 31, dtype=torch.float64)
    return Figure(
        "norms",
        "Distance from the identity",
        f"Norms of all {len(pooled)} rotations, all sites, beside those of {len(null)} Haar "
        f"matrices with the same determinants, d = {d}. As ||R - I||^2 = 2d - 2 tr R, Haar "
        "matrices differ little.",
        "norm(R - I) / sqrt(2d)",
        "share of matrices",
        Mark.STEPS,
        (
            _steps("Haar", Role.NULL, random, edges),
            _steps("rotations between seeds", Role.MODELS, own, edges),
        ),
    )


def eigenangle_histogram(
    rotations: Rotations, *, where: str = "all sites", bins: int = 24
) -> Figure:
    """Draw the folded eigenangles of rotations over the band in which Haar matrices' fall.

    Rotations of one site count as independent, as they do in the battery.  Those of several sites
    do not: where one rotation turns the whole residual stream, every site shows the same draw.
    """
    pooled = torch.cat(list(rotations.values()))
    d = pooled.shape[-1]
    edges = torch.linspace(0, torch.pi, bins + 1, dtype=torch.float64)
    counts = torch.zeros(POOLS, bins, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    for kind, angles in _null_angles(pooled).items():
        single = torch.stack([_counts(own, edges) for own in angles])
        sizes = [int(((determinants(own) > 0) == kind).sum()) for own in rotations.values()]
        picks = torch.randint(len(single), (POOLS, max(sizes)), generator=generator)
        for size in sizes:  # the same draws at every site: no other dependence varies more
            counts += single[picks[:, :size]].sum(1)
    shares = counts / (len(pooled) * d)
    null = Series(
        f"Haar: mean, and {CONFIDENCE:.0%} band of all bins at once",
        Role.NULL,
        _numbers(edges),
        *map(_numbers, _simultaneous_band(shares)),
    )
    own = _steps("rotations between seeds", Role.MODELS, haar.eigenangles(pooled), edges)
    return Figure(
        "eigenangles",
        "Eigenangles",
        f"Folded eigenangles of {len(pooled)} rotations, {where}, d = {d}. Of as many Haar "
        f"matrices with the same determinants, {CONFIDENCE:.0%} of pools stay within the band in "
        "every bin: eigenvalues of one matrix repel, so it is narrower than for independent "
        "angles." + (" Sites do not count as independent." if len(rotations) > 1 else ""),
        "eigenangle, radians",
        "share of eigenangles",
        Mark.STEPS,
        (null, own),
    )


def _simultaneous_band(
    shares: Float[Tensor, "pool bin"],
) -> tuple[Float[Tensor, " bin"], Float[Tensor, " bin"], Float[Tensor, " bin"]]:
    """Return mean, low and high of pools: 95% of them are between low and high in all bins.

    As many standard deviations wide as the largest deviation of a pool, over its bins, is.
    """
    mean, deviation = shares.mean(0), shares.std(0)
    # A bin that is the same in all pools has nothing to deviate.
    largest = ((shares - mean).abs() / deviation.clamp(min=1e-12)).amax(1)
    half = largest.quantile(CONFIDENCE) * deviation
    return mean, (mean - half).clamp(min=0), mean + half


def detail_of(estimate: Estimate, name: str) -> tuple[float, float, float]:
    """Return a detail with the ends of its interval, which are infinite where it has none."""
    low, high = ends_of(name)
    own = estimate.details
    return float(own[name]), float(own.get(low, -math.inf)), float(own.get(high, math.inf))


def _null_angles(rotations: Tensor) -> dict[bool, Float[Tensor, "draw d"]]:
    """Eigenangles of Haar matrices, by determinant, where the rotations have such."""
    d = rotations.shape[-1]
    proper = determinants(rotations) > 0
    result = {}
    for kind in (True, False):
        if share := float((proper == kind).double().mean()):
            draws = max(2, round(NULL_DRAWS * share))
            half = haar.component_eigenangles(d, draws, proper=kind, seed=1, rows=slice(0, draws))
            result[kind] = haar.all_eigenangles(half, d, proper=kind)
    return result


def _steps(label: str, role: Role, values: Tensor, edges: Tensor) -> Series:
    counts = _counts(values, edges)
    return Series(label, role, _numbers(edges), _numbers(counts / counts.sum()))


def _counts(values: Tensor, edges: Tensor) -> Tensor:
    return torch.histogram(values.double().flatten().clamp(edges[0], edges[-1]), edges).hist


def _numbers(values: Tensor) -> tuple[float, ...]:
    return tuple(map(float, values))
