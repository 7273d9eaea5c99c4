"""SASA-03: one group for each feature is the global minimiser.

"Subspace-Aware Sparse Autoencoders" (arXiv 2606.06333): if the rank of the groups is at least the
dimension of the features, the planted solution, one group for each feature, minimises the
objective.  The features are four orthogonal subspaces of three dimensions, two of them active in
each token, with 1% noise; the SAE has eight groups of rank 3 and no nuclear penalty, so its
objective is the squared error.  The planted solution is constructed.  None of twenty runs from
random weights may end with a lower objective, measured on held-out tokens.  The details also give
where a run ends that starts at the planted solution: it shows whether runs could have got there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean

import pytest
import torch

from polyrot.claim import *
from polyrot.experiments.planted import controls, figures
from polyrot.experiments.planted.plan import STARTS, SUBSPACE, TOO_SMALL
from polyrot.experiments.planted.suite import Dictionaries, Dictionary
from polyrot.sae.metrics import squared_error

CLAIM = Claim(
    "SASA-03",
    "With enough rank one group is the global minimiser",
    "arXiv 2606.06333, global minimiser",
    true_in=("dictionary-groups",),
    false_in=("dictionary-elsewhere",),
)
RUNS = 20


@dataclass(frozen=True)
class Runs:
    """Where the runs on one seed's features end."""

    seed: int
    objectives: list[float]
    planted: float
    """Objective of the planted solution."""

    @classmethod
    def of(cls, runs: list[Dictionary]) -> "Runs":
        first = runs[0]
        return cls(first.seed, list(map(objective, runs)), objective(controls.planted(first)))

    @property
    def excess(self) -> list[float]:
        """Objectives relative to the planted solution's, less 1."""
        return [objective / self.planted - 1 for objective in self.objectives]


World = Callable[[Dictionaries], list[Runs]]


def objective(dictionary: Dictionary) -> float:
    """Squared error summed over dimensions, mean over held-out tokens."""
    return squared_error(dictionary.sae, dictionary.held_out().x)


def from_random_weights(dictionaries: Dictionaries, arm: str) -> list[Runs]:
    by_seed: dict[int, list[Dictionary]] = {}
    for run in dictionaries.dictionaries(STARTS, arm):
        by_seed.setdefault(run.seed, []).append(run)
    return [Runs.of(runs) for runs in by_seed.values()]


def as_trained(dictionaries: Dictionaries) -> list[Runs]:
    return from_random_weights(dictionaries, SUBSPACE)


def rank_below_the_dimension(dictionaries: Dictionaries) -> list[Runs]:
    return from_random_weights(dictionaries, TOO_SMALL)


def from_the_planted(dictionaries: Dictionaries) -> list[Dictionary]:
    return dictionaries.dictionaries(STARTS, SUBSPACE, polished=True)


def near_the_planted(dictionaries: Dictionaries) -> list[Runs]:
    trained = from_the_planted(dictionaries)
    return [Runs.of(controls.near_the_planted(run, RUNS)) for run in trained]


HARDENED = Measurement(
    CLAIM,
    Bar.at_least(0, "lowest objective over the planted one's, less 1"),
    (
        negative("rank below the dimension", rank_below_the_dimension),
        positive("runs near the planted solution", near_the_planted),
    ),
)


def lowest_excess(runs: Runs) -> Measured:
    return Measured(min(runs.excess), means={"objective of the planted solution": runs.planted})


@pytest.mark.measurement(HARDENED)
def test_hardened(dictionaries: Dictionaries, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        seeds = world(dictionaries)
        every = torch.tensor([excess for runs in seeds for excess in runs.excess])
        details = {
            "starts": min(len(runs.objectives) for runs in seeds),
            "median start": float(every.median()),
            "starts within 10%": float((every < 0.1).double().mean()),
        }
        if world is as_trained:
            from_there = [Runs.of([run]).excess[0] for run in from_the_planted(dictionaries)]
            details["a run that starts there"] = mean(from_there)
        return {"starts": average(seeds, lowest_excess, details=details)}

    def where_runs_end() -> dict[int, tuple[list[float], float]]:
        return {runs.seed: (runs.objectives, runs.planted) for runs in as_trained(dictionaries)}

    judge(measure, figures=[lambda _: [figures.objectives(where_runs_end())]])
