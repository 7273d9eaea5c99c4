"""Autoencoders that trainers write: rounded, with their recipe and figures as metadata."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.cache import content_key
from polyrot.models.encoder_cohorts import EncoderCohort
from polyrot.progress import Progress, within
from polyrot.sae.metrics import ev, ev_published, l0, reconstruct
from polyrot.sae.model import SAE
from polyrot.sae.recipe import SAEConfig
from polyrot.sae.training import train_saes
from polyrot.suites.artifacts import SAEName

NOISE = "noise"
"""Site name of Gaussian activations, which belong to no model."""
SAES_STORED_AS = {"saes stored as": "float16; their figures are of the rounded weights"}
SAE_RECIPE = SAEConfig(expansion=4, l1=1e-3, steps=2_000, batch=1_024, learning_rate=1e-3)


def noise_activations(seed: int, tokens: int, d_model: int) -> Float[Tensor, "token d_model"]:
    """Draw Gaussian activations with a random mean and covariance, unrelated to any model."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d_model, d_model, generator=generator) / d_model**0.5
    mean = torch.randn(d_model, generator=generator)
    noise: Tensor = torch.randn(tokens, d_model, generator=generator) @ mixing + mean
    return noise


def fingerprint(x: Tensor) -> str:
    """Identify activations in a cache key by their sum of squares.

    To six digits: further ones depend on the number of threads.
    """
    return f"{float(x.double().square().sum()):.6g}"


def train_sae_stack(
    names: list[SAEName],
    data: list[Tensor],
    config: SAEConfig,
    work: Path,
    progress: Progress,
) -> dict[SAEName, SAE]:
    """Train one stack, or read it from `work` if it was trained on the same data.

    Autoencoders are returned as they are shipped: rounded to half precision, with metadata.
    """
    digest = [fingerprint(x) for x in data]
    # An empty kind is left out of the key, so that stacks trained before kinds existed are found.
    named = [{key: value for key, value in asdict(n).items() if value != ""} for n in names]
    key = content_key({"sae": config.recipe(), "names": named, "data": digest})
    folders = [work / f"sae-{key}" / str(index) for index in range(len(names))]
    if all((folder / "cfg.json").is_file() for folder in folders):
        progress(1, "trained earlier")
    else:
        trained = train_saes(
            data,
            [config] * len(data),
            checkpoint=work / f"sae-{key}" / "training.pt",
            progress=progress,
        )
        for folder, sae in zip(folders, trained, strict=True):
            sae.save(folder)
    loaded = map(SAE.load, folders)
    return {
        name: as_shipped(sae, x, config) for name, sae, x in zip(names, loaded, data, strict=True)
    }


def encoder_saes(
    cohort: EncoderCohort,
    site: str,
    x: Float[Tensor, "seed token d_model"],
    work: Path,
    progress: Progress,
) -> dict[SAEName, SAE]:
    """Train one autoencoder per seed, from the SAE seed 0 that all share."""
    names = [SAEName(seed, site, 0) for seed in cohort.seeds]
    data = [of_seed.clone() for of_seed in x]
    progress = within(progress, what=f"{cohort.name}: SAE {site}")
    return train_sae_stack(names, data, SAE_RECIPE, work, progress)


def as_shipped(sae: SAE, x: Float[Tensor, "token d_model"], config: SAEConfig) -> SAE:
    """Round an autoencoder to half precision; add its recipe and its figures on tokens."""
    rounded = sae.to(torch.float16)
    return replace(rounded, metadata=_metadata(rounded.to(torch.float32), x.cpu(), config))


def _metadata(sae: SAE, x: Tensor, config: SAEConfig) -> dict[str, Any]:
    reconstruction = reconstruct(sae, x)
    figures = {
        "ev": ev(reconstruction, x),
        "ev_published": ev_published(reconstruction, x),
        "l0": l0(sae, x),
    }
    return {**config.recipe(), **{key: float(f"{value:.6g}") for key, value in figures.items()}}
