"""The nuclear norm of a dictionary's groups, and a gradient of it that is defined everywhere.

Subspace-aware autoencoders (arXiv 2606.06333) penalise it, so a group spans no more dimensions
than it needs.  The norm has no gradient where a singular value is zero, which is where the penalty
leads; `sum sqrt(s^2 + RIDGE)` has one, and differs by at most `r sqrt(RIDGE)`.
"""

import torch
from jaxtyping import Float
from torch import Tensor

RIDGE = 1e-6
"""Added to squared singular values, as in the released code."""

Blocks = Float[Tensor, "*group rank d_model"]
Columns = Float[Tensor, "*group d_model rank"]


def of_decoder(decoder: Blocks) -> tuple[Float[Tensor, "*group"], Blocks]:
    """Compute each block's smoothed nuclear norm and its gradient, the polar factor.

    From the `[rank, rank]` Gram matrix alone, in float64; eigenvalues that rounding makes
    negative count as zero.
    """
    wide = decoder.double()
    values, vectors = torch.linalg.eigh(wide @ wide.mT)
    norms = (values.clamp(min=0) + RIDGE).sqrt()
    gradient = (vectors / norms[..., None, :]) @ (vectors.mT @ wide)
    return norms.sum(-1).to(decoder.dtype), gradient.to(decoder.dtype)


def of_composition(
    encoder: Columns, decoder: Blocks
) -> tuple[Float[Tensor, "*group"], Columns, Blocks]:
    """Compute the norm of each group's map `encoder @ decoder`, and both gradients.

    The map is `[d_model, d_model]` and never formed: with `E = Q R` and `D' = P S` its
    singular values are those of the `[rank, rank]` matrix `R S'`.
    """
    Q, R = torch.linalg.qr(encoder.double())
    P, S = torch.linalg.qr(decoder.double().mT)
    U, values, Vh = torch.linalg.svd(R @ S.mT)
    norms = (values.square() + RIDGE).sqrt()
    polar = (U * (values / norms)[..., None, :]) @ Vh
    by_encoder = Q @ (polar @ S)
    by_decoder = (R.mT @ polar) @ P.mT
    return (
        norms.sum(-1).to(decoder.dtype),
        by_encoder.to(encoder.dtype),
        by_decoder.to(decoder.dtype),
    )
