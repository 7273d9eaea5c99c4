"""The figures of claims about dictionaries of planted subspaces, as data."""

from collections.abc import Mapping, Sequence

from polyrot.verdict.figure import Figure, Mark, Role, Series
from polyrot.verdict.figures import Worlds

Curve = tuple[str, Role, str]
"""Label and role of a series, and its world."""


def against_dimension(
    worlds: Worlds, part: str, curves: Sequence[Curve], dims: Sequence[int], *, detail: str, y: str
) -> Figure:
    """Draw a detail that is told for every dimension, say `atoms at {dim}`, on logarithmic y."""
    return Figure(
        part,
        f"Covering numbers, {part}",
        f"Atoms that cover the sphere ({part}) against its dimension, mean over draws. A straight "
        "line is exponential growth. No smaller number than as many as proven is possible.",
        "dimension",
        y,
        Mark.LINES,
        tuple(_details(worlds, part, curves, dims, [detail.format(dim=dim) for dim in dims])),
        log_y=True,
    )


def along_a_path(worlds: Worlds, part: str, curves: Sequence[Curve], steps: int) -> Figure:
    """Draw the risk at every dictionary between a basis and a tiling."""
    taken = range(steps + 1)
    return Figure(
        part,
        f"Risk along the path, {part}",
        "Risk of the best codes under an l1 penalty, as a share of that at the basis, while its "
        "copies move to a tiling; mean over draws.",
        "step",
        "risk, share of the first",
        Mark.LINES,
        tuple(_details(worlds, part, curves, taken, [f"risk after {step}" for step in taken])),
    )


def objectives(runs: Mapping[int, tuple[list[float], float]]) -> Figure:
    """Draw the objective of every run over that of the planted solution, from the lowest."""
    ordered = [sorted(v / planted for v in starts) for starts, planted in runs.values()]
    series = [
        Series(
            f"features {seed}", Role.MODELS, tuple(map(float, range(1, len(own) + 1))), tuple(own)
        )
        for seed, own in zip(runs, ordered, strict=True)
    ]
    longest = max(len(own) for own in ordered)
    planted = Series("planted solution", Role.POSITIVE, (1.0, float(longest)), (1.0, 1.0))
    return Figure(
        "objectives",
        "Where runs end",
        "Objective on held-out tokens over that of the planted solution, of every run from random "
        "weights, in order. Below 1 a run has found something better.",
        "run, from the lowest",
        "objective over the planted one's",
        Mark.LINES,
        (*series, planted),
        log_y=True,
    )


def angles(
    groups: Mapping[int, tuple[tuple[int, ...], list[float]]],
    clusters: Mapping[int, tuple[tuple[int, ...], list[float]]],
    *,
    bar: float,
) -> Figure:
    """Draw the largest principal angle of every feature against its dimension."""
    series = []
    for label, role, found in (
        ("groups", Role.MODELS, groups),
        ("clusters of scalar columns", Role.NEGATIVE, clusters),
    ):
        points = [pair for dims, own in found.values() for pair in zip(dims, own, strict=True)]
        x, y = zip(*points, strict=True)
        series.append(Series(label, role, tuple(map(float, x)), tuple(y)))
    return Figure(
        "angles",
        "Recovered subspaces",
        "Largest principal angle between each planted feature and the unit that is matched to it, "
        "of all features and seeds. Dashed: the bar. At 90 degrees a direction is left out.",
        "dimension of the feature",
        "degrees",
        Mark.POINTS,
        tuple(series),
        bar=(bar,),
    )


def ranks(recovered: Mapping[str, Mapping[int, list[float]]], chosen: str) -> Figure:
    """Draw the mean learned rank against the planted dimension, of every coefficient."""
    series = []
    for coefficient, own in recovered.items():
        dims = sorted(own)
        role = Role.MODELS if coefficient == chosen else Role.BESIDE
        label = f"coefficient {coefficient}" + (", chosen" if coefficient == chosen else "")
        means = tuple(sum(own[dim]) / len(own[dim]) for dim in dims)
        series.append(Series(label, role, tuple(map(float, dims)), means))
    return Figure(
        "ranks",
        "Recovered ranks",
        "Mean effective rank of the group that is matched to a concept, against the concept's "
        "dimension, on seeds that the coefficient was not chosen on. The diagonal is the truth.",
        "planted dimension",
        "effective rank",
        Mark.LINES,
        tuple(series),
        diagonal=True,
    )


def samples(needed: Mapping[str, Mapping[int, Sequence[float | None]]]) -> Figure:
    """Draw the tokens that were needed against the dimension, both on logarithmic axes."""
    series: list[Series] = []
    for label, own in needed.items():
        points = [(dim, n) for dim, counts in own.items() for n in counts if n is not None]
        if points:
            x, y = zip(*points, strict=True)
            role = Role.BESIDE if series else Role.MODELS
            series.append(Series(label, role, tuple(map(float, x)), tuple(map(float, y))))
    return Figure(
        "samples",
        "Tokens to recovery",
        "Fewest tokens from which half of the features were found to 5 degrees, by repetition; "
        "those that none sufficed for are left out. A power law is a straight line.",
        "dimension of the features",
        "tokens",
        Mark.POINTS,
        tuple(series),
        log_x=True,
        log_y=True,
    )


def _details(
    worlds: Worlds,
    part: str,
    curves: Sequence[Curve],
    x: Sequence[int],
    names: Sequence[str],
) -> list[Series]:
    series = []
    for label, role, world in curves:
        own = worlds.get(world, {}).get(part)
        if own is not None and set(names) <= set(own.details):
            y = tuple(float(own.details[name]) for name in names)
            series.append(Series(label, role, tuple(map(float, x)), y))
    return series
