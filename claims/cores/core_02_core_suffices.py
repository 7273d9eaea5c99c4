"""CORE-02: the core of a Markov transformer is sufficient.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): a model whose state is
reduced to its 3-dimensional core, QQ'h, is as accurate as the whole model (0.7501).  The cores
are extracted from other sequences than the accuracies are measured on.  The details give the
accuracy with the first three principal components instead.  In the positive control, models are
planted that read the present state, and nothing else, in three known dimensions.
"""

from collections.abc import Callable
from functools import partial

import pytest

from polyrot.claim import *
from polyrot.cores.ablation import keep
from polyrot.experiments.chains import controls
from polyrot.experiments.chains.controls import Ablated, Basis, ablated
from polyrot.experiments.chains.models import Chains

CLAIM = Claim(
    "CORE-02",
    "The core is sufficient",
    "arXiv 2602.22600, Markov chain",
    {"markov": "0.7501 with the core alone, as whole"},
    true_in=("chain-state",),
    false_in=("chain-loud-voice", "chain-needs-its-mean"),
)
CONTROLS = (
    negative("random subspace", ablated(controls.random_subspace)),
    negative("last directions of ACE", ablated(controls.last_directions)),
    positive("a planted core", controls.planted_ablated),
)
IN_THE_CORE = ablated(controls.core)
ALONE, WHOLE, COMPONENTS = "accuracy", "accuracy of the whole", "accuracy of principal components"
KEPT = ByPart(
    "kept",
    title="What alone is enough",
    caption="Accuracy of the next state on held-out sequences when everything else is removed.",
    y="accuracy",
    curves=(
        Curve("whole", Role.BESIDE, detail=WHOLE),
        Curve("core", Role.MODELS, detail=ALONE),
        Curve("principal components", Role.BESIDE, detail=COMPONENTS),
        *control_curves(CONTROLS[:2], detail=ALONE),
    ),
)
HARDENED = Measurement(
    CLAIM,
    Bar.at_least(-0.005, "accuracy of the core alone, less that of the whole"),
    CONTROLS,
    printed={"markov": (Printed((0.0,), "0.7501, as whole"),)},
    figures=(KEPT,),
)


def change_in_accuracy(chains: Chains, world: Ablated, *, details: bool, seed: int) -> Measured:
    models, index = world.models, chains.index(seed)

    def accuracy_in(basis: Basis) -> float:
        return models.accuracy(index, partial(keep, basis=basis))

    alone, whole = accuracy_in(world.bases[index]), models.accuracy(index)
    also = {ALONE: alone}
    if details:
        components = accuracy_in(controls.principal_components(models, index))
        also |= {WHOLE: whole, COMPONENTS: components}
    return Measured(alone - whole, also)


@pytest.mark.measurement(HARDENED)
def test_hardened(chains: Chains, judge: Judge) -> None:
    def measure(world: Callable[[Chains], Ablated] = IN_THE_CORE) -> dict[str, Estimate]:
        change = partial(change_in_accuracy, chains, world(chains), details=world is IN_THE_CORE)
        return {"core": average(chains.seeds, lambda seed: change(seed=seed))}

    judge(measure)
