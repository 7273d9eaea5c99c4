"""CORE-11: a language model's subject-verb agreement is one axis.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): at the last token of
prompts such as "The keys to the cabinet", one direction of the residual stream decides between
is, was and are, were.  Kept alone it is enough, removed the plural margin no longer tells the
number, flipped it tells the reverse; told by the area under the ROC curve (AUC).

The layer is the one where flipping does most: as published chosen on the test prompts, here on
the training prompts, where the axis comes from too.  The released code reads the last layer
behind the final norm and edits it before; that is left as it is in the published measurement.

Controls change the axis and nothing else: they act at the layer that the core's flip chose.  At
an early layer the last token may not hold the number yet, and then to keep any axis harms nothing.

What it cannot show: every prompt's attractor has the other number than its head, so that here to
read the head and to contradict the attractor are one behaviour.

Nor is a miss of the bar of removal proof of a second axis: what the estimate of the one misses
stays behind, and tells the number to the order of sqrt(d / n) of its separation, with n prompts.
"""

from collections.abc import Callable, Mapping
from statistics import mean

import pytest

from polyrot.experiments.agreement import axes
from polyrot.experiments.agreement.axes import Study
from polyrot.experiments.agreement.controls import planted_axis
from polyrot.experiments.agreement.figures import by_depth, depth_figures
from polyrot.experiments.agreement.studies import part_name, study_of, units
from polyrot.interventions.places import FINAL_NORM
from polyrot.stats.estimate import Estimate, jackknife
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, negative, positive
from polyrot.verdict.run import Judge

CLAIM = Claim(
    "CORE-11",
    "Subject-verb agreement is one axis",
    "arXiv 2602.22600, GPT-2; the areas are not printed",
    true_in=("verb-one-axis", "verb-label-alone"),
    false_in=("verb-two-axes",),
)
KEPT, REMOVED, FLIPPED = 0.02, 0.60, 0.10
BAR = Bar.at_least(
    0.0, f"AUC kept above the model's - {KEPT}, removed below {REMOVED}, flipped below {FLIPPED}"
)
DRAWS = 4
"""Random axes a seed, whose areas are averaged."""
BEST = f"{{}}, of {DRAWS} random axes the nearest to the bar"

Choose = Callable[[Study], int]
"""Which layer."""
World = Callable[[Study, Choose, int], Mapping[str, float]]
"""The areas of a model without intervention ("base") and with each, given its seed."""


def on_training_prompts(own: Study) -> int:
    return own.training.best_layer


def on_test_prompts(own: Study) -> int:
    return own.test.best_layer


def core(own: Study, choose: Choose, seed: int) -> dict[str, float]:
    return {"base": own.test.base} | own.test.at(choose(own))


def random_axis(own: Study, choose: Choose, seed: int) -> dict[str, float]:
    drawn = axes.random_directions(own.cores.shape[1], DRAWS, seed=seed)
    areas = own.intervene(choose(own), list(drawn))
    averages = {name: mean(one[name] for one in areas) for name in areas[0]}
    nearest = {
        BEST.format(name): (max if name == "keep" else min)(one[name] for one in areas)
        for name in areas[0]
    }
    return {"base": own.test.base} | averages | nearest


def axis_of_the_past(own: Study, choose: Choose, seed: int) -> dict[str, float]:
    """From prompts without "In the past," to those with it."""
    layer = choose(own)
    (areas,) = own.intervene(layer, [axes.past_direction(own, layer)])
    return {"base": own.test.base} | areas


def planted(own: Study, choose: Choose, seed: int) -> dict[str, float]:
    """A model as wide as this one, whose margin is one axis of its states."""
    width = own.cores.shape[1]
    reader = planted_axis(own.prompts.plural, d_model=width, seed=seed)
    return core(axes.study(reader, own.prompts), choose, seed)


def to_the_bars(areas: Mapping[str, float]) -> dict[str, float]:
    """How far inside its bar each area is."""
    return {
        "keep": areas["keep"] - (areas["base"] - KEPT),
        "remove": REMOVED - areas["remove"],
        "flip": FLIPPED - areas["flip"],
    }


CONTROLS = (
    negative("random axis", random_axis),
    negative("axis of the past", axis_of_the_past),
    positive("planted axis", planted),
)
HARDENED = Measurement(CLAIM, BAR, CONTROLS)
PUBLISHED = Measurement(CLAIM, BAR, CONTROLS, published=True)


def measured(suite: Suite, choose: Choose, world: World, last: str = "") -> dict[str, Estimate]:
    """Estimate the margins to the bars, by size and intervention."""
    studies = {seed: study_of(suite, seed, last=last) for seed in suite.seeds}
    found: dict[str, Estimate] = {}
    for group, seeds in units(suite).items():
        areas = {seed: world(studies[seed], choose, seed) for seed in seeds}
        for name in axes.INTERVENTIONS:
            details = {
                f"seed {s}, {which}": areas[s][which] for s in seeds for which in ("base", name)
            }
            if world is random_axis:
                details |= {
                    f"seed {s}, {BEST.format(name)}": areas[s][BEST.format(name)] for s in seeds
                }
            if world is core:
                details |= {f"seed {s}, block": choose(studies[s]) for s in seeds}
                for size, own in suite.sizes.items():
                    if set(own) <= set(seeds):
                        details |= by_depth(size, name, {s: studies[s].test for s in own})
            values = {(s, s): to_the_bars(areas[s])[name] for s in seeds}
            found[part_name(group, name)] = jackknife(values, details=details)
    return found


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    def measure(world: World = core) -> dict[str, Estimate]:
        return measured(suite, on_training_prompts, world)

    judge(measure, figures=depth_figures)


@pytest.mark.measurement(PUBLISHED)
def test_published(suite: Suite, judge: Judge) -> None:
    def measure(world: World = core) -> dict[str, Estimate]:
        return measured(suite, on_test_prompts, world, last=FINAL_NORM)

    judge(measure, figures=depth_figures)
