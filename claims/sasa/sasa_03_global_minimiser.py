"""SASA-03: one group for each feature is the global minimiser.

"Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333): if the rank of the groups is at least the
dimension of the features, the planted solution, one group for each feature, minimises the
objective.  The features are four orthogonal subspaces of three dimensions, two of them active in
each token, with 1% noise; the SAE has eight groups of rank 3 and no nuclear penalty, so its
objective is the squared error.  The planted solution is constructed.  None of twenty runs from
random weights may end with a lower objective, measured on held-out tokens.  The details also give
where a run ends that starts at the planted solution: it shows whether runs could have got there.
"""

from collections.abc import Callable, Iterable, Mapping
from statistics import mean

import pytest
import torch

from polyrot.claim import *
from polyrot.experiments.planted import controls, figures
from polyrot.experiments.planted.plan import STARTS, SUBSPACE, TOO_SMALL
from polyrot.experiments.planted.suite import Dictionaries, Dictionary

CLAIM = Claim(
    "SASA-03",
    "With enough rank one group is the global minimiser",
    "arXiv 2606.06333, global minimiser",
    true_in=("dictionary-groups",),
    false_in=("dictionary-elsewhere",),
)
World = Callable[[Dictionaries], list[Dictionary]]


def as_trained(dictionaries: Dictionaries) -> list[Dictionary]:
    return dictionaries.dictionaries(STARTS, SUBSPACE)


def from_the_planted(dictionaries: Dictionaries) -> list[Dictionary]:
    return dictionaries.dictionaries(STARTS, SUBSPACE, polished=True)


def near_the_planted(dictionaries: Dictionaries) -> list[Dictionary]:
    runs = from_the_planted(dictionaries)
    return [near for run in runs for near in controls.near_the_planted(run, 20)]


HARDENED = Measurement(
    CLAIM,
    Bar.at_least(0, "lowest objective over the planted one's, less 1"),
    (
        negative("rank below the dimension", lambda saes: saes.dictionaries(STARTS, TOO_SMALL)),
        positive("runs near the planted solution", near_the_planted),
    ),
)


def objectives(runs: Iterable[Dictionary]) -> dict[int, tuple[list[float], float]]:
    """By seed of the features: the objectives of its runs, and of the planted solution."""
    found: dict[int, tuple[list[float], float]] = {}
    for run in runs:
        if run.seed not in found:
            found[run.seed] = [], controls.planted(run).objective()
        found[run.seed][0].append(run.objective())
    return found


def excess(ends: Mapping[int, tuple[list[float], float]]) -> dict[int, list[float]]:
    """By seed: the objectives of its runs relative to the planted solution's, less 1."""
    return {seed: [one / planted - 1 for one in runs] for seed, (runs, planted) in ends.items()}


@pytest.mark.measurement(HARDENED)
def test_hardened(dictionaries: Dictionaries, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        ends = objectives(world(dictionaries))
        over = excess(ends)
        every = torch.tensor([one for runs in over.values() for one in runs])
        details = {
            "starts": min(map(len, over.values())),
            "median start": float(every.median()),
            "starts within 10%": float((every < 0.1).double().mean()),
        }
        if world is as_trained:
            there = excess(objectives(from_the_planted(dictionaries)))
            details["a run that starts there"] = mean(runs[0] for runs in there.values())

        def lowest(seed: int) -> Measured:
            planted = {"objective of the planted solution": ends[seed][1]}
            return Measured(min(over[seed]), means=planted)

        return {"starts": average(over, lowest, details=details)}

    judge(measure, figures=[lambda _: [figures.objectives(objectives(as_trained(dictionaries)))]])
