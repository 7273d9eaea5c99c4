"""CORE-02: the core of a Markov transformer is sufficient.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): with nothing of its
state but the 3-dimensional core, QQ'h, a model is as accurate as whole (0.7501).  Cores and
accuracies are of different sequences.  The details hold what as many principal components keep.
"""

from functools import partial

import pytest

from polyrot.capabilities import figures
from polyrot.cores.ablation import keep
from polyrot.experiments.chains import controls as subspaces
from polyrot.experiments.chains.controls import Choice
from polyrot.stats.estimate import Estimate, beside, over_seeds
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, Printed, negative
from polyrot.verdict.figure import Figure, Role
from polyrot.verdict.run import MODELS, Judge

CLAIM = Claim(
    "CORE-02",
    "The core is sufficient",
    "arXiv 2602.22600, Markov chain",
    {"markov": "0.7501 with the core alone, as whole"},
    true_in=("chain-state",),
    false_in=("chain-loud-voice", "chain-needs-its-mean"),
)
CONTROLS = (
    negative("random subspace", subspaces.random_subspace),
    negative("last directions of ACE", subspaces.last_directions),
)
HARDENED = Measurement(
    CLAIM,
    Bar.at_least(-0.005, "accuracy of the core alone, less that of the whole"),
    CONTROLS,
    printed={"markov": (Printed((0.0,), "0.7501, as whole"),)},
)


def kept_accuracy(suite: Suite, choice: Choice) -> dict[int, float]:
    models = suite.chain
    return {
        seed: models.accuracy(i, partial(keep, basis=choice(models, i)))
        for i, seed in enumerate(suite.seeds)
    }


def what_is_kept(estimates: figures.Worlds) -> list[Figure]:
    curves = [
        ("whole", Role.BESIDE, MODELS, "accuracy of the whole"),
        ("core", Role.MODELS, MODELS, "accuracy"),
        ("principal components", Role.BESIDE, MODELS, "accuracy of principal components"),
        *((control.name, Role.NEGATIVE, control.name, "accuracy") for control in CONTROLS),
    ]
    return [
        figures.by_part(
            estimates,
            curves,
            name="kept",
            title="What alone is enough",
            caption="Accuracy of the next state on held-out sequences when all else is removed.",
            y="accuracy",
        )
    ]


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    def measure(choice: Choice = subspaces.own_core) -> dict[str, Estimate]:
        whole = {seed: suite.chain.accuracy(i) for i, seed in enumerate(suite.seeds)}
        kept = kept_accuracy(suite, choice)
        details = beside("accuracy", over_seeds(kept))
        if choice is subspaces.own_core:
            details |= beside("accuracy of the whole", over_seeds(whole))
            components = kept_accuracy(suite, subspaces.principal_components)
            details |= beside("accuracy of principal components", over_seeds(components))
        lost = {seed: kept[seed] - whole[seed] for seed in suite.seeds}
        return {"core": over_seeds(lost, details=details)}

    judge(measure, figures=what_is_kept)
