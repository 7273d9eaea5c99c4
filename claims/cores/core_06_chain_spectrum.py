"""CORE-06: the core carries the chain's spectrum.

"Transformers converge to invariant algorithmic cores" (arXiv 2602.22600): the least-squares map
from the core coordinates at one position to those at the next has the chain's eigenvalues, other
than the Perron eigenvalue, to within 1%, and its R2 is more than 0.98 of that of the same map for
the chain's states.

As published: in single seeds, in the core whose rank energy selects, fitted and scored on the same
sequences, R2 averaged over the core's coordinates.  A fourth direction, which shifts all logits
alike and follows no state, lowers R2.  Hardened: without that direction; the mean eigenvalue of the
seeds, because the scatter of single seeds is of the order of 1%; and R2 on other sequences,
computed so that it does not depend on the basis.  A positive control fits the map to the one-hot
states of the same sequences, which shows how much of the 1% is sampling error.
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
from polyrot.experiments.chains.controls import View
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
PAIR, REAL, R2 = "0.75 +- 0.25i", "0.50", "R2"
ROUNDING = 1e-9
"""Eigenvalues below it are zero."""
CONTROLS = (
    negative("random subspace", controls.in_a_random_subspace),
    negative("untrained model", controls.before_training),
    positive("the chain's own states", controls.states_of_the_chain),
)
PRINTED = {
    "markov": (
        Printed((0.0, TOLERANCE), "less than 1%", (PAIR, REAL), ends=True),
        Printed((LEAST,), "above 0.98", (R2,)),
    )
}
SHARE = Bar.at_least(LEAST, "R2 over that of the chain's states")
OF_SEEDS = Bar.at_most(
    TOLERANCE, "relative error of an eigenvalue, mean over seeds", scale=Scale.LOG
)
OF_THE_MEAN = Bar.at_most(TOLERANCE, "relative error of the seeds' mean eigenvalue")
PUBLISHED = Measurement(
    CLAIM,
    OF_SEEDS,
    CONTROLS,
    published=True,
    printed=PRINTED,
    part_bars={PAIR: OF_SEEDS, REAL: OF_SEEDS, R2: SHARE},
)
HARDENED = Measurement(
    CLAIM,
    OF_THE_MEAN,
    CONTROLS,
    printed=PRINTED,
    part_bars={PAIR: OF_THE_MEAN, REAL: OF_THE_MEAN, R2: SHARE},
)

World = Callable[[Chains, View, int], Tensor]
"""The coordinates of a seed, given how the models are looked at."""


def relative_errors(found: Tensor, true: Tensor) -> dict[str, complex]:
    """Match true eigenvalues with found ones: their differences, over the size of the true ones.

    The error is -1 where there are too few to match.  A conjugate pair is one part, with the error
    of the eigenvalue above the real axis.
    """
    missing = max(0, len(true) - len(found))
    padded = torch.cat([found, torch.zeros(missing, dtype=found.dtype)])
    distances = (padded[:, None] - true[None]).abs() / true.abs()
    errors: dict[str, complex] = {}
    for row, column in zip(*linear_sum_assignment(distances.numpy()), strict=True):
        real, imaginary = float(true[column].real), float(true[column].imag)
        if imaginary < -ROUNDING:
            continue
        name = f"{real:.2f} +- {imaginary:.2f}i" if imaginary > ROUNDING else f"{real:.2f}"
        errors[name] = complex((padded[row] - true[column]) / true[column])
    return errors


def errors_of_the_consensus(models: ChainModels) -> dict[str, dict[str, float]]:
    """The errors of the coordinates that all cores have in common, which no single model has.

    Cores are compared on held-out sequences, so the map is fitted on these, a quarter of all.
    """
    shared, _ = consensus(controls.coordinates(models, controls.core), rank=models.rank)
    dynamics = fit_dynamics(shared.view(int(models.held_out.sum()), -1, models.rank))
    errors = relative_errors(dynamics.eigenvalues, models.chain.spectrum)
    return {name: {"relative error of the consensus": abs(e)} for name, e in errors.items()}


def check_spectrum(models: ChainModels) -> None:
    if float(models.chain.spectrum.abs().min()) < ROUNDING:
        raise NotRun("an eigenvalue of the chain is zero, and no share of it can be missed")


def in_single_seeds(chains: Chains, world: World) -> dict[str, Estimate]:
    """The error of every seed's eigenvalues, and R2 on the sequences of the fit."""
    fitted, chain = ~chains.models.held_out, chains.models.chain

    def measure(seed: int) -> dict[str, Measured]:
        coordinates = world(chains, controls.as_published, chains.index(seed))[fitted]
        dynamics = fit_dynamics(coordinates)
        r2 = dynamics.score_by_coordinate(coordinates) / chain.oracle_r2
        each = {f"seed {seed}": r2, f"rank of seed {seed}": coordinates.shape[-1]}
        errors = relative_errors(dynamics.eigenvalues, chain.spectrum).items()
        found = {n: Measured(abs(e), each={f"seed {seed}": abs(e)}) for n, e in errors}
        return found | {R2: Measured(r2, each=each)}

    return average_by_part(chains.seeds, measure)


def on_average(chains: Chains, world: World) -> dict[str, Estimate]:
    """The error of the mean eigenvalue, and R2 on other sequences than those of the fit.

    An error is a complex number.  The size of the mean error is the mean of the errors' components
    along the mean error, which has an interval.
    """
    held_out, chain = chains.models.held_out, chains.models.chain
    errors: dict[int, dict[str, complex]] = {}
    r2: dict[int, float] = {}
    for seed in chains.seeds:
        coordinates = world(chains, controls.without_common_shift, chains.index(seed))
        dynamics = fit_dynamics(coordinates[~held_out])
        errors[seed] = relative_errors(dynamics.eigenvalues, chain.spectrum)
        r2[seed] = dynamics.score(coordinates[held_out]) / chain.oracle_r2
    details = errors_of_the_consensus(chains.models) if world is controls.in_the_core else {}

    def error_along_the_mean(part: str) -> Estimate:
        total = sum(found[part] for found in errors.values())
        direction = total / abs(total) if total else 1.0

        def measure(seed: int) -> Measured:
            error = errors[seed][part]
            along = (error * direction.conjugate()).real
            return Measured(along, also={"relative error of single seeds": abs(error)})

        return average(chains.seeds, measure, details=details.get(part))

    found = {part: error_along_the_mean(part) for part in errors[chains.seeds[0]]}
    return found | {R2: average(chains.seeds, r2.__getitem__)}


@pytest.mark.measurement(PUBLISHED)
def test_published(chains: Chains, judge: Judge) -> None:
    check_spectrum(chains.models)
    judge(lambda world=controls.in_the_core: in_single_seeds(chains, world))


@pytest.mark.measurement(HARDENED)
def test_hardened(chains: Chains, judge: Judge) -> None:
    check_spectrum(chains.models)
    judge(
        lambda world=controls.in_the_core: on_average(chains, world),
        figures=[lambda _: figures.operators(chains, controls.without_common_shift)],
    )
