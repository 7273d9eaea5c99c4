"""What an autoencoder does to its features' pre-activations: ReLU, TopK or JumpReLU."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Features = Float[Tensor, "token feature"]


@dataclass(frozen=True)
class ReLU:
    """`max(pre, 0)`."""

    def __call__(self, pre: Features) -> Features:
        return torch.relu(pre)

    def check(self, features: int) -> None:
        """Any number of features will do."""


@dataclass(frozen=True)
class TopK:
    """`max(pre, 0)` of the `k` largest features of each token, 0 elsewhere.

    Of features that tie for the last place an arbitrary one is kept (Gao et al. 2024,
    arXiv 2406.04093).
    """

    k: int

    def __call__(self, pre: Features) -> Features:
        largest, index = pre.topk(self.k, dim=-1, sorted=False)
        return torch.zeros_like(pre).scatter_(-1, index, largest.relu())

    def check(self, features: int) -> None:
        if not 1 <= self.k <= features:
            raise ValueError(f"Expected 1 <= k <= {features} features but got k={self.k!r}")


@dataclass(frozen=True, eq=False)
class JumpReLU:
    """`max(pre, 0)` where a feature exceeds its threshold, 0 elsewhere.

    Rajamanoharan et al. 2024, arXiv 2407.14435.
    """

    threshold: Float[Tensor, " feature"]

    def __call__(self, pre: Features) -> Features:
        return torch.relu(pre) * (pre > self.threshold)

    def check(self, features: int) -> None:
        if self.threshold.shape != (features,):
            raise ValueError(
                f"Expected threshold of shape [feature] = ({features},) but got "
                f"{tuple(self.threshold.shape)}"
            )


Activation = ReLU | TopK | JumpReLU
