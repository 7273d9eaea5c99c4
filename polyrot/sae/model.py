"""A trained sparse autoencoder, and the SAELens directory layout it is stored in."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from polyrot.files import write_atomically

if TYPE_CHECKING:
    from polyrot.linalg.procrustes import Alignment

CONFIG_FILE = "cfg.json"
WEIGHTS_FILE = "sae_weights.safetensors"
_TENSORS = ("W_enc", "b_enc", "W_dec", "b_dec")


@dataclass(frozen=True, eq=False)
class SAE:
    """A ReLU autoencoder `relu((x - b_dec) W_enc + b_enc) W_dec + b_dec`."""

    W_enc: Float[Tensor, "d_model feature"]
    b_enc: Float[Tensor, " feature"]
    W_dec: Float[Tensor, "feature d_model"]
    b_dec: Float[Tensor, " d_model"]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """How it was trained; stored with it, never read by the arithmetic."""

    @property
    def d_model(self) -> int:
        return self.W_dec.shape[1]

    @property
    def features(self) -> int:
        return self.W_dec.shape[0]

    def encode(self, x: Float[Tensor, "token d_model"]) -> Float[Tensor, "token feature"]:
        """Compute the feature activations of tokens, in the autoencoder's precision."""
        x = x.to(self.W_enc.dtype)
        return torch.relu(torch.addmm(self.b_enc, x - self.b_dec, self.W_enc))

    def decode(self, z: Float[Tensor, "token feature"]) -> Float[Tensor, "token d_model"]:
        """Reconstruct tokens from feature activations."""
        return torch.addmm(self.b_dec, z, self.W_dec)

    def carried(self, alignment: "Alignment") -> "SAE":
        """Express the autoencoder in the basis that `alignment` maps onto.

        See `Alignment.carry_sae`.
        """
        forward = alignment.rotation * alignment.scale
        back = alignment.inverse()
        backward = back.rotation * back.scale
        dtype = self.W_enc.dtype
        b_dec = (self.b_dec.double() - alignment.source_mean) @ forward + alignment.target_mean
        return SAE(
            (backward @ self.W_enc.double()).to(dtype),
            self.b_enc,
            (self.W_dec.double() @ forward).to(dtype),
            b_dec.to(dtype),
            self.metadata,
        )

    def save(self, path: str | Path) -> None:
        """Write the directory `path` in the layout of SAELens: config and safetensors."""
        folder = Path(path)
        config = {
            "architecture": "standard",
            "d_in": self.d_model,
            "d_sae": self.features,
            "dtype": str(self.W_enc.dtype).removeprefix("torch."),
            "device": "cpu",
            "apply_b_dec_to_input": True,
            "normalize_activations": "none",
            "reshape_activations": "none",
            "metadata": dict(self.metadata),
        }
        tensors = {name: getattr(self, name).contiguous().cpu() for name in _TENSORS}
        write_atomically(folder / WEIGHTS_FILE, lambda p: save_file(tensors, p))
        text = json.dumps(config, indent=1, sort_keys=True) + "\n"
        write_atomically(folder / CONFIG_FILE, lambda p: p.write_text(text))

    @classmethod
    def load(cls, path: str | Path) -> "SAE":
        """Read a directory in the layout of SAELens.

        Raises:
            FileNotFoundError: where one of its two files is missing.
            ValueError: where it is not a standard ReLU autoencoder, or is damaged.
        """
        folder = Path(path)
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            if not (folder / name).is_file():
                raise FileNotFoundError(
                    f"Expected {folder} to be an SAE directory with {CONFIG_FILE} and "
                    f"{WEIGHTS_FILE} but {name} is missing"
                )
        config = json.loads((folder / CONFIG_FILE).read_text())
        expected = {
            "architecture": "standard",
            "apply_b_dec_to_input": True,
            "normalize_activations": "none",
        }
        for key, value in expected.items():
            if config.get(key, value) != value:
                raise ValueError(
                    f"Expected {key}={value!r} in {folder / CONFIG_FILE} but got {config[key]!r}; "
                    "only standard ReLU autoencoders can be read"
                )
        try:
            tensors = load_file(folder / WEIGHTS_FILE)
        except SafetensorError as error:
            raise ValueError(f"Expected safetensors in {folder / WEIGHTS_FILE}: {error}") from None
        missing = [name for name in _TENSORS if name not in tensors]
        if missing:
            raise ValueError(f"Expected {missing} in {folder / WEIGHTS_FILE}")
        return cls(**{n: tensors[n] for n in _TENSORS}, metadata=config.get("metadata", {}))
