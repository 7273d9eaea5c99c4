"""The figures of claims: what is drawn is what was measured, and a band holds what it says."""

import math

import pytest
import torch

from polyrot.capabilities import figures
from polyrot.linalg import haar
from polyrot.stats.average import Measured, average
from polyrot.stats.estimate import Estimate, estimate_details, exact, jackknife
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import MODELS, Worlds
from polyrot.verdict.figure import Figure, Mark, Role, Series
from polyrot.verdict.figures import ByDose, ByPart, Curve, against_each_other

TEXTS = {"name": "toy", "title": "A toy", "caption": "Drawn by hand.", "y": "score"}
D, PAIRS, TRIALS = 16, 10, 400


def shares(rotations: torch.Tensor, edges: tuple[float, ...]) -> torch.Tensor:
    """Share of eigenangles by bin, from the eigenvalues of each matrix as LAPACK finds them."""
    angles = torch.linalg.eigvals(rotations).angle().abs().flatten().clamp(max=edges[-1])
    bins = torch.bucketize(angles, torch.tensor(edges, dtype=torch.float64)[1:-1])
    return torch.bincount(bins, minlength=len(edges) - 1) / len(angles)


def within(null: Series, rotations: torch.Tensor) -> bool:
    own = shares(rotations, null.x).tolist()
    return all(a <= y <= b for a, y, b in zip(null.low, own, null.high, strict=True))


def test_the_band_of_eigenangles_holds_haar_pools_in_all_bins_as_often_as_it_says() -> None:
    matrices = haar.sample(D, TRIALS * PAIRS, seed=11).unflatten(0, (TRIALS, PAIRS))
    null, own = figures.eigenangle_histogram({"site": matrices[0]}).series
    assert "95% band of all bins at once" in null.label
    assert own.y == pytest.approx(shares(matrices[0], own.x).tolist())
    covered = sum(within(null, pool) for pool in matrices) / TRIALS
    # Of 400 pools, the share varies by 0.011; a band of single bins would hold about half.
    assert 0.92 < covered < 0.98


def test_sites_of_one_rotation_are_no_more_draws_than_it_is() -> None:
    matrices = haar.sample(D, TRIALS * PAIRS, seed=12).unflatten(0, (TRIALS, PAIRS))
    once = {"site": matrices[0]}
    null = figures.eigenangle_histogram({"one": matrices[0], "other": matrices[0]}).series[0]
    alone = figures.eigenangle_histogram(once).series[0]
    assert null.low == pytest.approx(alone.low)
    assert null.high == pytest.approx(alone.high)
    assert 0.92 < sum(within(null, pool) for pool in matrices) / TRIALS < 0.98


def test_the_band_is_of_the_determinants_that_the_rotations_have() -> None:
    """A matrix of determinant -1 has eigenvalues 1 and -1, and so have those of its null."""
    flip = torch.ones(D, dtype=torch.float64)
    flip[0] = -1
    matrices = haar.sample(D, TRIALS * PAIRS, seed=13).unflatten(0, (TRIALS, PAIRS))
    matrices[:, :4] *= flip
    null, _ = figures.eigenangle_histogram({"site": matrices[0]}).series
    mean = torch.stack([shares(pool, null.x) for pool in matrices]).mean(0)
    assert null.y == pytest.approx(mean.tolist(), abs=0.004)
    assert 0.92 < sum(within(null, pool) for pool in matrices) / TRIALS < 0.98


def test_a_permutation_leaves_the_band() -> None:
    permutation = torch.eye(D, dtype=torch.float64).roll(1, 0)
    pool = permutation.expand(PAIRS, D, D)
    assert not within(figures.eigenangle_histogram({"site": pool}).series[0], pool)


def test_bins_that_no_pool_can_reach_are_in_no_ones_way() -> None:
    """Determinant -1 in two dimensions: a reflection, with eigenangles 0 and pi always."""
    null, own = figures.eigenangle_histogram(
        {"site": torch.tensor([[[1.0, 0.0], [0.0, -1.0]]], dtype=torch.float64)}
    ).series
    assert null.low == pytest.approx(null.high)
    assert own.y == pytest.approx(null.y)


