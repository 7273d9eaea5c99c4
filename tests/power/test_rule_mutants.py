"""Wrong versions of the verdict rule, of intervals and of worlds: each is caught by a named test.

A mutant is a function whose source has one text replaced by another.
"""

import inspect
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from polyrot.capabilities import controls, features, pairs, rotations, streams
from polyrot.catalogue import load_module
from polyrot.linalg import battery
from polyrot.sae import metrics
from polyrot.stats import estimate, looks, scale
from polyrot.verdict import bar, calibration, claim, judge, levels, run, undecided

TESTS = Path(__file__).parents[1]
of_judge = load_module(TESTS / "verdict" / "test_judge.py")
of_levels = load_module(TESTS / "verdict" / "test_levels.py")
of_undecided = load_module(TESTS / "verdict" / "test_undecided.py")
of_scale = load_module(TESTS / "stats" / "test_scale.py")
of_estimate = load_module(TESTS / "stats" / "test_estimate.py")
of_calibration = load_module(TESTS / "run" / "test_calibration.py")
of_worlds = load_module(TESTS / "capabilities" / "test_pair_worlds.py")
of_sae = load_module(TESTS / "sae" / "test_sae.py")
of_features = load_module(TESTS / "capabilities" / "test_features.py")


OF_TESTS = (
    of_judge,
    of_levels,
    of_undecided,
    of_scale,
    of_estimate,
    of_calibration,
    of_worlds,
    of_sae,
    of_features,
)


class Mutant(NamedTuple):
    owner: ModuleType | type
    function: str
    old: str
    new: str
    caught_by: Callable[[], None]


def whole_table() -> None:
    for models, known, expected in of_judge.TABLE:
        of_judge.test_every_row_of_the_table(models, known, expected)


def refused() -> None:
    test = of_scale.test_what_is_no_measurement_is_refused_where_it_is_made
    for case in test.pytestmark[0].args[1]:
        test(*case)


def on_every_scale() -> None:
    for which in (scale.Scale.LOG, scale.Scale.LOGIT):
        of_scale.test_an_interval_on_a_scale_stays_in_range_and_its_value_stays_the_average(which)


def log_of_the_mean() -> None:
    of_scale.test_on_the_log_scale_the_interval_is_that_of_the_logarithm_of_the_mean()


def errors_at_the_edge() -> None:
    of_levels.test_with_the_truth_at_the_edge_the_errors_are_the_levels(4)


def exact_numbers() -> None:
    of_levels.test_an_exact_number_lies_where_it_lies_even_at_an_end(0.5, "inside")


def linear_worlds() -> None:
    of_worlds.test_a_linear_world_at_the_pairs_ev_is_found_by_an_affine_map_alone(10.0)


