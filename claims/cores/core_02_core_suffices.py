"""CORE-02: the core of a Markov transformer is sufficient.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): a model whose state is
reduced to its 3-dimensional core, QQ'h, is as accurate as the whole model (0.7501).  The cores
are extracted from other sequences than the accuracies are measured on.  The details give the
accuracy with the first three principal components instead.
"""

from functools import partial

import pytest

from polyrot.claim import *
from polyrot.cores.ablation import keep
from polyrot.experiments.chains import controls
from polyrot.experiments.chains.controls import Subspace
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
    negative("random subspace", controls.random_subspace),
    negative("last directions of ACE", controls.last_directions),
)
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
        *control_curves(CONTROLS, detail=ALONE),
    ),
)
HARDENED = Measurement(
    CLAIM,
    Bar.at_least(-0.005, "accuracy of the core alone, less that of the whole"),
    CONTROLS,
    printed={"markov": (Printed((0.0,), "0.7501, as whole"),)},
    figures=(KEPT,),
)


def change_in_accuracy(chains: Chains, subspace: Subspace, seed: int) -> Measured:
    models, index = chains.models, chains.index(seed)

    def accuracy_in(subspace: Subspace) -> float:
        return models.accuracy(index, partial(keep, basis=subspace(models, index)))

    alone, whole = accuracy_in(subspace), models.accuracy(index)
    also = {ALONE: alone}
    if subspace is controls.core:
        also |= {WHOLE: whole, COMPONENTS: accuracy_in(controls.principal_components)}
    return Measured(alone - whole, also)


@pytest.mark.measurement(HARDENED)
def test_hardened(chains: Chains, judge: Judge) -> None:
    judge(
        lambda subspace=controls.core: {
            "core": average(chains.seeds, partial(change_in_accuracy, chains, subspace))
        }
    )
