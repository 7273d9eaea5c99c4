"""Activation functions of sparse autoencoders: ReLU, TopK, TopK of groups, JumpReLU."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from polyrot.sae.topk import topk_index

Features = Float[Tensor, "token feature"]


@dataclass(frozen=True)
class ReLU:
    """`max(pre, 0)`.

    >>> ReLU()(torch.tensor([[-1.0, 2.0, 3.0]]))
    tensor([[0., 2., 3.]])
    """

    rank: ClassVar[int] = 1
    """Number of features that are active together."""

    def __call__(self, pre: Features) -> Features:
        return torch.relu(pre)

    def check(self, features: int) -> None:
        """Accept any number of features."""


@dataclass(frozen=True)
class TopK:
    """`max(pre, 0)` of the `k` largest features of each token, 0 elsewhere.

    Of features that tie for the last place an arbitrary one is kept (Gao et al. 2024,
    arXiv 2406.04093).

    >>> TopK(1)(torch.tensor([[-1.0, 2.0, 3.0]]))
    tensor([[0., 0., 3.]])
    """

    k: int
    rank: ClassVar[int] = 1

    @property
    def on(self) -> int:
        """Most active features per token."""
        return self.k

    def kept(self, pre: Features) -> Int[Tensor, "token kept"]:
        """Return the features that are not zeroed, or all if there are fewer."""
        return topk_index(pre, min(self.k, pre.shape[1]))

    def __call__(self, pre: Features) -> Features:
        largest, index = pre.topk(self.k, dim=-1, sorted=False)
        return torch.zeros_like(pre).scatter_(-1, index, largest.relu())

    def check(self, features: int) -> None:
        if not 1 <= self.k <= features:
            raise ValueError(f"Expected 1 <= k <= {features} features but got k={self.k!r}")


@dataclass(frozen=True)
class GroupTopK:
    """The pre-activations, of either sign, of the `groups` groups of largest norm; 0 elsewhere.

    A group is `rank` consecutive features, whose decoder rows span a subspace and whose
    pre-activations are coordinates in it (subspace-aware autoencoders, arXiv 2606.06333).

    >>> GroupTopK(groups=1, rank=2)(torch.tensor([[-1.0, 2.0, 1.0, 1.0]]))
    tensor([[-1.,  2.,  0.,  0.]])
    """

    groups: int
    rank: int

    @property
    def on(self) -> int:
        """Active features per token."""
        return self.groups * self.rank

    def kept(self, pre: Features) -> Int[Tensor, "token kept"]:
        """Return the features of the groups that are not zeroed, or all if there are fewer."""
        energy = pre.unflatten(1, (-1, self.rank)).square().sum(2)
        groups = topk_index(energy, min(self.groups, energy.shape[1]))
        members = torch.arange(self.rank, device=pre.device)
        return (groups[:, :, None] * self.rank + members).flatten(1)

    def __call__(self, pre: Features) -> Features:
        index = self.kept(pre)
        return torch.zeros_like(pre).scatter_(1, index, pre.gather(1, index))

    def check(self, features: int) -> None:
        if self.rank < 1 or features % self.rank:
            raise ValueError(
                f"Expected rank to divide {features} features but got rank={self.rank!r}"
            )
        if not 1 <= self.groups <= features // self.rank:
            raise ValueError(
                f"Expected 1 <= groups <= {features // self.rank} groups of {self.rank} features "
                f"but got groups={self.groups!r}"
            )


@dataclass(frozen=True, eq=False)
class JumpReLU:
    """`max(pre, 0)` where a feature exceeds its threshold, 0 elsewhere.

    Rajamanoharan et al. 2024, arXiv 2407.14435.

    >>> JumpReLU(torch.tensor([0.0, 2.5, 2.5]))(torch.tensor([[-1.0, 2.0, 3.0]]))
    tensor([[0., 0., 3.]])
    """

    threshold: Float[Tensor, " feature"]
    rank: ClassVar[int] = 1

    def __call__(self, pre: Features) -> Features:
        return torch.relu(pre) * (pre > self.threshold)

    def check(self, features: int) -> None:
        if self.threshold.shape != (features,):
            raise ValueError(
                f"Expected threshold of shape [feature] = ({features},) but got "
                f"{tuple(self.threshold.shape)}"
            )


SparseActivation = TopK | GroupTopK
"""Those that bound the number of active features per token."""

Activation = ReLU | TopK | GroupTopK | JumpReLU