def test_the_histogram_of_norms_is_that_of_the_matrix_norms() -> None:
    rotations = {"one": haar.sample(D, 6, seed=1), "other": haar.sample(D, 5, group="O", seed=2)}
    figure = figures.norm_histogram(rotations)
    null, own = figure.series
    assert (null.role, own.role) == (Role.NULL, Role.MODELS)
    identity = torch.eye(D, dtype=torch.float64)
    norms = torch.cat(
        [torch.linalg.matrix_norm(r - identity) / (2 * D) ** 0.5 for r in rotations.values()]
    )
    counted = [
        float(((low <= norms) & (norms < high)).double().mean())
        for low, high in zip(own.x[:-1], own.x[1:], strict=True)
    ]
    assert own.y == pytest.approx(counted)
    assert sum(null.y) == pytest.approx(1)
    # E||R - I||^2 = 2d under Haar, whatever the determinant.
    centres = [(a + b) / 2 for a, b in zip(null.x[:-1], null.x[1:], strict=True)]
    square = sum(y * x**2 for x, y in zip(centres, null.y, strict=True))
    assert square == pytest.approx(1, abs=0.02)


def spread(value: float, **details: float) -> Estimate:
    return Estimate(value, value - 0.1, value + 0.1, "seed", 5, "by hand", details)


CURVES = (
    Curve("models", Role.MODELS),
    Curve("beside", Role.BESIDE, detail="raw"),
    Curve("control", Role.NEGATIVE, "control", "raw"),
)


def by_part(worlds: Worlds, bar: Bar | None = None) -> Figure:
    (figure,) = ByPart(**TEXTS, curves=CURVES, bar=bar)(worlds)
    return figure


def by_dose(worlds: Worlds, curve: Curve, doses: tuple[float, ...]) -> Figure:
    (figure,) = ByDose("Of {part}", "Drawn by hand.", "score", (curve,), doses)(worlds)
    return figure


def test_figures_are_drawn_by_part_with_their_intervals() -> None:
    mean = jackknife({(0, 1): 0.1, (1, 2): 0.2, (2, 0): 0.6})
    models = {"early": spread(0.7, **estimate_details("raw", mean)), "late": spread(0.8, raw=0.2)}
    figure = by_part({MODELS: models})
    first, second = figure.series
    assert (first.x, first.y) == (("early", "late"), (0.7, 0.8))
    assert (first.low, first.high) == ((0.7 - 0.1, 0.8 - 0.1), (0.7 + 0.1, 0.8 + 0.1))
    assert second.y == pytest.approx((0.3, 0.2))
    assert (second.low, second.high) == ((mean.low, -math.inf), (mean.high, math.inf))
    assert [own.has_interval for own in figure.series] == [(True, True), (True, False)]
    assert figure.caption == "Drawn by hand. Hollow: without an interval."


def test_a_control_that_is_missing_or_concerns_other_parts_costs_its_own_numbers_alone() -> None:
    models = {"early": spread(0.7, raw=0.1), "late": spread(0.8, raw=0.2)}
    not_run = by_part({MODELS: models})
    assert [own.label for own in not_run.series] == ["models", "beside"]
    worlds = {MODELS: models, "control": {"late": spread(0.0, raw=0.3), "early": spread(0.0)}}
    control = by_part(worlds).series[2]
    assert (control.x, control.y) == (("late",), (0.3,))


def test_the_bar_is_drawn_where_it_is_asked_for_and_said() -> None:
    models = {MODELS: {"all": spread(0.7)}}
    plain = by_part(models)
    assert (plain.bar, plain.caption) == ((), "Drawn by hand.")
    barred = by_part(models, bar=Bar.above(0.5, "score"))
    assert (barred.bar, barred.caption) == ((0.5,), "Drawn by hand. Dashed: the bar, > 0.5.")
    both = by_part(models, bar=Bar.between(0.5, 0.9, "score"))
    assert both.bar == (0.5, 0.9)


