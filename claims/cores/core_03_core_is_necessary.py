"""CORE-03: the core of a Markov transformer is necessary.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): without its
3-dimensional core, h - QQ'h, a model is at chance, one in four.  In the positive control, models
are planted that read the present state, and nothing else, in three known dimensions.
"""

from functools import partial

import pytest

from polyrot.claim import *
from polyrot.cores.ablation import remove
from polyrot.experiments.chains import controls
from polyrot.experiments.chains.controls import Ablated, ablated
from polyrot.experiments.chains.models import Chains

CLAIM = Claim(
    "CORE-03",
    "The core is necessary",
    "arXiv 2602.22600, Markov chain",
    {"markov": "chance"},
    true_in=("chain-state",),
    false_in=("chain-loud-voice",),
)
BAR = Bar.at_most(0.30, "accuracy without the core", scale=Scale.LOGIT)
CONTROLS = (
    negative("random subspace removed", ablated(controls.random_subspace)),
    positive("a planted core removed", controls.planted_ablated),
)
WHOLE = "accuracy of the whole"
REMOVED = ByPart(
    "removed",
    title="Accuracy without the core",
    caption="Accuracy of the next state on held-out sequences.",
    y="accuracy",
    curves=(
        Curve("whole", Role.BESIDE, detail=WHOLE),
        Curve("without the core", Role.MODELS),
        *control_curves(CONTROLS[:1]),
    ),
    bar=BAR,
)
HARDENED = Measurement(
    CLAIM,
    BAR,
    CONTROLS,
    printed={"markov": (Printed((0.25,), "chance"),)},
    figures=(REMOVED,),
)


def accuracy_without(chains: Chains, world: Ablated, seed: int) -> Measured:
    models, index = world.models, chains.index(seed)
    without = models.accuracy(index, partial(remove, basis=world.bases[index]))
    return Measured(without, also={WHOLE: models.accuracy(index)})


@pytest.mark.measurement(HARDENED)
def test_hardened(chains: Chains, judge: Judge) -> None:
    judge(
        lambda world=ablated(controls.core): {
            "core": average(chains.seeds, partial(accuracy_without, chains, world(chains)))
        }
    )
