"""CORE-06: the core carries the chain's spectrum.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): the least-squares map
from the core coordinates at one position to those at the next has the chain's eigenvalues, other
than the Perron eigenvalue, to within 1%, and its R2 is more than 0.98 of that of the same map for
the chain's states.  The map is fitted and scored on different sequences.  A control fits it to the
one-hot states of the same sequences, which shows how much of the 1% is sampling error.
"""

from collections.abc import Callable

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from polyrot.claim import *
from polyrot.cores.comparison import consensus
from polyrot.cores.dynamics import fit_dynamics
from polyrot.experiments.chains import controls, figures
from polyrot.experiments.chains.models import ChainModels, Chains

CLAIM = Claim(
    "CORE-06",
    "The core carries the chain's spectrum",
    "arXiv 2602.22600, Markov chain",
    {"markov": "eigenvalues < 1%; R2 > 0.98 of the oracle's"},
    true_in=("chain-state",),
    false_in=("chain-out-of-order",),
)
TOLERANCE, LEAST = 0.01, 0.98
ROUNDING = 1e-9
"""Eigenvalues below it are zero."""
HARDENED = Measurement(
    CLAIM,
    Bar.at_least(0.0, f"eigenvalues inside {TOLERANCE:.0%}, and R2 / oracle above {LEAST}"),
    (
        negative("random subspace", controls.in_a_random_subspace),
        negative("untrained model", controls.before_training),
        positive("the chain's own states", controls.states_of_the_chain),
    ),
    printed={
        "markov": (
            Printed((0.0, TOLERANCE), "less than 1%", ("0.75 +- 0.25i", "0.50"), ends=True),
            Printed((0.0, 1 - LEAST), "above 0.98", ("R2",), ends=True),
        )
    },
)


def relative_errors(found: Tensor, true: Tensor) -> dict[str, float]:
    """Match true eigenvalues with found ones; the error is 1 where there are too few to match.

    A conjugate pair is one part, with the larger of its two errors.
    """
    missing = max(0, len(true) - len(found))
    padded = torch.cat([found, torch.zeros(missing, dtype=found.dtype)])
    distances = (padded[:, None] - true[None]).abs() / true.abs()
    errors: dict[str, float] = {}
    for row, column in zip(*linear_sum_assignment(distances.numpy()), strict=True):
        real, imaginary = float(true[column].real), abs(float(true[column].imag))
        name = f"{real:.2f} +- {imaginary:.2f}i" if imaginary > ROUNDING else f"{real:.2f}"
        errors[name] = max(errors.get(name, 0.0), float(distances[row, column]))
    return errors


def errors_of_the_consensus(models: ChainModels) -> dict[str, dict[str, float]]:
    """The errors of the coordinates that all cores have in common, which no single model has.

    Cores are compared on held-out sequences, so the map is fitted on these, a quarter of all.
    """
    shared, _ = consensus(controls.coordinates(models, controls.core), rank=models.rank)
    dynamics = fit_dynamics(shared.view(int(models.held_out.sum()), -1, models.rank))
    errors = relative_errors(dynamics.eigenvalues, models.chain.spectrum)
    return {name: {"relative error of the consensus": error} for name, error in errors.items()}


def margins(chains: Chains, world: Callable[[Chains, int], Tensor]) -> dict[str, Estimate]:
    """How far inside the tolerance each eigenvalue and R2 are."""
    held_out, chain = chains.models.held_out, chains.models.chain
    if float(chain.spectrum.abs().min()) < ROUNDING:
        raise NotRun("an eigenvalue of the chain is zero, and no share of it can be missed")

    def measure(seed: int) -> dict[str, Measured]:
        coordinates = world(chains, chains.index(seed))
        dynamics = fit_dynamics(coordinates[~held_out])
        share = dynamics.score(coordinates[held_out]) / chain.oracle_r2
        found = {}
        for name, error in relative_errors(dynamics.eigenvalues, chain.spectrum).items():
            found[name] = Measured(TOLERANCE - error, also={"relative error": error})
        return found | {"R2": Measured(share - LEAST, also={"R2 / oracle": share})}

    details = errors_of_the_consensus(chains.models) if world is controls.in_the_core else {}
    return average_by_part(chains.seeds, measure, details=details)


@pytest.mark.measurement(HARDENED)
def test_hardened(chains: Chains, judge: Judge) -> None:
    judge(
        lambda world=controls.in_the_core: margins(chains, world),
        figures=[lambda _: figures.operators(chains)],
    )
