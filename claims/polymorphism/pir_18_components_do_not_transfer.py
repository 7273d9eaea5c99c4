"""PIR-18: what a component does in one seed does not tell what it does in another.

"Polymorphism Is Rotation" (arXiv 2605.24577), cross-seed Bars C and Pr (one number: Pearson's
r ignores the constant that tells effects from losses): over the components, the effects of
mean ablation in seed 0 and in another seed, its heads matched by the symmetry search,
correlate at 0.52 to 0.69, below the bar of 0.99.  Here every pair of seeds.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from polyrot import bars
from polyrot.bars import component_order, correlation
from polyrot.capabilities import components, figures
from polyrot.experiments.dyck import functions
from polyrot.experiments.dyck.weights import align_models
from polyrot.models.transformer import StackedTransformer
from polyrot.stats.estimate import Estimate, jackknife
from polyrot.suites.draws import draw_seed
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, Printed, negative, positive
from polyrot.verdict.run import Judge

CLAIM = Claim(
    "PIR-18",
    "Component effects do not transfer across seeds",
    "arXiv 2605.24577, cross-seed Bars C and Pr",
    {"dyck3": "r 0.694, 0.541, 0.631, 0.524"},
)
BAR = Bar.below(bars.CAUSAL, "r of component effects")

Effects = Callable[[Suite, int, int], tuple[Tensor, Tensor]]
"""Of a source and a target, their effects by component of the source."""


def as_trained(suite: Suite, source: int, target: int) -> tuple[Tensor, Tensor]:
    return matched(suite, source, suite.models, suite.index(target))


def symmetric_image(suite: Suite, source: int, target: int) -> tuple[Tensor, Tensor]:
    return matched(suite, source, *functions.symmetric_image(suite, source, target))


def matched(
    suite: Suite, source: int, targets: StackedTransformer, target: int
) -> tuple[Tensor, Tensor]:
    index = suite.index(source)
    found = align_models(suite.models, index, targets, target, turn_residual=True)
    order = component_order([layer.heads for layer in found.symmetry.layers])
    return components.effects(suite.models)[index], components.effects(targets)[target][order]


def other_components(suite: Suite, source: int, target: int) -> tuple[Tensor, Tensor]:
    own = components.effects(suite.models)[suite.index(source)]
    generator = torch.Generator().manual_seed(draw_seed(source, target, 24))
    return own, own[torch.randperm(len(own), generator=generator)]


CONTROLS = (
    negative("symmetric image", symmetric_image),
    positive("components in another order", other_components),
)
HARDENED = Measurement(
    CLAIM,
    BAR,
    CONTROLS,
    printed={"dyck3": (Printed((0.694, 0.541, 0.631, 0.524), "seeds 1 to 4 from seed 0"),)},
)


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    def measure(world: Effects = as_trained) -> dict[str, Estimate]:
        values = {}
        for seeds in suite.seed_pairs(ordered=False):
            source, target = world(suite, *seeds)
            values[seeds] = float(correlation(source[None], target[None])[0])
        first = suite.seeds[0]
        from_first = {f"seed {t}": r for (s, t), r in values.items() if s == first}
        return {"components": jackknife(values, details=from_first)}

    def every_pair() -> tuple[Tensor, Tensor]:
        both = [as_trained(suite, *seeds) for seeds in suite.seed_pairs(ordered=False)]
        sources, targets = zip(*both, strict=True)
        return torch.cat(sources), torch.cat(targets)

    judge(
        measure,
        figures=lambda _: [
            figures.against_each_other(
                {"matched components of two seeds": every_pair()},
                name="effects",
                title="What a component does in two seeds",
                caption="A point is a component of a pair of seeds: what its ablation does to the "
                "loss in one and, matched by the symmetry search, in the other.",
                x="effect in the target, nats a token",
                y="effect in the source, nats a token",
            )
        ],
    )
