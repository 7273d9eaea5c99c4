"""Interventions on a core: keep it alone, remove it, or flip its sign.

arXiv 2602.22600 projects without a mean for the Markov chain and modular addition, and about the
mean of the training prompts for language models.
"""

from jaxtyping import Float
from torch import Tensor

States = Float[Tensor, "*batch d_model"]
Basis = Float[Tensor, "d_model rank"]
"""Orthonormal columns."""
Mean = Float[Tensor, " d_model"]


def keep(x: States, basis: Basis, mean: Mean | None = None) -> States:
    """Keep only a subspace: `QQ'x`, or `mean + QQ'(x - mean)`.

    >>> import torch
    >>> keep(torch.tensor([3.0, 4.0]), torch.tensor([[1.0], [0.0]]))
    tensor([3., 0.])
    """
    projected = _projected(x, basis, mean)
    return projected if mean is None else projected + mean.to(x.dtype)


def remove(x: States, basis: Basis, mean: Mean | None = None) -> States:
    """Remove a subspace: `x - QQ'x`, or `x - QQ'(x - mean)`.

    >>> import torch
    >>> remove(torch.tensor([3.0, 4.0]), torch.tensor([[1.0], [0.0]]))
    tensor([0., 4.])
    """
    return x - _projected(x, basis, mean)


def flip(x: States, basis: Basis, mean: Mean | None = None) -> States:
    """Flip the sign in a subspace: `x - 2QQ'x`, or `x - 2QQ'(x - mean)`.

    >>> import torch
    >>> flip(torch.tensor([3.0, 4.0]), torch.tensor([[1.0], [0.0]]))
    tensor([-3.,  4.])
    """
    return x - 2 * _projected(x, basis, mean)


def _projected(x: States, basis: Basis, mean: Mean | None) -> States:
    q = basis.to(x.dtype)
    centred = x if mean is None else x - mean.to(x.dtype)
    projected: Tensor = (centred @ q) @ q.mT
    return projected
