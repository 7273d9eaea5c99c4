"""PIR-18: a component's effect in one seed does not predict its effect in another.

"Polymorphism Is Rotation" (arXiv 2605.24577), cross-seed Bars C and Pr (one number, because
Pearson's r ignores the constant by which effects and losses differ): over the components, the
effects of mean ablation in seed 0 and in another seed, whose heads are matched by the symmetry
search, correlate at 0.52 to 0.69, below the bar of 0.99.  Here every pair of seeds is measured,
with heads matched by PIR-17's hardened search.  The printed range is compared with where another
cohort of the same size would be expected.
"""

from collections.abc import Callable

import pytest
from torch import Tensor

from polyrot import bars
from polyrot.capabilities.figures import effects_in_two_seeds
from polyrot.claim import *
from polyrot.experiments.dyck import controls, functions
from polyrot.experiments.dyck.components import effects
from polyrot.experiments.dyck.functions import FunctionWorld
from polyrot.experiments.dyck.suite import DyckModels
from polyrot.experiments.dyck.weights import align_models

CLAIM = Claim(
    "PIR-18",
    "Component effects do not transfer across seeds",
    "arXiv 2605.24577, cross-seed Bars C and Pr",
    {"dyck3": "r 0.694, 0.541, 0.631, 0.524"},
)
EffectsWorld = Callable[[DyckModels, int, int], tuple[Tensor, Tensor]]
"""The effects of a source's components and those of their matches in a target."""


def matched(function_world: FunctionWorld) -> EffectsWorld:
    """Match the heads of the source with those of the model in the target's place."""

    def world(dyck: DyckModels, source: int, target: int) -> tuple[Tensor, Tensor]:
        index = dyck.index(source)
        targets, position = function_world(dyck, source, target)
        found = align_models(dyck.models, index, targets, position, turn_residual=True)
        order = bars.component_order([layer.heads for layer in found.symmetry.layers])
        return effects(dyck.models)[index], effects(targets)[position][order]

    return world


AS_TRAINED = matched(functions.as_trained)
HARDENED = Measurement(
    CLAIM,
    Bar.below(bars.CAUSAL, "r of component effects", scale=Scale.FISHER),
    (
        negative("symmetric image", matched(functions.symmetric_image)),
        positive("components in another order", controls.other_components),
    ),
    printed={"dyck3": (Printed((0.694, 0.541, 0.631, 0.524), "seeds 1 to 4 from seed 0"),)},
)


@pytest.mark.measurement(HARDENED)
def test_hardened(dyck: DyckModels, judge: Judge) -> None:
    pairs = dyck.seed_pairs(ordered=False)

    def measure(world: EffectsWorld = AS_TRAINED) -> dict[str, Estimate]:
        def r(seeds: tuple[int, int]) -> Measured:
            source, target = world(dyck, *seeds)
            value = float(bars.correlation(source[None], target[None])[0])
            from_first = seeds[0] == dyck.seeds[0]
            return Measured(value, each={f"seed {seeds[1]}": value} if from_first else {})

        return {"components": average(pairs, r)}

    def every_pair(_: Worlds) -> list[Figure]:
        return [effects_in_two_seeds(AS_TRAINED(dyck, *seeds) for seeds in pairs)]

    judge(measure, figures=[every_pair])
