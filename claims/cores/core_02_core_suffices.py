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
HARDENED = Measurement(
    CLAIM,
    Bar.at_least(-0.005, "accuracy of the core alone, less that of the whole"),
    CONTROLS,
    printed={"markov": (Printed((0.0,), "0.7501, as whole"),)},
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


def accuracy_alone(chains: Chains, seed: int, subspace: Subspace) -> float:
    models, index = chains.chain, chains.index(seed)
    return models.accuracy(index, partial(keep, basis=subspace(models, index)))


def change_in_accuracy(chains: Chains, subspace: Subspace) -> dict[str, Estimate]:
    def measure(seed: int) -> Measured:
        alone = accuracy_alone(chains, seed, subspace)
        whole = chains.chain.accuracy(chains.index(seed))
        also = {ALONE: alone}
        if subspace is controls.core:
            components = accuracy_alone(chains, seed, controls.principal_components)
            also |= {WHOLE: whole, COMPONENTS: components}
        return Measured(alone - whole, also)

    return {"core": average(chains.seeds, measure)}


@pytest.mark.measurement(HARDENED)
def test_hardened(chains: Chains, judge: Judge) -> None:
    judge(
        lambda subspace=controls.core: change_in_accuracy(chains, subspace),
        figures=[KEPT],
    )
