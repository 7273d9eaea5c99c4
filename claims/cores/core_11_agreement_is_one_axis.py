"""CORE-11: a language model's subject-verb agreement is one axis.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): at the last token of
prompts such as "The keys to the cabinet", one direction of the residual stream decides between
is, was and are, were.  If only this direction is kept, the plural margin still separates plural
from singular heads; if it is removed, the margin does not; if it is flipped, the margin separates
them in reverse.  Separation is measured by the area under the ROC curve (AUC).

The layer is the one where flipping has the largest effect: as published it is chosen on the test
prompts, here on the training prompts, from which the axis is also estimated.  The released code
reads the last layer after the final norm but edits it before; the published measurement does the
same.

Controls replace only the axis: they intervene at the layer chosen for the core's flip.  At an
early layer the last token may not encode the number yet, and then keeping any axis is harmless.

Limits: in every prompt the attractor has the opposite number to the head, so reading the head and
contradicting the attractor are the same behaviour here.  And missing the bar for removal does not
prove a second axis: the error of the estimated axis leaves a separation of the order of
sqrt(d / n) of the original, with n prompts.
"""

from collections.abc import Callable, Mapping
from statistics import mean

import pytest

from polyrot.claim import *
from polyrot.experiments.agreement import axes
from polyrot.experiments.agreement.axes import Study
from polyrot.experiments.agreement.controls import planted_axis
from polyrot.experiments.agreement.figures import by_depth, depth_figures
from polyrot.experiments.agreement.studies import Readers, part_name, units
from polyrot.interventions.places import FINAL_NORM

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
"""Random axes for each seed, whose areas are averaged."""
BEST = f"{{}}, of {DRAWS} random axes the nearest to the bar"

ChooseLayer = Callable[[Study], int]
World = Callable[[Study, ChooseLayer, int], Mapping[str, float]]
"""Areas of a model without intervention ("base") and with each, given its seed."""


def on_training_prompts(study: Study) -> int:
    return study.training.best_layer


def on_test_prompts(study: Study) -> int:
    return study.test.best_layer


def core(study: Study, choose: ChooseLayer, seed: int) -> dict[str, float]:
    return {"base": study.test.base} | study.test.at(choose(study))


def random_axis(study: Study, choose: ChooseLayer, seed: int) -> dict[str, float]:
    drawn = axes.random_directions(study.cores.shape[1], DRAWS, seed=seed)
    areas = {"base": study.test.base}
    each_axis = study.intervene(choose(study), list(drawn))
    for name in axes.INTERVENTIONS:
        found = [one[name] for one in each_axis]
        areas[name] = mean(found)
        areas[BEST.format(name)] = max(found) if name == "keep" else min(found)
    return areas


def axis_of_the_past(study: Study, choose: ChooseLayer, seed: int) -> dict[str, float]:
    """From prompts without "In the past," to those with it."""
    layer = choose(study)
    (areas,) = study.intervene(layer, [axes.past_direction(study, layer)])
    return {"base": study.test.base} | areas


def planted(study: Study, choose: ChooseLayer, seed: int) -> dict[str, float]:
    """A model of the same width whose margin is one axis of its states."""
    reader = planted_axis(study.prompts.plural, d_model=study.cores.shape[1], seed=seed)
    return core(axes.study(reader, study.prompts), choose, seed)


CONTROLS = (
    negative("random axis", random_axis),
    negative("axis of the past", axis_of_the_past),
    positive("planted axis", planted),
)
HARDENED = Measurement(CLAIM, BAR, CONTROLS)
PUBLISHED = Measurement(CLAIM, BAR, CONTROLS, published=True)


def margins(areas: Mapping[str, float]) -> dict[str, float]:
    """How far inside its bar the area of each intervention is."""
    return {
        "keep": areas["keep"] - (areas["base"] - KEPT),
        "remove": REMOVED - areas["remove"],
        "flip": FLIPPED - areas["flip"],
    }


def margins_by_size(
    readers: Readers, choose: ChooseLayer, world: World, *, last: str = ""
) -> dict[str, Estimate]:
    size_of = {seed: size for size, seeds in readers.sizes.items() for seed in seeds}

    def measure(seed: int) -> dict[str, Measured]:
        study = readers.study(seed, last=last)
        areas = world(study, choose, seed)
        found = {}
        for name, margin in margins(areas).items():
            told = ("base", name, BEST.format(name))
            each = {f"seed {seed}, {which}": areas[which] for which in told if which in areas}
            also = {}
            if world is core:
                each[f"seed {seed}, block"] = choose(study)
                also = by_depth(size_of[seed], study.test.by_layer[name])
            found[name] = Measured(margin, also=also, each=each)
        return found

    return {
        part_name(group, name): estimate
        for group, seeds in units(readers).items()
        for name, estimate in average_by_part(seeds, measure).items()
    }


@pytest.mark.measurement(HARDENED)
def test_hardened(readers: Readers, judge: Judge) -> None:
    judge(
        lambda world=core: margins_by_size(readers, on_training_prompts, world),
        figures=[depth_figures],
    )


@pytest.mark.measurement(PUBLISHED)
def test_published(readers: Readers, judge: Judge) -> None:
    judge(
        lambda world=core: margins_by_size(readers, on_test_prompts, world, last=FINAL_NORM),
        figures=[depth_figures],
    )
