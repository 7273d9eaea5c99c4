"""PIR-19: the bars catch a decoy.

"Polymorphism Is Rotation" (arXiv 2605.24577): averaging the rows of a model's depth
unembedding in pairs multiplies its divergence from the algorithm by 977 and changes its weights
by 0.357, so it fails Bars B and P.  A second decoy exchanges the two blocks.  The margins are in
decades: how far the ratio of Bar B, decoy over model, is above 100, and Bar P above 1e-3.
"""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

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
FACTOR = 100
HARDENED = Measurement(
    CLAIM,
    Bar.above(0.0, f"decades of Bar B's ratio above {FACTOR}, and of Bar P above 1e-3"),
    (
        negative("the real model", lambda state: state),
        positive("random unembedding", controls.random_depth_unembedding),
    ),
    printed={
        "dyck3": (
            Printed((math.log10(977 / FACTOR),), "977 times", ("averaged rows, Bar B",)),
            Printed((math.log10(0.357 / bars.PARAMETRIC),), "MSE 0.357", ("averaged rows, Bar P",)),
        )
    },
)
SEQUENCES = 2_048


def margins(dyck: DyckModels, name: str, change: Callable[[State], State]) -> dict[str, Estimate]:
    """By how much decoys, the models with their weights changed, fail both bars."""
    decoys = functions.changed_models(dyck, change)
    divergence, real = (
        functions.divergence_from_labels(models, SEQUENCES) for models in (decoys, dyck.models)
    )
    moved = [align_models(dyck.models, i, decoys, i).worst for i in range(len(dyck.seeds))]
    return {
        f"{name}, Bar B": decades_above(FACTOR, divergence / real, dyck),
        f"{name}, Bar P": decades_above(
            bars.PARAMETRIC, torch.tensor(moved, dtype=torch.float64), dyck
        ),
    }


def decades_above(threshold: float, by_seed: Tensor, dyck: DyckModels) -> Estimate:
    """Decades above a threshold, averaged over seeds; also the mean and least themselves."""
    # Zero has no logarithm.
    decades = (by_seed / threshold).clamp(min=1e-30).log10().tolist()
    values = dict(zip(dyck.seeds, decades, strict=True))
    details = {"mean": float(by_seed.mean()), "least": float(by_seed.min())}
    return average(values, values.__getitem__, details=details)


@pytest.mark.measurement(HARDENED)
def test_hardened(dyck: DyckModels, judge: Judge) -> None:
    judge(
        lambda world=None: (
            margins(dyck, "averaged rows", world or functions.averaged_depths)
            | margins(dyck, "swapped blocks", world or functions.swapped_blocks)
        )
    )
