"""Autoencoders of other libraries that hold the weights of ours, not copies where they allow it."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

import polyrot as pr
from harness import data

Reconstruct = Callable[[Tensor], Tensor]
Trained = tuple[Callable[[Tensor], None], Reconstruct]
"""What takes a step on a batch, and what the autoencoder makes of tokens."""


@lru_cache(maxsize=1)
def autoencoder(d: int, features: int, k: int, device: str) -> pr.SAE:
    """Draw a TopK autoencoder whose rows are unit vectors, centred on the activations."""
    generator = torch.Generator().manual_seed(0)
    W_dec = torch.randn(features, d, generator=generator)
    W_dec /= W_dec.norm(dim=1, keepdim=True)
    W_enc = W_dec.mT.contiguous()
    b_enc = 0.1 * torch.randn(features, generator=generator)
    b_dec = tokens(256, d, device).mean(0)
    parts = (W_enc.to(device), b_enc.to(device), W_dec.to(device), b_dec)
    return pr.SAE(*parts, activation=pr.TopK(k))


@lru_cache(maxsize=1)
def tokens(count: int, d: int, device: str) -> Tensor:
    """Draw activations as one seed sees them."""
    return data.seen_by(data.latent(count, d), 0).to(device)


def saelens(sae: pr.SAE) -> Reconstruct:
    """Build SAELens' TopK autoencoder."""
    import sae_lens

    config = sae_lens.TopKSAEConfig(d_in=sae.d_model, d_sae=sae.features, k=_k(sae))
    peer = sae_lens.TopKSAE(config)
    peer.W_enc.data, peer.b_enc.data = sae.W_enc, sae.b_enc
    peer.W_dec.data, peer.b_dec.data = sae.W_dec, sae.b_dec
    return peer


def dictionary_learning(sae: pr.SAE) -> Reconstruct:
    """Build dictionary_learning's TopK autoencoder."""
    from dictionary_learning.trainers.top_k import AutoEncoderTopK

    peer = AutoEncoderTopK(sae.d_model, sae.features, _k(sae))
    peer.encoder.weight.data, peer.encoder.bias.data = sae.W_enc.mT, sae.b_enc
    peer.decoder.weight.data, peer.b_dec.data = sae.W_dec.mT, sae.b_dec
    return peer


def sparsify(sae: pr.SAE) -> Any:
    """Build sparsify's autoencoder with its eager decoder: the other wants a GPU."""
    from sparsify import SparseCoder, SparseCoderConfig, sparse_coder, utils

    sparse_coder.decoder_impl = utils.eager_decode
    peer = SparseCoder(sae.d_model, SparseCoderConfig(num_latents=sae.features, k=_k(sae)))
    peer.encoder.weight.data, peer.encoder.bias.data = sae.W_enc.mT.contiguous(), sae.b_enc
    peer.W_dec.data, peer.b_dec.data = sae.W_dec, sae.b_dec
    return peer


def saelens_step(d: int, features: int, k: int | None, batch: int) -> Trained:
    """Build a training step of SAELens: TopK, or its standard (ReLU) autoencoder without k."""
    import sae_lens
    from sae_lens.config import SAETrainerConfig

    shape = {"d_in": d, "d_sae": features}
    if k is None:
        config = sae_lens.StandardTrainingSAEConfig(l1_coefficient=1e-3, **shape)
        sae = sae_lens.StandardTrainingSAE(config)
    else:
        sae = sae_lens.TopKTrainingSAE(sae_lens.TopKTrainingSAEConfig(k=k, **shape))
    settings = SAETrainerConfig(
        n_checkpoints=0,
        checkpoint_path=None,
        save_final_checkpoint=False,
        total_training_samples=10**6 * batch,
        device="cpu",
        autocast=False,
        lr=5e-4,
        lr_end=5e-4,
        train_batch_size_samples=batch,
    )
    trainer = sae_lens.SAETrainer(settings, sae, _nothing())
    return (lambda x: trainer._train_step(sae=sae, sae_in=x)), sae


def dictionary_learning_step(d: int, features: int, k: int | None, batch: int) -> Trained:
    """Build a training step of dictionary_learning: TopK, or its standard one without k."""
    from dictionary_learning.trainers.standard import StandardTrainer
    from dictionary_learning.trainers.top_k import TopKTrainer

    common: dict[str, Any] = {"steps": 10**6, "activation_dim": d, "dict_size": features}
    common |= {"layer": 0, "lm_name": "none", "device": "cpu", "seed": 0}
    trainer = (
        StandardTrainer(l1_penalty=1e-3, **common) if k is None else TopKTrainer(k=k, **common)
    )
    return (lambda x: trainer.update(1, x)), trainer.ae


def _k(sae: pr.SAE) -> int:
    assert isinstance(sae.activation, pr.TopK)
    return sae.activation.k


def _nothing() -> Iterator[Tensor]:
    yield from ()