def test_effects_grow_from_nothing_at_no_dose() -> None:
    own = exact(1.0, unit="seed", n=5, method="by hand", details={"at 1": 0.3, "at 4": 0.9})
    curve = Curve("models", Role.MODELS, detail="at {dose:g}")
    figure = by_dose({MODELS: {"all": own}}, curve, (1.0, 2.0, 4.0))
    assert (figure.name, figure.title) == ("all", "Of all")
    (line,) = figure.series
    assert (line.x, line.y) == ((0.0, 1.0, 4.0), (0.0, 0.3, 0.9))
    nothing = Curve("control", Role.NEGATIVE, "gone", "at {dose:g}")
    of_nothing = ByDose("Of {part}", "Drawn by hand.", "score", (nothing,), (1.0,))
    assert of_nothing({MODELS: {"all": own}}) == []


def test_a_part_that_names_its_dose_is_drawn_as_what_was_dosed() -> None:
    own = exact(1.0, unit="seed", n=5, method="by hand", details={"at 1": 0.3})
    other = exact(1.0, unit="seed", n=5, method="by hand")
    curve = Curve("models", Role.MODELS, detail="at {dose:g}")
    figure = by_dose({MODELS: {"closer, at 1": own, "closer, at 2": other}}, curve, (1.0,))
    assert (figure.name, figure.title) == ("closer", "Of closer")


def against(predicted: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> Figure:
    return against_each_other(predicted, x="measured", **(TEXTS | {"y": "predicted"}))


def test_what_was_measured_lies_on_x_and_what_was_predicted_on_y() -> None:
    predicted, measured = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[5.0, 6], [7, 8]])
    figure = against({"a gradient": (predicted, measured)})
    (own,) = figure.series
    assert (figure.x, figure.y) == ("measured", "predicted")
    assert own.x == (5, 6, 7, 8)
    assert own.y == (1, 2, 3, 4)


def test_every_one_of_several_is_drawn() -> None:
    three = {name: (torch.ones(2), torch.ones(2)) for name in ("one", "two", "three")}
    drawn = against(three).series
    assert [own.label for own in drawn] == ["one", "two", "three"]
    assert [own.role for own in drawn] == [Role.MODELS, Role.BESIDE, Role.BESIDE]


def test_lengths_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="of series 'it' of figure 'toy' but got 3 x, 2 y"):
        against({"it": (torch.ones(2), torch.ones(3))})
    for mark, series in (
        (Mark.STEPS, Series("it", Role.MODELS, (0, 1), (1, 2))),
        (Mark.LINES, Series("it", Role.MODELS, (0, 1, 2), (1, 2))),
        (Mark.POINTS, Series("it", Role.MODELS, (0, 1), (1, 2), (0,), (2, 2))),
        (Mark.POINTS, Series("it", Role.MODELS, (0, 1), (1, 2), (0, 0))),
    ):
        with pytest.raises(ValueError, match="of series 'it' of figure 'toy' but got"):
            Figure("toy", "A toy", "", "x", "y", mark, (series,))


def test_figures_that_are_averaged_too_have_the_interval_of_their_pairs() -> None:
    values = {(0, 1): 0.1, (0, 2): 0.2, (0, 3): 0.6}

    def measure(seeds: tuple[int, int]) -> Measured:
        naive = {"naive EV": 0.5} if seeds == (0, 1) else {}
        return Measured(1.0, also={"EV": values[seeds], **naive})

    of_targets = jackknife(values, anchor=0)
    assert average(values, measure, anchor=0).details == {
        "EV": of_targets.value,
        "EV, low": of_targets.low,
        "EV, high": of_targets.high,
        "naive EV": 0.5,
    }
    assert math.isfinite(of_targets.low)
    infinite = average([(0, 1), (0, 4)], lambda seeds: Measured(1.0, also={"EV": -math.inf}))
    assert infinite.details == {"EV": -math.inf}


def test_what_could_not_be_drawn_is_refused() -> None:
    names = Series("it", Role.MODELS, ("early", "late"), (0.5, 0.6))
    with pytest.raises(ValueError, match=r"numbers as x of series 'it' of figure 'a-curve'"):
        Figure("a-curve", "A curve", "", "", "y", Mark.LINES, (names,))
    for low, high in ((0.6, 0.7), (0.1, 0.4)):
        outside = Series("it", Role.MODELS, (1.0,), (0.5,), (low,), (high,))
        with pytest.raises(ValueError, match=r"low <= y <= high of series 'it'"):
            Figure("a-curve", "A curve", "", "", "y", Mark.POINTS, (outside,))
