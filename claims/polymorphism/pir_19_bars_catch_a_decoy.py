"""PIR-19: the bars catch a decoy.

"Polymorphism Is Rotation" (arXiv 2605.24577): averaging the rows of a model's depth
unembedding in pairs makes its divergence from the algorithm 977 times as large and moves its
weights by 0.357, so that Bars B and P miss it.  A second decoy exchanges the two blocks.
The margins are decades: of (Bar B of decoy / model) above 100, and of Bar P above 1e-3.
"""

import math
from collections.abc import Callable

import pytest
import torch

from polyrot import bars
from polyrot.experiments.dyck import functions
from polyrot.experiments.dyck.weights import align_models
from polyrot.models.transformer import State
from polyrot.stats.estimate import Estimate, jackknife
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, Printed, negative, positive
from polyrot.verdict.run import Judge

CLAIM = Claim(
    "PIR-19",
    "The bars catch a decoy",
    "arXiv 2605.24577, adversarial decoy",
    {"dyck3": "Bar B 977 times the model's; Bar P 0.357"},
)
FACTOR = 100
BAR = Bar.above(0.0, f"decades of Bar B's ratio above {FACTOR}, and of Bar P above 1e-3")
SEQUENCES = 2_048
NOTHING = 1e-30
"""Stands for a difference of zero, of which there is no logarithm."""

Change = Callable[[State], State]
DECOYS: dict[str, Change] = {
    "averaged rows": functions.averaged_depths,
    "swapped blocks": functions.swapped_blocks,
}


def nothing(state: State) -> State:
    """The real model in the decoy's place."""
    return state


def without_depth(state: State) -> State:
    """A decoy beyond doubt: its depth unembedding is that of no model."""
    generator = torch.Generator().manual_seed(25)
    depth = state["W_U_depth"]
    noise = 3 * depth.std() * torch.randn(depth.shape, generator=generator)
    return {**state, "W_U_depth": noise}


CONTROLS = (
    negative("the real model", nothing),
    positive("random unembedding", without_depth),
)
HARDENED = Measurement(
    CLAIM,
    BAR,
    CONTROLS,
    printed={
        "dyck3": (
            Printed((math.log10(977 / FACTOR),), "977 times", ("averaged rows, Bar B",)),
            Printed((math.log10(0.357 / bars.PARAMETRIC),), "MSE 0.357", ("averaged rows, Bar P",)),
        )
    },
)


def margins(suite: Suite, name: str, change: Change) -> dict[str, Estimate]:
    """Decades above both bars, of one decoy of every seed."""
    decoys = functions.changed_models(suite, change)
    divergence, real = (
        functions.divergence_from_labels(models, SEQUENCES) for models in (decoys, suite.models)
    )
    moved = torch.tensor(
        [align_models(suite.models, i, decoys, i).worst for i in range(len(suite.seeds))],
        dtype=torch.float64,
    )
    columns = {
        f"{name}, Bar B": (divergence / real, divergence / real / FACTOR),
        f"{name}, Bar P": (moved, moved / bars.PARAMETRIC),
    }
    return {
        part: jackknife(
            {
                (s, s): float(v)
                for s, v in zip(suite.seeds, above.clamp(min=NOTHING).log10(), strict=True)
            },
            details={"mean": float(raw.mean()), "least": float(raw.min())},
        )
        for part, (raw, above) in columns.items()
    }


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    def measure(world: Change | None = None) -> dict[str, Estimate]:
        estimates: dict[str, Estimate] = {}
        for name, decoy in DECOYS.items():
            estimates |= margins(suite, name, world or decoy)
        return estimates

    judge(measure)
