"""Small autoencoders with planted weights, and the tokens that they are tried on."""

import torch
from torch import Tensor

import polyrot as pr

D_MODEL, FEATURES, K = 8, 24, 5
ACTIVATIONS = ("relu", "topk", "jumprelu")


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def planted_sae(
    activation: str,
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
    apply_b_dec_to_input: bool = True,
) -> pr.SAE:
    """Draw an autoencoder in which every tensor matters to the result."""
    W_enc, W_dec = normal(D_MODEL, FEATURES, seed=seed), normal(FEATURES, D_MODEL, seed=seed + 1)
    return pr.SAE(
        W_enc=W_enc.to(dtype),
        b_enc=normal(FEATURES, seed=seed + 2).to(dtype),
        W_dec=W_dec.to(dtype),
        b_dec=normal(D_MODEL, seed=seed + 3).to(dtype),
        activation={
            "relu": pr.ReLU(),
            "topk": pr.TopK(K),
            "jumprelu": pr.JumpReLU(normal(FEATURES, seed=seed + 4).abs().to(dtype)),
        }[activation],
        apply_b_dec_to_input=apply_b_dec_to_input,
    )


def decided(sae: pr.SAE, x: Tensor) -> Tensor:
    """The tokens that no rounding of a pre-activation can tip: nearly all of them."""
    inputs = x - sae.b_dec if sae.apply_b_dec_to_input else x
    pre = inputs.double() @ sae.W_enc.double() + sae.b_enc
    if isinstance(sae.activation, pr.TopK):
        descending = pre.sort(descending=True).values
        margin = descending[:, sae.activation.k - 1] - descending[:, sae.activation.k]
    elif isinstance(sae.activation, pr.JumpReLU):
        margin = (pre - sae.activation.threshold).abs().amin(1)
    else:
        return x
    kept = x[margin > 1e-4]
    assert len(kept) > 0.9 * len(x)
    return kept
