"""Logistic probes, on all dimensions or on a few units chosen one after another."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.optimize import minimize
from scipy.special import expit
from torch import Tensor

PENALTY = 1.0
"""Weight of half the squared weights, against the summed loss: scikit-learn's default."""


@dataclass(frozen=True, eq=False)
class Probe:
    """Answers yes where `x @ weight + bias > 0`."""

    weight: Float[Tensor, " d"]
    bias: float

    def margin(self, x: Float[Tensor, "token d"]) -> Float[Tensor, " token"]:
        """Compute the margin of tokens, positive for yes, in float64."""
        return x.double() @ self.weight + self.bias

    def __call__(self, x: Float[Tensor, "token d"]) -> Bool[Tensor, " token"]:
        return self.margin(x) > 0


def fit_probe(x: Float[Tensor, "token d"], yes: Bool[Tensor, " token"]) -> Probe:
    """Fit a logistic regression in which both answers have the same weight, however rare.

    Minimises `sum_t w_t log(1 + exp(-s_t (x_t . a + b))) + |a|^2 / 2` in float64, where s is
    1 or -1 and w scales each answer to half of all tokens.  Deterministic: L-BFGS from zero.

    Args:
        x: `[token, d]`.
        yes: `[token]`, the answers; both must occur.

    Raises:
        ValueError: where only one answer occurs.
    """
    weights = answer_weights(yes).numpy()
    data, sign = x.double().numpy(), np.where(yes.numpy(), 1.0, -1.0)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = parameters[:-1], parameters[-1]
        margin = sign * (data @ weight + bias)
        slope = -sign * weights * expit(-margin)
        value = float(weights @ np.logaddexp(0, -margin)) + PENALTY / 2 * float(weight @ weight)
        return value, np.append(data.T @ slope + PENALTY * weight, slope.sum())

    found = minimize(loss, np.zeros(data.shape[1] + 1), jac=True, method="L-BFGS-B").x
    return Probe(torch.from_numpy(found[:-1].copy()), float(found[-1]))


def answer_weights(yes: Bool[Tensor, " token"]) -> Float[Tensor, " token"]:
    """Weigh tokens so each answer has half of the total weight."""
    count, known = len(yes), int(yes.sum())
    if not 0 < known < count:
        raise ValueError(f"Expected tokens of both answers but got {known} yes of {count}")
    return torch.where(yes, count / (2 * known), count / (2 * (count - known))).double()


def f1(found: Bool[Tensor, " token"], yes: Bool[Tensor, " token"]) -> float:
    """Harmonic mean of precision and recall; 0 if there are no true positives.

    >>> f1(torch.tensor([True, True, False]), torch.tensor([True, False, False]))
    0.6666666666666666
    """
    both = int((found & yes).sum())
    return 2 * both / (int(found.sum()) + int(yes.sum())) if both else 0.0


def sparse_probes(
    units: Float[Tensor, "token unit"], yes: Bool[Tensor, " token"], largest: int
) -> Iterator[tuple[list[int], Probe]]:
    """Fit probes of 1, 2, ... units, each with the unit that best explains the last residual.

    That is the unit with the largest positive correlation with the residual of the last probe:
    the order in which the first units enter as an L1 penalty is lowered, without choosing a
    penalty.

    Args:
        units: `[token, unit]`, what probes may read.
        yes: `[token]`, the answers.
        largest: most units of a probe; fewer if no other unit varies.

    Yields:
        The units chosen so far, in the order of their choice, and the probe that reads them.
    """
    weights = answer_weights(yes)
    weights = weights / weights.sum()
    data = units.double()
    mean, square = weights @ data, weights @ data.square()
    spread = (square - mean.square()).clamp(min=0).sqrt()
    # A constant's spread is rounding error and does not count.
    free = spread > 1e-6 * square.sqrt()
    chosen: list[int] = []
    left = yes.double() - 0.5
    for _ in range(min(largest, int(free.sum()))):
        pull = (weights * left) @ data - (weights @ left) * mean
        gain = torch.where(free, pull / spread.clamp(min=1e-300), -torch.inf)
        chosen.append(int(gain.argmax()))
        free[chosen[-1]] = False
        selected = data[:, chosen]
        probe = fit_probe(selected, yes)
        left = yes.double() - probe.margin(selected).sigmoid()
        yield list(chosen), probe
