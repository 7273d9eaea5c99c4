"""CORE-06: the core carries the chain's spectrum.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): the least-squares map
from one position's core coordinates to the next one's has the eigenvalues of the chain, the
Perron one excluded, to less than 1%, and explains more than 0.98 of what the chain's own states
explain of the next.  The map is fitted on other sequences than it is scored on.  The chain's
states themselves, one-hot on the same sequences, show what chance leaves of the 1%.
"""

from collections.abc import Callable

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from polyrot.cores.comparison import consensus
from polyrot.cores.dynamics import Dynamics, fit_dynamics
from polyrot.errors import NotRun
from polyrot.experiments.chains import controls as subspaces
from polyrot.experiments.chains import figures as core_figures
from polyrot.experiments.chains.controls import Choice
from polyrot.experiments.chains.models import ChainModels
from polyrot.stats.estimate import Estimate, beside, over_seeds
from polyrot.suites.suite import Suite
from polyrot.verdict.bar import Bar
from polyrot.verdict.claim import Claim, Measurement, Printed, negative, positive
from polyrot.verdict.figure import Figure, Role
from polyrot.verdict.run import Judge

CLAIM = Claim(
    "CORE-06",
    "The core carries the chain's spectrum",
    "arXiv 2602.22600, Markov chain",
    {"markov": "eigenvalues < 1%; R2 > 0.98 of the oracle's"},
    true_in=("chain-state",),
    false_in=("chain-out-of-order",),
)
TOLERANCE, LEAST = 0.01, 0.98
LEAST_EIGENVALUE = 1e-9
"""Below it is rounding."""
R2 = "R2"
BAR = Bar.at_least(0.0, f"eigenvalues inside {TOLERANCE:.0%}, and R2 / oracle above {LEAST}")

World = Callable[[Suite], list[tuple[Dynamics, float]]]
"""Of every seed: the fitted dynamics, and the R2 on held-out sequences."""


def dynamics(
    models: ChainModels, choice: Choice = subspaces.own_core
) -> list[tuple[Dynamics, float]]:
    result = []
    for i, x in enumerate(models.activations):
        z = x.double() @ choice(models, i)
        fitted = fit_dynamics(z[~models.held_out])
        result.append((fitted, fitted.score(z[models.held_out])))
    return result


def as_trained(suite: Suite) -> list[tuple[Dynamics, float]]:
    return dynamics(suite.chain)


def untrained(suite: Suite) -> list[tuple[Dynamics, float]]:
    return dynamics(suite.untrained_chain)


def random_subspace(suite: Suite) -> list[tuple[Dynamics, float]]:
    return dynamics(suite.chain, subspaces.random_subspace)


def own_states(suite: Suite) -> list[tuple[Dynamics, float]]:
    """The states that the models are to predict, one-hot but for the last: they sum to one."""
    models = suite.chain
    states = torch.nn.functional.one_hot(models.targets, models.chain.states)[..., :-1].double()
    fitted = fit_dynamics(states[~models.held_out])
    return [(fitted, fitted.score(states[models.held_out]))] * len(suite.seeds)


CONTROLS = (
    negative("random subspace", random_subspace),
    negative("untrained model", untrained),
    positive("the chain's own states", own_states),
)
HARDENED = Measurement(
    CLAIM,
    BAR,
    CONTROLS,
    printed={
        "markov": (
            Printed((0.0, TOLERANCE), "less than 1%", ("0.75 +- 0.25i", "0.50"), ends=True),
            Printed((0.0, 1 - LEAST), "above 0.98", (R2,), ends=True),
        )
    },
)


def relative_errors(found: Tensor, true: Tensor) -> dict[str, float]:
    """Of each true eigenvalue, from the found one that it is matched with; 1 where none is left.

    The two of a complex pair are one part, with the larger of their errors.
    """
    missing = max(0, len(true) - len(found))
    padded = torch.cat([found, torch.zeros(missing, dtype=found.dtype)])
    distances = (padded[:, None] - true[None]).abs() / true.abs()
    rows, columns = linear_sum_assignment(distances.numpy())
    errors: dict[str, float] = {}
    for row, column in zip(rows, columns, strict=True):
        name = named(complex(true[column]))
        errors[name] = max(errors.get(name, 0.0), float(distances[row, column]))
    return errors


def named(eigenvalue: complex) -> str:
    imaginary = f" +- {abs(eigenvalue.imag):.2f}i" if abs(eigenvalue.imag) > 1e-9 else ""
    return f"{eigenvalue.real:.2f}{imaginary}"


def of_the_consensus(suite: Suite) -> dict[str, float]:
    """The relative errors of what all cores have in common, which no single model has."""
    models = suite.chain
    cores = [x.double() @ subspaces.own_core(models, i) for i, x in enumerate(models.activations)]
    held = [core[models.held_out].flatten(0, 1) for core in cores]
    shared, _ = consensus(held, rank=models.chain.states - 1)
    fitted = fit_dynamics(shared.view(int(models.held_out.sum()), -1, shared.shape[1]))
    return relative_errors(fitted.eigenvalues, models.chain.spectrum)


def in_the_plane(suite: Suite) -> list[Figure]:
    worlds = {
        ("cores", Role.MODELS): as_trained,
        ("random subspaces", Role.NEGATIVE): random_subspace,
        ("untrained models", Role.NEGATIVE): untrained,
    }
    values = {
        drawn: [fitted.eigenvalues for fitted, _ in world(suite)] for drawn, world in worlds.items()
    }
    return [
        core_figures.eigenvalues(
            {("the chain", Role.POSITIVE): [suite.chain.chain.spectrum], **values},
            caption="Of the least-squares map from one position's coordinates to the next one's, "
            "every seed.",
        )
    ]


@pytest.mark.measurement(HARDENED)
def test_hardened(suite: Suite, judge: Judge) -> None:
    def measure(world: World = as_trained) -> dict[str, Estimate]:
        chain = suite.chain.chain
        if float(chain.spectrum.abs().min()) < LEAST_EIGENVALUE:
            raise NotRun("an eigenvalue of the chain is zero, and no share of it can be missed")
        found = dict(zip(suite.seeds, world(suite), strict=True))
        errors = {
            seed: relative_errors(own.eigenvalues, chain.spectrum)
            for seed, (own, _) in found.items()
        }
        shared = of_the_consensus(suite) if world is as_trained else {}
        estimates = {}
        for name in errors[suite.seeds[0]]:
            own = {seed: by_name[name] for seed, by_name in errors.items()}
            details = beside("relative error", over_seeds(own))
            details |= {"relative error of the consensus": shared[name]} if shared else {}
            margins = {seed: TOLERANCE - error for seed, error in own.items()}
            estimates[name] = over_seeds(margins, details=details)
        shares = {seed: r2 / chain.oracle_r2 for seed, (_, r2) in found.items()}
        estimates[R2] = over_seeds(
            {seed: share - LEAST for seed, share in shares.items()},
            details=beside("R2 / oracle", over_seeds(shares)),
        )
        return estimates

    judge(measure, figures=lambda estimates: in_the_plane(suite))
