"""Dictionaries constructed from the planted features, not trained: controls and worlds use them."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.sae.activations import GroupTopK, TopK
from polyrot.sae.model import SAE
from polyrot.tasks.subspaces import Features


def planted_decoder(features: Features, groups: int, rank: int) -> Float[Tensor, "row d_model"]:
    """Construct one group for each feature; further groups avoid the features, if they can.

    The rows of a group are orthonormal directions of its feature, up to the rank of the group;
    its remaining rows are directions orthogonal to them.
    """
    used = torch.cat([basis[:rank] for basis in features.bases])
    outside = _complement(torch.cat(features.bases))
    spare = outside if len(outside) else used
    rows = []
    for index in range(groups):
        if index < len(features.bases):
            basis = features.bases[index][:rank]
            rows += [basis, _complement(basis)[: rank - len(basis)]]
        else:
            rows.append(spare[torch.arange(rank * index, rank * (index + 1)) % len(spare)])
    return torch.cat(rows)


def penalised_decoder(
    features: Features, groups: int, rank: int
) -> Float[Tensor, "group row d_model"]:
    """Construct groups whose rows lie in their feature's subspace and are spread evenly in it.

    There is one group for each feature; a further group repeats a single row.
    """
    blocks = []
    for index in range(groups):
        basis = features.bases[index % len(features.bases)]
        if index >= len(features.bases):
            basis = basis[:1]
        # Real and imaginary parts of Fourier modes: a tight frame of unit vectors.
        blocks.append(_tight_frame(rank, len(basis)) @ basis)
    return torch.stack(blocks)


def planted_dictionary(features: Features, like: SAE) -> SAE:
    """Construct a group SAE of the planted features, with the shape of another SAE.

    The encoder is the decoder's transpose, except for latents of no feature, which are never
    active.

    Raises:
        ValueError: if the other SAE has no groups, or fewer than there are features.
    """
    rule = like.activation
    if not isinstance(rule, GroupTopK) or like.features // rule.rank < len(features.bases):
        raise ValueError(
            f"Expected a dictionary of {len(features.bases)} groups or more but got one of "
            f"{like.features} columns with {rule}"
        )
    decoder = planted_decoder(features, like.features // rule.rank, rule.rank)
    held = torch.zeros(like.features)
    for index, dim in enumerate(features.dims):
        held[index * rule.rank : index * rule.rank + min(dim, rule.rank)] = 1
    return replace(
        like,
        W_enc=(decoder * held[:, None]).mT.contiguous(),
        b_enc=torch.zeros(like.features),
        W_dec=decoder,
        b_dec=torch.zeros(like.d_model),
    )


def shaken(sae: SAE, seed: int, *, by: float = 0.01) -> SAE:
    """Move every weight of the decoder by a random amount, at most `by`."""
    generator = torch.Generator().manual_seed(seed)
    noise = by * (2 * torch.rand(sae.W_dec.shape, generator=generator) - 1)
    return replace(sae, W_dec=sae.W_dec + noise)


def tiled_dictionary(features: Features, like: SAE, seed: int) -> SAE:
    """Construct a scalar SAE that tiles the planted features, with the shape of another SAE.

    One latent is active at a time; the latents are dealt to the features in turn, each a random
    direction in its subspace.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for column in range(like.features):
        basis = features.bases[column % len(features.bases)]
        row = torch.randn(len(basis), generator=generator) @ basis
        rows.append(row / row.norm())
    decoder = torch.stack(rows)
    return replace(
        like,
        W_enc=decoder.mT.contiguous(),
        b_enc=torch.zeros(like.features),
        W_dec=decoder,
        b_dec=torch.zeros(like.d_model),
        activation=TopK(1),
    )


def _tight_frame(rows: int, dim: int) -> Float[Tensor, "row dim"]:
    """Rows of unit norm whose singular values are all equal.

    Columns of the discrete Fourier basis, in pairs of cosine and sine.
    """
    if dim == 1:
        return torch.ones(rows, 1)
    place = torch.arange(rows, dtype=torch.float64)
    columns = []
    for mode in range(1, dim // 2 + 1):
        angle = 2 * torch.pi * mode * place / rows
        columns += [angle.cos(), angle.sin()]
    if dim % 2:
        columns.append(torch.full_like(place, 0.5**0.5))
    frame: Tensor = torch.stack(columns, dim=1) * (2 / dim) ** 0.5
    return frame.float()


def _complement(basis: Float[Tensor, "dim d_model"]) -> Float[Tensor, "rest d_model"]:
    """Orthonormal directions that are orthogonal to given ones."""
    if len(basis) >= basis.shape[1]:
        return basis[:0]
    rest: Tensor = torch.linalg.svd(basis, full_matrices=True).Vh[len(basis) :]
    return rest.contiguous()
