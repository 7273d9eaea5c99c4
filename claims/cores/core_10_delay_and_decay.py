"""CORE-10: the delay of grokking goes as one over the weight decay.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): the number of steps from
mastering the training questions to mastering the held-out ones falls as a power of the weight
decay, with an exponent of -1.02 where the theory says -1.  The sweep of six decays and twelve
repetitions takes hours; what is judged is its recorded result.  The exponent is fitted to each
repetition by itself, on logarithms; one that did not grok at some decay is fitted to the others.
"""

from collections.abc import Callable, Mapping
from math import log

import numpy as np
import pytest

from polyrot.stats.estimate import Estimate, over_seeds
from polyrot.suites import core_figures
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, Printed, negative, positive
from polyrot.verdict.run import Judge

CLAIM = Claim(
    "CORE-10",
    "The delay of grokking goes as one over the weight decay",
    "arXiv 2602.22600, grokking",
    {"modular-addition": "exponent -1.02"},
)

Delays = Mapping[float, list[int | None]]
"""Steps of every repetition, by weight decay."""
World = Callable[[Suite], Delays]


def as_trained(suite: Suite) -> Delays:
    return suite.delays


def in_another_order(suite: Suite) -> Delays:
    """The delays of one decay are said of another."""
    own = suite.delays
    order = np.random.default_rng(71).permutation(len(own))
    values = list(own.values())
    return {decay: values[i] for decay, i in zip(own, order, strict=True)}


def one_over_the_root(suite: Suite) -> Delays:
    return planted(suite, power=-0.5)


def one_over(suite: Suite) -> Delays:
    return planted(suite, power=-1.0)


def planted(suite: Suite, *, power: float) -> Delays:
    """A power law with the scatter of a tenth, as many repetitions as there are."""
    rng = np.random.default_rng(72)
    own = suite.delays
    return {
        decay: [max(1, round(2_000 * decay**power * rng.lognormal(0, 0.1))) for _ in steps]
        for decay, steps in own.items()
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
            (log(decay), log(steps[repetition] or 1))
            for decay, steps in delays.items()
            if steps[repetition]
        ]
        if len(points) >= 3:
            x, y = np.array(points).T
            found[repetition] = float(np.polyfit(x, y, 1)[0])
    return found


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        delays = world(suite)
        details = {
            f"grokked at {decay:g}": float(sum(step is not None for step in steps))
            for decay, steps in delays.items()
        }
        return {"exponent": over_seeds(exponents(delays), details=details)}

    judge(measure, figures=lambda estimates: core_figures.delays(suite.delays))
