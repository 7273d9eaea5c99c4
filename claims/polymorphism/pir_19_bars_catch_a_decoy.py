"""PIR-19: the bars catch a decoy.

"Polymorphism Is Rotation" (arXiv 2605.24577): averaging the rows of a model's depth
unembedding in pairs multiplies its divergence from the algorithm by 977 and changes its weights
by 0.357, so it fails Bars B and P.  A second decoy exchanges the two blocks.  Bar B is judged as
the ratio of the decoy's to the model's, at least 100; Bar P must be above 1e-3.
"""

from collections.abc import Callable

import pytest

from polyrot import bars
from polyrot.claim import *
from polyrot.experiments.dyck import controls, functions
from polyrot.experiments.dyck.suite import DyckModels
from polyrot.experiments.dyck.weights import align_models
from polyrot.models.transformer import State

CLAIM = Claim(
    "PIR-19",
    "The bars catch a decoy",
    "arXiv 2605.24577, adversarial decoy",
    {"dyck3": "Bar B 977 times the model's; Bar P 0.357"},
)
RATIO = Bar.at_least(100, "Bar B of the decoy / the model", scale=Scale.LOG)
HARDENED = Measurement(
    CLAIM,
    RATIO,
    (
        negative("the real model", lambda state: state),
        positive("random unembedding", controls.random_depth_unembedding),
    ),
    printed={
        "dyck3": (
            Printed((977.0,), "times", ("averaged rows, Bar B",)),
            Printed((0.357,), "MSE", ("averaged rows, Bar P",)),
        )
    },
    part_bars={"Bar P": Bar.above(bars.PARAMETRIC, "largest MSE of any tensor", scale=Scale.LOG)},
)
SEQUENCES = 2_048


def both_bars(dyck: DyckModels, name: str, change: Callable[[State], State]) -> dict[str, Estimate]:
    """By how much decoys, the models with their weights changed, fail both bars."""
    decoys = functions.changed_models(dyck, change)
    divergence, real = (
        functions.divergence_from_labels(models, SEQUENCES) for models in (decoys, dyck.models)
    )
    moved = [align_models(dyck.models, i, decoys, i).worst for i in range(len(dyck.seeds))]
    return {
        f"{name}, Bar B": over_seeds(dyck, (divergence / real).tolist()),
        f"{name}, Bar P": over_seeds(dyck, moved),
    }


def over_seeds(dyck: DyckModels, by_seed: list[float]) -> Estimate:
    values = dict(zip(dyck.seeds, by_seed, strict=True))
    return average(values, lambda seed: Measured(values[seed], lowest={"least": values[seed]}))


@pytest.mark.measurement(HARDENED)
def test_hardened(dyck: DyckModels, judge: Judge) -> None:
    judge(
        lambda world=None: (
            both_bars(dyck, "averaged rows", world or functions.averaged_depths)
            | both_bars(dyck, "swapped blocks", world or functions.swapped_blocks)
        )
    )
