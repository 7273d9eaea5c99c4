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
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from polyrot.capabilities.figures import eigenvalues
from polyrot.claim import *
from polyrot.cores.comparison import consensus
from polyrot.cores.dynamics import Dynamics, fit_dynamics
from polyrot.experiments.chains import controls
from polyrot.experiments.chains.models import Chains

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
R2 = "R2"

World = Callable[[Chains, int], Float[Tensor, "sequence position rank"]]
"""The coordinates of a seed, given its index."""


def core(chains: Chains, index: int) -> Tensor:
    return controls.projected(chains.chain, index, controls.core)


def random_subspace(chains: Chains, index: int) -> Tensor:
    return controls.projected(chains.chain, index, controls.random_subspace)


def untrained(chains: Chains, index: int) -> Tensor:
    return controls.projected(chains.untrained_chain, index, controls.core)


def chain_states(chains: Chains, index: int) -> Tensor:
    """The states to predict, one-hot, without the last coordinate: the coordinates sum to one."""
    models = chains.chain
    return torch.nn.functional.one_hot(models.targets, models.chain.states)[..., :-1].double()


HARDENED = Measurement(
    CLAIM,
    Bar.at_least(0.0, f"eigenvalues inside {TOLERANCE:.0%}, and R2 / oracle above {LEAST}"),
    (
        negative("random subspace", random_subspace),
        negative("untrained model", untrained),
        positive("the chain's own states", chain_states),
    ),
    printed={
        "markov": (
            Printed((0.0, TOLERANCE), "less than 1%", ("0.75 +- 0.25i", "0.50"), ends=True),
            Printed((0.0, 1 - LEAST), "above 0.98", (R2,), ends=True),
        )
    },
)


def fitted(chains: Chains, coordinates: Tensor) -> tuple[Dynamics, float]:
    """The map from one position to the next, and its R2 on held-out sequences."""
    held_out = chains.chain.held_out
    dynamics = fit_dynamics(coordinates[~held_out])
    return dynamics, dynamics.score(coordinates[held_out])


def relative_errors(found: Tensor, true: Tensor) -> dict[str, float]:
    """Match true eigenvalues with found ones; the error is 1 where there are too few to match.

    A conjugate pair is one part, with the larger of its two errors.
    """
    missing = max(0, len(true) - len(found))
    padded = torch.cat([found, torch.zeros(missing, dtype=found.dtype)])
    distances = (padded[:, None] - true[None]).abs() / true.abs()
    errors: dict[str, float] = {}
    for row, column in zip(*linear_sum_assignment(distances.numpy()), strict=True):
        eigenvalue = complex(true[column])
        imaginary = f" +- {abs(eigenvalue.imag):.2f}i" if abs(eigenvalue.imag) > ROUNDING else ""
        name = f"{eigenvalue.real:.2f}{imaginary}"
        errors[name] = max(errors.get(name, 0.0), float(distances[row, column]))
    return errors


def errors_of_the_consensus(chains: Chains) -> dict[str, dict[str, float]]:
    """The errors of the coordinates that all cores have in common, which no single model has."""
    models = chains.chain
    shared, _ = consensus(controls.coordinates(models, controls.core), rank=models.rank)
    dynamics = fit_dynamics(shared.view(int(models.held_out.sum()), -1, models.rank))
    errors = relative_errors(dynamics.eigenvalues, models.chain.spectrum)
    return {name: {"relative error of the consensus": error} for name, error in errors.items()}


def margins(chains: Chains, world: World) -> dict[str, Estimate]:
    """How far inside the tolerance each eigenvalue and R2 are."""
    chain = chains.chain.chain
    if float(chain.spectrum.abs().min()) < ROUNDING:
        raise NotRun("an eigenvalue of the chain is zero, and no share of it can be missed")

    def measure(seed: int) -> dict[str, Measured]:
        dynamics, r2 = fitted(chains, world(chains, chains.index(seed)))
        errors = relative_errors(dynamics.eigenvalues, chain.spectrum)
        share = r2 / chain.oracle_r2
        return {
            name: Measured(TOLERANCE - error, also={"relative error": error})
            for name, error in errors.items()
        } | {R2: Measured(share - LEAST, also={"R2 / oracle": share})}

    details = errors_of_the_consensus(chains) if world is core else {}
    return average_by_part(chains.seeds, measure, details=details)


def in_the_complex_plane(chains: Chains) -> list[Figure]:
    worlds: dict[tuple[str, Role], World] = {
        ("cores", Role.MODELS): core,
        ("random subspaces", Role.NEGATIVE): random_subspace,
        ("untrained models", Role.NEGATIVE): untrained,
    }
    found = {
        curve: [fitted(chains, world(chains, i))[0].eigenvalues for i in range(len(chains.seeds))]
        for curve, world in worlds.items()
    }
    caption = "Of the least-squares map from one position's coordinates to the next's, every seed."
    spectrum = {("the chain", Role.POSITIVE): [chains.chain.chain.spectrum]}
    return [eigenvalues(spectrum | found, caption=caption)]


@pytest.mark.measurement(HARDENED)
def test_hardened(chains: Chains, judge: Judge) -> None:
    judge(
        lambda world=core: margins(chains, world),
        figures=[lambda _: in_the_complex_plane(chains)],
    )
