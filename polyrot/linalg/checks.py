"""Validation of arrays where they enter the library."""

import math
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

Array: TypeAlias = Tensor | np.ndarray

DEFECT = 1e-4
"""How far an entry of r' r may be from the identity for r to count as orthogonal."""


def as_activations(name: str, value: Array) -> Float[Tensor, "token d_model"]:
    """Check that `value` is a finite floating `[token, d_model]` array with d_model > 1.

    Returns a tensor on the array's device and in its precision, detached from autograd.
    """
    x = _as_floating(name, value).detach()
    if x.ndim != 2:
        raise ValueError(
            f"Expected {name} of shape [token, d_model] but got {tuple(x.shape)}; "
            "flatten sequences and positions into one token axis"
        )
    if x.shape[0] < 2:
        raise ValueError(f"Expected {name} with at least 2 tokens but got {x.shape[0]}")
    if x.shape[1] < 2:
        raise ValueError(
            f"Expected {name} with d_model of at least 2 but got {x.shape[1]}; "
            "a rotation of one dimension is only a sign"
        )
    # A sum is many times faster than a mask, and keeps nan and inf.
    if not math.isfinite(float(x.sum())) and not bool(torch.isfinite(x).all()):
        bad = int((~torch.isfinite(x).all(dim=1)).sum())
        raise ValueError(
            f"Expected {name} to be finite but {bad} of its {len(x)} tokens hold nan or inf; "
            "drop these tokens from both sides"
        )
    return x


def check_tokens(tokens: Mapping[str, int]) -> None:
    """Check that sets have the same number of tokens; the keys name them in the error."""
    if len(set(tokens.values())) > 1:
        raise ValueError(
            f"Expected {' and '.join(tokens)} of the same tokens but got "
            f"{' and '.join(map(str, tokens.values()))} tokens; run the models on the same "
            "token batch"
        )


def as_orthogonal(name: str, value: Array) -> Float[Tensor, "*batch d d"]:
    """Check that `value` is one orthogonal matrix or a stack of them; return float64."""
    r = _as_floating(name, value).double()
    if r.ndim < 2 or r.shape[-1] != r.shape[-2]:
        raise ValueError(f"Expected {name} of shape [..., d, d] but got {tuple(r.shape)}")
    if _looks_orthogonal(r):
        return r
    defect = float((r.mT @ r - torch.eye(r.shape[-1], dtype=r.dtype, device=r.device)).abs().max())
    if not defect < DEFECT:
        raise ValueError(
            f"Expected {name} to be orthogonal but {name}' {name} differs from the identity "
            f"by {defect:.1e}; pass the `rotation` of an orthogonal fit"
        )
    return r


def _looks_orthogonal(r: Float[Tensor, "*batch d d"]) -> bool:
    """Test on random vectors that r' r is the identity: O(d^2), where r' r takes O(d^3).

    Freivalds 1977.  An entry of r' r that is off by `DEFECT` moves each vector by about that
    much: all of them by less than a fifth of it with probability 0.0006, and with 6e-8 if the
    entry is off by ten times that.
    """
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(r.shape[-1], 4, generator=generator, dtype=r.dtype).to(r.device)
    return float((r.mT @ (r @ z) - z).abs().max()) < DEFECT / 5


def _as_floating(name: str, value: Array) -> Shaped[Tensor, "..."]:
    x = torch.as_tensor(value)
    if not x.is_floating_point():
        raise TypeError(
            f"Expected {name} of a floating type but got {x.dtype}; convert it, say with "
            f"{name}.astype('float32') or {name}.float()"
        )
    return x
