"""Files in the layout that the paper's author released, which polyrot reads and never writes."""

from pathlib import Path

import torch

from polyrot.models.released import POSITIONS, Checkpoint, _architecture
from polyrot.models.transformer import TransformerConfig, analytic_positions
from polyrot.sae.model import SAE
from polyrot.sae.released import _CONFIG, SAEFileName


def write_checkpoint(
    folder: Path, checkpoint: Checkpoint, config: TransformerConfig = TransformerConfig()
) -> Path:
    """Write `folder/ckpt_{step:07d}.pt` in the released layout, without an optimiser; return it."""
    payload = {
        "step": checkpoint.step,
        "model_state": {**checkpoint.state, POSITIONS: analytic_positions(config)},
        "cfg": _architecture(config),
        "metrics": dict(checkpoint.metrics),
    }
    path = folder / f"ckpt_{checkpoint.step:07d}.pt"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(payload, path)
    return path


def write_sae(folder: Path, sae: SAE, site: str, *, sae_seed: int = 0) -> Path:
    """Write an autoencoder into `folder` in the released layout and return its file."""
    expansion = sae.features // sae.d_model
    known = {theirs: sae.metadata[ours] for theirs, ours in _CONFIG.items() if ours in sae.metadata}
    payload = {
        "state": {
            "W_enc": sae.W_enc.mT.contiguous(),
            "W_dec": sae.W_dec.mT.contiguous(),
            "pre_bias": sae.b_dec,
            "b_enc": sae.b_enc,
        },
        "config": {"d_in": sae.d_model, "expansion": expansion, **known},
    }
    path = folder / str(SAEFileName(site, expansion, sae_seed))
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(payload, path)
    return path
