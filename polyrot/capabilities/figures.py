"""The figures of claims, as data: from measured estimates, or from rotations."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from polyrot.capabilities.components import Compared
from polyrot.capabilities.dictionaries import HOW, SCALAR, SUBSPACE
from polyrot.linalg import haar
from polyrot.linalg.lu import determinants
from polyrot.stats.estimate import CONFIDENCE, Estimate
from polyrot.verdict.claim import MODELS, Control, Draw, Worlds
from polyrot.verdict.figure import Figure, Mark, Role, Series
from polyrot.verdict.figures import ByPart, Curve, against_each_other, detail_of, numbers

NULL_DRAWS = 1_000
"""Haar matrices whose eigenangles are pooled: pools of a figure's size are drawn from them."""
POOLS = 1_000
Rotations = Mapping[str, Float[Tensor, "pair d d"]]


def norm_histogram(rotations: Rotations) -> Figure:
    """Draw the distances of rotations and of Haar matrices from the identity."""
    pooled = torch.cat(list(rotations.values()))
    d = pooled.shape[-1]
    traces = pooled.diagonal(dim1=-2, dim2=-1).sum(-1)
    null = torch.cat([angles.cos().sum(-1) for angles in _null_angles(pooled).values()])
    # ||R - I||^2 = 2d - 2 tr R
    fitted, random = ((2 * d - 2 * t).clamp(min=0).sqrt() / (2 * d) ** 0.5 for t in (traces, null))
    low, high = (float(f(torch.cat([fitted, random]))) for f in (torch.min, torch.max))
    edges = torch.linspace(low - 1e-9, high + 1e-9, 31, dtype=torch.float64)
    return Figure(
        "norms",
        "Distance from the identity",
        f"Norms of all {len(pooled)} rotations, all sites, and of {len(null)} Haar "
        f"matrices with the same determinants, d = {d}. As ||R - I||^2 = 2d - 2 tr R, Haar "
        "matrices differ little.",
        "norm(R - I) / sqrt(2d)",
        "share of matrices",
        Mark.STEPS,
        (
            _steps("Haar", Role.NULL, random, edges),
            _steps("rotations between seeds", Role.MODELS, fitted, edges),
        ),
    )


