"""The scales on which intervals are made, so that they stay inside what a quantity can be."""

import math
from collections.abc import Callable
from enum import StrEnum


class Scale(StrEnum):
    """A scale on which an interval is made before it is mapped back; all of them increase."""

    LINEAR = "linear"
    LOG = "log"
    """For losses, gaps and ratios, which are positive."""
    LOG_LOST = "log(1 - EV)"
    """For explained variances, which are below 1: -log(1 - EV)."""
    LOGIT = "logit"
    """For shares, between 0 and 1."""
    FISHER = "Fisher's z"
    """For correlations, between -1 and 1."""

    def of(self, value: float) -> float:
        """Map a value to the scale; what lies at the end of the quantity or beyond is infinite."""
        low, high = _DOMAIN[self]
        if value <= low:
            return -math.inf
        if value >= high:
            return math.inf
        return _OF[self](value)

    def back(self, point: float) -> float:
        """Map a point of the scale back to a value."""
        if math.isinf(point):
            return _DOMAIN[self][point > 0]
        return _BACK[self](point)


_DOMAIN = {
    Scale.LINEAR: (-math.inf, math.inf),
    Scale.LOG: (0.0, math.inf),
    Scale.LOG_LOST: (-math.inf, 1.0),
    Scale.LOGIT: (0.0, 1.0),
    Scale.FISHER: (-1.0, 1.0),
}
_OF: dict[Scale, Callable[[float], float]] = {
    Scale.LINEAR: float,
    Scale.LOG: math.log,
    Scale.LOG_LOST: lambda value: -math.log(1 - value),
    Scale.LOGIT: lambda value: math.log(value / (1 - value)),
    Scale.FISHER: math.atanh,
}
_BACK: dict[Scale, Callable[[float], float]] = {
    Scale.LINEAR: float,
    Scale.LOG: lambda point: math.exp(min(point, 700.0)),
    Scale.LOG_LOST: lambda point: 1 - math.exp(min(-point, 700.0)),
    Scale.LOGIT: lambda point: 1 / (1 + math.exp(min(-point, 700.0))),
    Scale.FISHER: math.tanh,
}
