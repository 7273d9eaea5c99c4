"""CORE-03: the core of a Markov transformer is necessary.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): without its
3-dimensional core, h - QQ'h, a model is at chance, one in four.
"""

from functools import partial

import pytest

from polyrot.capabilities import figures
from polyrot.cores.ablation import remove
from polyrot.experiments.chains import controls as subspaces
from polyrot.experiments.chains.controls import Choice
from polyrot.stats.estimate import Estimate, beside, over_seeds
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, Printed, negative
from polyrot.verdict.figure import Figure, Role
from polyrot.verdict.run import MODELS, Judge

CLAIM = Claim(
    "CORE-03",
    "The core is necessary",
    "arXiv 2602.22600, Markov chain",
    {"markov": "chance"},
    true_in=("chain-state",),
    false_in=("chain-loud-voice",),
)
BAR = Bar.at_most(0.30, "accuracy without the core")
CONTROLS = (negative("random subspace removed", subspaces.random_subspace),)
HARDENED = Measurement(CLAIM, BAR, CONTROLS, printed={"markov": (Printed((0.25,), "chance"),)})


def what_is_left(estimates: figures.Worlds) -> list[Figure]:
    curves = [
        ("whole", Role.BESIDE, MODELS, "accuracy of the whole"),
        ("without the core", Role.MODELS, MODELS, ""),
        *((control.name, Role.NEGATIVE, control.name, "") for control in CONTROLS),
    ]
    return [
        figures.by_part(
            estimates,
            curves,
            name="removed",
            title="What is left without it",
            caption="Accuracy of the next state on held-out sequences.",
            y="accuracy",
            bar=BAR,
        )
    ]


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    def measure(choice: Choice = subspaces.own_core) -> dict[str, Estimate]:
        models = suite.chain
        left = {
            seed: models.accuracy(i, partial(remove, basis=choice(models, i)))
            for i, seed in enumerate(suite.seeds)
        }
        whole = over_seeds({seed: models.accuracy(i) for i, seed in enumerate(suite.seeds)})
        return {"core": over_seeds(left, details=beside("accuracy of the whole", whole))}

    judge(measure, figures=what_is_left)