def eigenangle_histogram(
    rotations: Rotations, *, where: str = "all sites", bins: int = 24
) -> Figure:
    """Draw the folded eigenangles of rotations over the band of Haar matrices.

    Rotations of one site count as independent, as in the battery.  Those of several sites do not:
    if one rotation acts on the whole residual stream, every site shows the same draw.
    """
    pooled = torch.cat(list(rotations.values()))
    d = pooled.shape[-1]
    edges = torch.linspace(0, torch.pi, bins + 1, dtype=torch.float64)
    counts = torch.zeros(POOLS, bins, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    for kind, angles in _null_angles(pooled).items():
        single = torch.stack([_counts(of_one, edges) for of_one in angles])
        sizes = [int(((determinants(at) > 0) == kind).sum()) for at in rotations.values()]
        picks = torch.randint(len(single), (POOLS, max(sizes)), generator=generator)
        for size in sizes:  # the same draws at every site: the dependence with the widest band
            counts += single[picks[:, :size]].sum(1)
    shares = counts / (len(pooled) * d)
    null = Series(
        f"Haar: mean, and {CONFIDENCE:.0%} band of all bins at once",
        Role.NULL,
        numbers(edges),
        *map(numbers, _simultaneous_band(shares)),
    )
    fitted = _steps("rotations between seeds", Role.MODELS, haar.eigenangles(pooled), edges)
    return Figure(
        "eigenangles",
        "Eigenangles",
        f"Folded eigenangles of {len(pooled)} rotations, {where}, d = {d}. {CONFIDENCE:.0%} of "
        "pools of equally many Haar matrices with the same determinants stay within the band in "
        "every bin. It is narrower than for independent angles, because eigenvalues of one matrix "
        "repel." + (" Sites do not count as independent." if len(rotations) > 1 else ""),
        "eigenangle, radians",
        "share of eigenangles",
        Mark.STEPS,
        (null, fitted),
    )


def haar_pvalues(found: Mapping[str, Mapping[str, float]]) -> Figure:
    """Draw the p-values of `polyrot.linalg.battery.haar_pvalues`, site by site."""
    names = [name for name in next(iter(found.values())) if name.startswith("p of ")]
    sites = tuple(found)
    series = [
        Series(
            name.removeprefix("p of "),
            Role.BESIDE,
            sites,
            tuple(of_site[name] for of_site in found.values()),
        )
        for name in names
    ]
    return Figure(
        "pvalues",
        "Every statistic against Haar",
        "Monte-Carlo p-values, adjusted jointly over statistics and sites. They are not judged.",
        "",
        "adjusted p-value",
        Mark.POINTS,
        tuple(series),
        log_y=True,
    )


TRACES = ByPart(
    "trace",
    title="Mean trace",
    caption="Mean over pairs of seeds of the trace of their rotation, site by site, and the "
    "mean over the same number of Haar matrices with the same determinants.",
    y="mean trace",
    curves=(
        Curve("Haar: mean, and where 95% of means fall", Role.NULL, detail="mean trace under Haar"),
        Curve("rotations between seeds", Role.MODELS, detail="mean trace"),
    ),
)
"""What `polyrot.linalg.battery.haar_pvalues` reports of the mean trace."""


def _simultaneous_band(
    shares: Float[Tensor, "pool bin"],
) -> tuple[Float[Tensor, " bin"], Float[Tensor, " bin"], Float[Tensor, " bin"]]:
    """Return mean, low and high of pools: 95% of them are between low and high in all bins.

    Its half-width in standard deviations is the 95% quantile of a pool's largest deviation.
    """
    mean, deviation = shares.mean(0), shares.std(0)
    # A bin that is the same in all pools has no deviation.
    largest = ((shares - mean).abs() / deviation.clamp(min=1e-12)).amax(1)
    half = largest.quantile(CONFIDENCE) * deviation
    return mean, (mean - half).clamp(min=0), mean + half


def _null_angles(rotations: Tensor) -> dict[bool, Float[Tensor, "draw d"]]:
    """Draw eigenangles of Haar matrices for each sign of the determinant that occurs."""
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
    return Series(label, role, numbers(edges), numbers(counts / counts.sum()))


def _counts(values: Tensor, edges: Tensor) -> Tensor:
    return torch.histogram(values.double().flatten().clamp(edges[0], edges[-1]), edges).hist


def predicted_effects(compared: Compared) -> Figure:
    """Draw the effects of ablations that gradients predict over those that were measured."""
    return against_each_other(
        compared,
        name="effects",
        title="Predicted and measured effects",
        caption="Each point is a component of a seed: the effect of its ablation on the loss as "
        "a gradient predicts it, over the measured one. On the line they are equal.",
        x="measured effect, nats a token",
        y="predicted effect, nats a token",
    )


def effects_in_two_seeds(pairs: Iterable[tuple[Tensor, Tensor]]) -> Figure:
    """Draw the effects of a source's components over those of their matches in a target."""
    sources, targets = zip(*pairs, strict=True)
    return against_each_other(
        {"matched components of two seeds": (torch.cat(sources), torch.cat(targets))},
        name="effects",
        title="What a component does in two seeds",
        caption="Each point is a component of a pair of seeds: the effect of its ablation "
        "on the loss in one and, matched by the symmetry search, in the other.",
        x="effect in the target, nats a token",
        y="effect in the source, nats a token",
    )


Labelled = tuple[str, Role]
"""Label and role of a series."""


def eigenvalues(
    values: Mapping[Labelled, Sequence[Complex[Tensor, " eigenvalue"]]], *, caption: str
) -> Figure:
    """Draw eigenvalues of operators in the complex plane, those of all seeds alike."""
    series = []
    for (label, role), seeds in values.items():
        pooled = torch.cat(list(seeds))
        x, y = (tuple(map(float, part)) for part in (pooled.real, pooled.imag))
        series.append(Series(label, role, x, y))
    return Figure(
        "eigenvalues",
        "Eigenvalues",
        caption,
        "real part",
        "imaginary part",
        Mark.POINTS,
        tuple(series),
    )


def where_controls_apply(figure: Draw, controls: Iterable[Control]) -> Draw:
    """Draw each control only at the parts that it concerns."""

    def draw(worlds: Worlds) -> Sequence[Figure]:
        shown = {MODELS: worlds[MODELS]}
        for control in controls:
            known = worlds.get(control.name, {}).items()
            shown[control.name] = {part: found for part, found in known if control.concerns(part)}
        return figure(shown)

    return draw


def likeness_by_pairing(estimate: Estimate) -> list[Figure]:
    """Draw the details that `dictionaries.likeness` and `dictionaries.of_one_model` report."""
    series = []
    for kind, label, role in (
        (SUBSPACE, "subspaces", Role.MODELS),
        (SCALAR, "single directions", Role.BESIDE),
    ):
        names = {how: f"mean {kind} overlap, {how}" for how in HOW}
        have = {how: name for how, name in names.items() if name in estimate.details}
        drawn = (detail_of(estimate, name) for name in have.values())
        series.append(Series(label, role, tuple(have), *zip(*drawn, strict=True)))
    return [
        Figure(
            "likeness",
            "Another seed's groups, rotated",
            "Overlap of what matched groups write (for subspaces in which the variance is the "
            "same in all directions, the mean squared cosine of their principal angles), for "
            "autoencoders trained on either seed; mean over pairs. Two SAE seeds of one model show "
            "the most that a rotation can be expected to achieve. As they are: no rotation, both "
            "decoders initialised from the same SAE seed. Hollow: without an interval.",
            "",
            "overlap",
            Mark.POINTS,
            tuple(series),
        )
    ]


def mean_and_extremes(
    label: str, role: Role, x: Iterable[float], values: Float[Tensor, "seed x"]
) -> Series:
    """Make the series of the mean over seeds, with the lowest and the highest."""
    low, high = values.amin(0), values.amax(0)
    mean = values.mean(0).clamp(low, high)  # rounding may put the mean of equal numbers outside
    return Series(
        label, role, tuple(map(float, x)), *(tuple(map(float, y)) for y in (mean, low, high))
    )