E, J, W = estimate.Estimate, judge, of_worlds
MUTANTS = [
    # The holes of the engine that a review found.
    Mutant(J, "_inside", "if not e.controls_of(Kind.NEGATIVE, Placement.OUTSIDE):", "if False:",
           whole_table),
    Mutant(J, "_outside", "if not e.controls_of(Kind.POSITIVE, Placement.INSIDE):", "if False:",
           whole_table),
    Mutant(J, "_outside", "if missed := e.characteristic.misses if e.characteristic else ():",
           "if missed := ():", of_judge.test_a_bar_that_a_true_world_misses_cannot_refute),
    Mutant(J, "_rule", "if met and met.placement is not Placement.INSIDE:", "if False:",
           of_judge.test_without_its_precondition_a_statement_is_neither_true_nor_false),
    Mutant(run, "_check_parts", "[part for part in control.parts if part not in known]", "[]",
           of_judge.test_a_control_of_a_part_that_is_not_there_is_an_error),
    Mutant(E, "__post_init__", "not self.low <= self.value <= self.high", "False", refused),
    Mutant(E, "__post_init__", "if math.isinf(self.low) != math.isinf(self.high):", "if False:",
           refused),
    Mutant(E, "__post_init__", "self.n < 2 and (wide or not self.exhaustive)", "False", refused),
    Mutant(E, "__post_init__", "math.isnan(number)", "False", refused),
    Mutant(levels, "place_parts", "* (len(shares) - tested) <= 1", "<= 1", errors_at_the_edge),
    Mutant(levels, "_level", "if estimate.seeds is None", "if True",
           of_levels.test_adding_seeds_until_a_verdict_appears_does_not_raise_the_errors),
    Mutant(estimate, "_share", ".proportion_ci(CONFIDENCE, method=\"exact\")",
           ".proportion_ci(CONFIDENCE, method=\"wilson\")",
           of_scale.test_a_share_has_clopper_and_pearsons_interval_on_any_scale),
    # The verdict.
    Mutant(levels, "place_parts", "<= _level(estimate, INSIDE_LEVEL)",
           "<= _level(estimate, INSIDE_LEVEL) / len(estimates)",
           of_levels.test_inside_is_one_sided_at_each_part),
    Mutant(levels, "place_parts", "            break\n", "            continue\n",
           of_levels.test_outside_is_corrected_over_the_parts),
    Mutant(bar.Bar, "p_inside", "max(tests, default=0.0)", "min(tests, default=0.0)",
           of_levels.test_the_two_ends_of_an_equivalence_region_are_tested_apart),
    Mutant(bar, "_unless_without_spread",
           "return estimate.p_without_spread if without else p", "return p", exact_numbers),
    Mutant(E, "p_without_spread", "0.5 ** (self.n // 2 if of_pairs else self.n)", "0.0",
           of_levels.test_units_that_agree_decide_as_a_sign_test_does),
    Mutant(judge.ControlResult, "of", "bar.place_control(estimate)",
           "bar.place_control(models)", whole_table),
    Mutant(claim, "names_of", "part.rpartition(\", \")[2]", "part.partition(\", \")[0]",
           of_judge.test_a_part_may_have_a_bar_and_controls_of_its_own),
    Mutant(calibration.Characteristic, "misses", "for cell in self.true", "for cell in self.false",
           of_judge.test_a_bar_that_a_true_world_misses_cannot_refute),
    Mutant(calibration.Calibration, "contradictions", "cell.world in row.true_in",
           "cell.world in row.false_in",
           of_calibration.test_verdicts_that_contradict_known_truth_are_named),
    Mutant(undecided, "_chance", "(units / estimate.n) ** 0.5", "1.0",
           lambda: of_undecided.test_the_seeds_wanted_decide_as_often_as_they_say(2.5)),
    Mutant(undecided, "_chance", "/ parts", "/ 1",
           of_undecided.test_seeds_are_wanted_up_to_the_next_look_at_which_they_would_do),
    # Intervals.
    Mutant(estimate, "_jackknife_error", "(n - 1) / n", "1 / n",
           of_estimate.test_pairs_that_are_means_of_seeds_give_the_t_interval_of_the_seeds),
    Mutant(estimate, "_quantile", "stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)",
           "stats.norm.ppf((1 + CONFIDENCE) / 2)",
           of_estimate.test_pairs_that_are_means_of_seeds_give_the_t_interval_of_the_seeds),
    Mutant(E, "on", "points[1:]", "points", log_of_the_mean),
    Mutant(E, "on", "if not all(map(math.isfinite, points)):", "if False:",
           of_scale.test_a_value_that_a_scale_cannot_show_leaves_the_interval_linear_and_says_so),
    Mutant(E, "on", "scale.back(points[0] - half), scale.back(points[0] + half)",
           "self.value - half, self.value + half", on_every_scale),
    Mutant(E, "_p", "self.count - (not below)", "self.count",
           of_scale.test_a_share_has_clopper_and_pearsons_interval_on_any_scale),
    Mutant(estimate, "difference", "of.left_out[unit] - less.left_out[unit]", "of.left_out[unit]",
           of_scale.test_paired_differences_leave_out_what_both_have_in_common),
    Mutant(looks, "level_at", "(look / LOOKS[-1]) ** 0.5", "1.0",
           of_levels.test_adding_seeds_until_a_verdict_appears_does_not_raise_the_errors),
    Mutant(E, "seeds", "self.n + (self.anchor is not None)", "self.n",
           of_levels.test_the_anchor_counts_among_the_seeds_of_a_look),
    # What claims measure, and their worlds.
    Mutant(controls, "_with_own_residuals", "residual[order]", "residual",
           W.test_what_is_left_unexplained_is_dealt_out_to_other_tokens),
    Mutant(controls, "_with_own_residuals", "@ (u @ v)", "@ own.rotation",
           W.test_a_noise_matched_world_is_as_noisy_as_the_pair_and_otherwise_random),
    Mutant(controls, "_with_own_residuals", "for part in (pair.held_out, ~pair.held_out):",
           "for part in (pair.held_out | True,):",
           W.test_what_is_left_unexplained_is_dealt_out_to_other_tokens),
    Mutant(controls, "_with_own_residuals", "source @ matrix",
           "source @ torch.linalg.qr(matrix).Q",
           linear_worlds),
    Mutant(controls, "private_noise", "for side in (source, target):", "for side in ():",
           W.test_noise_on_both_sides_does_not_pass_for_a_linear_map),
    Mutant(controls, "private_noise", "target - shared.mT @ source @ shared", "0 * target",
           W.test_noise_on_both_sides_is_matched_where_that_is_what_there_is),
    Mutant(controls, "noise_for", "1 / explained - 1", "1 - explained",
           W.test_noise_at_an_explained_variance),
    Mutant(pairs.Pair, "as_published", ', group="O"', "",
           W.test_a_pair_is_fitted_by_a_rotation_and_one_scale),
    Mutant(streams.Streams, "_free", "if axis not in shared", "",
           W.test_shared_coordinates_are_taken_out_before_a_rotation_is_judged),
    Mutant(rotations, "explains_more", "shuffled_tokens(pair).alignment.ev", "0.5",
           W.test_a_map_explains_more_than_shuffled_tokens_only_where_there_is_one),
    Mutant(battery, "power_trace", "trace - (power + 1) % 2", "trace",
           W.test_statistics_of_rotations_by_hand),
    Mutant(battery, "haar_fourth_power", "3 * d / (d + 2)", "3.0",
           of_worlds.test_the_fourth_power_under_haar_is_not_that_of_gaussian_entries),
    Mutant(metrics, "firing_correlation", "float(r.mean())", "float(r[varies_x].mean())",
           of_sae.test_firing_correlation_is_pearsons_over_the_features_that_fire),
    Mutant(features.Firing, "shared_with", "r[linear_sum_assignment(r, maximize=True)]",
           "r.amax(1)", of_features.test_partners_are_one_to_one),
    Mutant(features.Firing, "of", "codes -= codes.mean(0)", "pass",
           of_features.test_the_share_is_that_of_pearsons_correlation),
]  # fmt: skip


def mutated(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace a function, a method or a property by its mutant."""
    found = inspect.getattr_static(mutant.owner, mutant.function)
    function = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
    assert source.count(mutant.old) == 1, f"{mutant.function} has no, or several, {mutant.old!r}"
    module = inspect.getmodule(inspect.unwrap(function))
    assert module is not None
    names: dict[str, Any] = {}
    changed = "from __future__ import annotations\n" + source.replace(mutant.old, mutant.new)
    exec(changed, module.__dict__, names)  # noqa: S102
    monkeypatch.setattr(mutant.owner, mutant.function, names[mutant.function])
    # What was imported by name elsewhere is replaced there too.
    for other in (judge, levels, run, undecided, rotations, *OF_TESTS):
        if getattr(other, mutant.function, None) is found:
            monkeypatch.setattr(other, mutant.function, names[mutant.function])


CAUGHT = (
    AssertionError,
    pytest.fail.Exception,
    ArithmeticError,
    AttributeError,
    RuntimeWarning,
    TypeError,
    ValueError,
)


@pytest.mark.seconds
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.function}: {m.old[:30]}")
def test_a_mutant_is_caught(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    mutated(mutant, monkeypatch)
    with pytest.raises(CAUGHT):
        mutant.caught_by()
