"""Markov chains whose next state a model predicts, and their exact properties.

The four-state chain of arXiv 2602.22600 stays in its state with probability 3/4 and moves to the
next state of a ring with 1/4; the chains on five and six states are built in the same way.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

STAY = 0.75
LENGTH = 32
"""States of a sequence; all but the first are predicted."""


@dataclass(frozen=True)
class Chain:
    """A chain by its transition probabilities; row i holds those out of state i."""

    rows: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        for i, row in enumerate(self.rows):
            # Written so that nan fails too.
            if len(row) != len(self.rows) or min(row) < 0 or not abs(sum(row) - 1) <= 1e-12:
                raise ValueError(
                    f"Expected {len(self.rows)} probabilities that sum to 1 in row {i} but got "
                    f"{row}"
                )

    @property
    def states(self) -> int:
        return len(self.rows)

    @property
    def transition(self) -> Float[Tensor, "state state"]:
        return torch.tensor(self.rows, dtype=torch.float64)

    @property
    def stationary(self) -> Float[Tensor, " state"]:
        """Share of time in each state in the long run.

        >>> ring(4).stationary.tolist()
        [0.25, 0.25, 0.25, 0.25]
        """
        ones = torch.ones(self.states, dtype=torch.float64)
        equations = torch.cat([self.transition.mT - torch.eye(self.states), ones[None]])
        constants = torch.zeros(self.states + 1, 1, dtype=torch.float64)
        constants[-1] = 1
        found: Tensor = torch.linalg.lstsq(equations, constants).solution[:, 0]
        return found.round(decimals=14)

    @property
    def spectrum(self) -> Complex[Tensor, " eigenvalue"]:
        """Eigenvalues without the Perron eigenvalue 1, by descending real part.

        >>> [f"{value:.2f}" for value in ring(4).spectrum.tolist()]
        ['0.75+0.25j', '0.75-0.25j', '0.50+0.00j']
        """
        values = torch.linalg.eigvals(self.transition)
        rest = sorted(values.tolist(), key=lambda value: abs(value - 1))[1:]
        ordered = sorted(rest, key=lambda value: (-round(value.real, 9), -value.imag))
        return torch.tensor(ordered, dtype=torch.complex128)

    @property
    def oracle_r2(self) -> float:
        """R2 of the best linear prediction of the next state, one-hot, from the present one.

        1 - mean over states j of [sum_i pi_i T_ij (1 - T_ij)] / [pi_j (1 - pi_j)]
        (arXiv 2602.22600, released code).

        >>> round(ring(4).oracle_r2, 12)
        0.5
        """
        pi, T = self.stationary, self.transition
        return float(1 - ((pi @ (T * (1 - T))) / (pi * (1 - pi))).mean())

    def sample(self, sequences: int, *, seed: int) -> Int[Tensor, "sequence state"]:
        """Draw sequences of 32 states, the first uniform."""
        rng = np.random.default_rng(seed)
        steps = np.cumsum(self.rows, axis=1)[:, :-1]
        drawn = np.empty((sequences, LENGTH), dtype=np.int64)
        drawn[:, 0] = rng.integers(self.states, size=sequences)
        for position in range(1, LENGTH):
            chances = rng.random((sequences, 1))
            drawn[:, position] = (chances >= steps[drawn[:, position - 1]]).sum(1)
        return torch.from_numpy(drawn)


def ring(states: int) -> Chain:
    """Make the chain that stays with probability 3/4 and otherwise moves on around a ring.

    >>> ring(4).rows[3]
    (0.25, 0.0, 0.0, 0.75)
    """
    rows = np.zeros((states, states))
    for state in range(states):
        rows[state, state] = STAY
        rows[state, (state + 1) % states] = 1 - STAY
    return Chain(tuple(tuple(map(float, row)) for row in rows))


def two_rows() -> Chain:
    """Make a chain on four states with two different rows: its next state depends on one bit.

    From 0 and 1 it goes to 2 with probability 3/4, from 2 and 3 to 0; each of the other
    states has 1/12.
    """
    rare = (1 - STAY) / 3
    a, b = (tuple(STAY if j == goal else rare for j in range(4)) for goal in (2, 0))
    return Chain((a, a, b, b))
