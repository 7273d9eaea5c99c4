"""CORE-10: the delay of grokking goes as one over the weight decay.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): the number of steps from
mastering the training questions to mastering the held-out ones falls as a power of the weight
decay, with an exponent of -1.02 where the theory predicts -1.  The sweep of six decays and twelve
repetitions takes an hour or more, so its recorded result is judged.  The exponent is fitted for
each repetition separately, on logarithms, over the decays at which it grokked, three or more.
If a repetition did not grok at some decay, a delay longer than the training is missing, and
nothing is decided.
"""

from collections import defaultdict
from math import log
from statistics import mean

import numpy as np
import pytest

from polyrot.claim import *
from polyrot.experiments.addition import figures
from polyrot.experiments.addition.controls import as_recorded, in_another_order, power_law
from polyrot.experiments.addition.models import Delays
from polyrot.experiments.addition.sweep import DelaysByDecay

CLAIM = Claim(
    "CORE-10",
    "The delay of grokking goes as one over the weight decay",
    "arXiv 2602.22600, grokking",
    {"modular-addition": "exponent -1.02"},
    true_in=("delay-inverse",),
    false_in=("delay-root", "delay-square", "delay-flat"),
)
HARDENED = Measurement(
    CLAIM,
    Bar.between(-1.2, -0.8, "fitted exponent"),
    (
        negative("delays in another order", in_another_order),
        negative("one over the root of the decay", power_law(-0.5)),
        positive("one over the decay", power_law(-1.0)),
    ),
    printed={"modular-addition": (Printed((-1.02,), "six decays"),)},
)


def mean_exponent(delays: DelaysByDecay) -> Estimate:
    """The exponent, averaged over the repetitions that grokked at three decays or more.

    The details give the published number: one exponent, fitted to the mean delay at every decay.
    """
    details: dict[str, float] = {}
    points: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)
    for decay, steps in delays.items():
        known = {repetition: delay for repetition, delay in enumerate(steps) if delay is not None}
        details[f"grokked at {decay:g}"] = len(known)
        if known:
            details[f"mean steps at {decay:g}"] = mean(known.values())
        for repetition, delay in known.items():
            points[repetition].append((log(decay), log(delay)))

    def fitted(to: list[tuple[float, float]]) -> float:
        decays, steps = np.array(to).T
        return float(np.polyfit(decays, steps, 1)[0])

    enough = [repetition for repetition in sorted(points) if len(points[repetition]) >= 3]
    if not enough:
        raise NotRun("no repetition of the sweep grokked at three decays")
    of_means = [
        (log(decay), log(mean(delay for delay in steps if delay is not None)))
        for decay, steps in delays.items()
        if any(delay is not None for delay in steps)
    ]
    details["exponent of the mean delays"] = fitted(of_means)
    return average(enough, lambda repetition: fitted(points[repetition]), details=details)


def missing(delays: DelaysByDecay) -> str:
    """Say at which decays repetitions did not grok; empty if all did."""
    counts = {decay: (steps.count(None), len(steps)) for decay, steps in delays.items()}
    told = [f"{lost} of {total} at {decay:g}" for decay, (lost, total) in counts.items() if lost]
    return f"repetitions did not grok: {', '.join(told)}" if told else ""


@pytest.mark.measurement(HARDENED)
def test_hardened(delays: Delays, judge: Judge) -> None:
    judge(
        lambda world=as_recorded: {"exponent": mean_exponent(world(delays.delays))},
        figures=[lambda _: figures.delays(delays.delays)],
        proxy=missing(delays.delays),
    )
