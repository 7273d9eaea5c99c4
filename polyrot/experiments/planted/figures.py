"""The figures of claims about dictionaries of planted subspaces, as data."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from polyrot.verdict.claim import Control, Worlds
from polyrot.verdict.figure import Figure, Mark, Role, Series
from polyrot.verdict.figures import Curve, control_curves


@dataclass(frozen=True)
class ByNumber:
    """A figure of one part: details whose names hold a number, against that number."""

    part: str
    title: str
    caption: str
    x: str
    y: str
    numbers: Sequence[int]
    curves: tuple[Curve, ...]
    """Their details with the number left out: `atoms at {}`."""
    log_y: bool = False

    def __call__(self, worlds: Worlds) -> list[Figure]:
        return [
            Figure(
                self.part,
                self.title,
                self.caption,
                self.x,
                self.y,
                Mark.LINES,
                tuple(series for curve in self.curves for series in self._series(worlds, curve)),
                log_y=self.log_y,
            )
        ]

    def _series(self, worlds: Worlds, curve: Curve) -> list[Series]:
        """The series of a curve; none where a world lacks the part or a detail."""
        estimate = worlds.get(curve.world, {}).get(self.part)
        names = [curve.detail.format(number) for number in self.numbers]
        if estimate is None or not set(names) <= set(estimate.details):
            return []
        y = tuple(float(estimate.details[name]) for name in names)
        return [Series(curve.label, curve.role, tuple(map(float, self.numbers)), y)]


def covering(part: str, dims: Sequence[int], controls: Iterable[Control]) -> ByNumber:
    """Draw numbers of atoms against the dimension: the details `atoms at {dim}` of a part."""
    atoms = "atoms at {}"
    return ByNumber(
        part,
        title=f"Covering numbers, {part}",
        caption=f"Atoms that cover the sphere ({part}) against its dimension, mean over "
        "draws. A straight line is exponential growth. No number below the proven bound is "
        "possible.",
        x="dimension",
        y="atoms",
        numbers=dims,
        curves=(
            Curve("single directions", Role.MODELS, detail=atoms),
            *control_curves(controls, detail=atoms),
            Curve("as many as proven", Role.BESIDE, "as many as proven", atoms),
        ),
        log_y=True,
    )


def objectives(runs: Mapping[int, tuple[list[float], float]]) -> Figure:
    """Draw the objective of every run over that of the planted solution, from the lowest."""
    ratios = {
        seed: sorted(objective / planted for objective in objectives)
        for seed, (objectives, planted) in runs.items()
    }
    series = [
        Series(f"features {seed}", Role.MODELS, _counted(ratio), tuple(ratio))
        for seed, ratio in ratios.items()
    ]
    longest = max(map(len, ratios.values()))
    planted = Series("planted solution", Role.POSITIVE, (1.0, float(longest)), (1.0, 1.0))
    return Figure(
        "objectives",
        "Where runs end",
        "Objective on held-out tokens divided by that of the planted solution, for every run from "
        "random weights, sorted. A run below 1 has found a better solution.",
        "run, from the lowest",
        "objective over the planted one's",
        Mark.LINES,
        (*series, planted),
        log_y=True,
    )


def _counted(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(map(float, range(1, len(values) + 1)))


def angles(
    groups: Iterable[tuple[int, float]], clusters: Iterable[tuple[int, float]], *, bar: float
) -> Figure:
    """Draw the largest principal angle of every feature against its dimension.

    Args:
        groups: dimension and angle of every feature, recovered by a group SAE.
        clusters: the same, by clusters of TopK latents.
        bar: to draw across, in degrees.
    """
    series = []
    for label, role, found in (
        ("groups of a typical run", Role.MODELS, groups),
        ("clusters of TopK latents", Role.NEGATIVE, clusters),
    ):
        x, y = zip(*found, strict=True)
        series.append(Series(label, role, tuple(map(float, x)), tuple(y)))
    return Figure(
        "angles",
        "Recovered subspaces",
        "Largest principal angle between each planted feature and the group or cluster matched to "
        "it, for all features and seeds. Dashed: the bar. At 90 degrees a direction is missing.",
        "dimension of the feature",
        "degrees",
        Mark.POINTS,
        tuple(series),
        bar=(bar,),
    )


def ranks(recovered: Mapping[str, Sequence[tuple[int, float]]], chosen: str) -> Figure:
    """Draw the mean learned rank against the planted dimension, of every coefficient.

    Args:
        recovered: planted dimension and learned rank of every concept, by coefficient.
        chosen: the coefficient that is judged.
    """
    series = []
    for coefficient, concepts in recovered.items():
        by_dim: dict[int, list[float]] = {}
        for dim, rank in concepts:
            by_dim.setdefault(dim, []).append(rank)
        dims = sorted(by_dim)
        role = Role.MODELS if coefficient == chosen else Role.BESIDE
        label = f"coefficient {coefficient}" + (", chosen" if coefficient == chosen else "")
        means = tuple(sum(by_dim[dim]) / len(by_dim[dim]) for dim in dims)
        series.append(Series(label, role, tuple(map(float, dims)), means))
    return Figure(
        "ranks",
        "Recovered ranks",
        "Mean effective rank of the group matched to a concept against the dimension of the "
        "concept, on the seeds not used to choose the coefficient. The diagonal is the truth.",
        "planted dimension",
        "effective rank",
        Mark.LINES,
        tuple(series),
        diagonal=True,
    )


def samples(needed: Mapping[str, Mapping[int, Sequence[float | None]]]) -> Figure:
    """Draw the number of tokens needed against the dimension, both on logarithmic axes."""
    series: list[Series] = []
    for label, by_dim in needed.items():
        points = [(dim, n) for dim, counts in by_dim.items() for n in counts if n is not None]
        if points:
            x, y = zip(*points, strict=True)
            role = Role.BESIDE if series else Role.MODELS
            series.append(Series(label, role, tuple(map(float, x)), tuple(map(float, y))))
    return Figure(
        "samples",
        "Tokens to recovery",
        "Smallest number of tokens from which half of the features were found to within 5 degrees, "
        "by repetition; repetitions where no number sufficed are left out. A power law is a "
        "straight line.",
        "dimension of the features",
        "tokens",
        Mark.POINTS,
        tuple(series),
        log_x=True,
        log_y=True,
    )
