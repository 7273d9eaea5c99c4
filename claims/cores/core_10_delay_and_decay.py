"""CORE-10: the delay of grokking goes as one over the weight decay.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): the number of steps from
mastering the training questions to mastering the held-out ones falls as a power of the weight
decay, with an exponent of -1.02 where the theory says -1.  The sweep of six decays and twelve
repetitions takes an hour or more; what is judged is its recorded result.  The exponent is fitted
to each repetition by itself, on logarithms, over the decays at which it grokked, three or more.
Where one did not grok at some decay, a delay that is longer than the training is missing: then
nothing is decided.
"""

from collections.abc import Callable, Mapping
from math import log
from statistics import mean

import numpy as np
import pytest

from polyrot.errors import NotRun
from polyrot.experiments.chains import figures as core_figures
from polyrot.stats.estimate import Estimate, over_seeds
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, Printed, negative, positive
from polyrot.verdict.run import Judge

CLAIM = Claim(
    "CORE-10",
    "The delay of grokking goes as one over the weight decay",
    "arXiv 2602.22600, grokking",
    {"modular-addition": "exponent -1.02"},
    true_in=("delay-inverse",),
    false_in=("delay-root", "delay-square", "delay-flat"),
)

Delays = Mapping[float, list[int | None]]
"""Steps of every repetition, by weight decay."""
World = Callable[[Suite], Delays]


def as_trained(suite: Suite) -> Delays:
    return suite.delays


def in_another_order(suite: Suite) -> Delays:
    """The delays of every repetition are said of the decays in an order of its own."""
    rng = np.random.default_rng(71)
    own = suite.delays
    repetitions = list(zip(*own.values(), strict=True))
    orders = [rng.permutation(len(own)) for _ in repetitions]
    return {
        decay: [steps[order[i]] for steps, order in zip(repetitions, orders, strict=True)]
        for i, decay in enumerate(own)
    }


def one_over_the_root(suite: Suite) -> Delays:
    return planted(suite, power=-0.5)


def one_over(suite: Suite) -> Delays:
    return planted(suite, power=-1.0)


def planted(suite: Suite, *, power: float) -> Delays:
    """A power law with the scatter of a tenth, for the repetitions that grokked."""
    rng = np.random.default_rng(72)
    return {
        decay: [
            None if own is None else round(2_000 * decay**power * rng.lognormal(0, 0.1))
            for own in steps
        ]
        for decay, steps in suite.delays.items()
    }


HARDENED = Measurement(
    CLAIM,
    Bar.between(-1.2, -0.8, "fitted exponent"),
    (
        negative("delays in another order", in_another_order),
        negative("one over the root of the decay", one_over_the_root),
        positive("one over the decay", one_over),
    ),
    printed={"modular-addition": (Printed((-1.02,), "six decays"),)},
)


def exponents(delays: Delays) -> dict[int, float]:
    """Of every repetition that grokked at three decays or more."""
    found = {}
    for repetition in range(len(next(iter(delays.values())))):
        points = [
            (log(decay), log(own))
            for decay, steps in delays.items()
            if (own := steps[repetition]) is not None
        ]
        if len(points) >= 3:
            x, y = np.array(points).T
            found[repetition] = float(np.polyfit(x, y, 1)[0])
    if not found:
        raise NotRun("no repetition of the sweep grokked at three decays")
    return found


def missing(delays: Delays) -> str:
    """Say at which decays repetitions did not grok; empty if all did."""
    short = {decay: steps.count(None) for decay, steps in delays.items()}
    said = [
        f"{count} of {len(delays[decay])} at {decay:g}" for decay, count in short.items() if count
    ]
    return f"repetitions did not grok: {', '.join(said)}" if said else ""


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        delays = world(suite)
        details: dict[str, float] = {}
        for decay, steps in delays.items():
            grokked = [own for own in steps if own is not None]
            details[f"grokked at {decay:g}"] = len(grokked)
            if grokked:
                details[f"mean steps at {decay:g}"] = mean(grokked)
        return {"exponent": over_seeds(exponents(delays), details=details)}

    judge(
        measure,
        figures=lambda estimates: core_figures.delays(suite.delays),
        proxy=missing(suite.delays),
    )
