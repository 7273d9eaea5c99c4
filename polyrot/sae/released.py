"""Autoencoders released by the paper's author: pickled, with transposed weights.

The layout (arXiv 2605.24577, released code): `sae_{site}_x{expansion}.pt`, of SAE seed 0, or
`sae_{site}_x{expansion}_seed{k}.pt`, of SAE seed k, holds `config` and `state`: `W_enc`
`[feature, d_model]`, `W_dec` `[d_model, feature]`, `b_enc` and `pre_bias`, which is both
subtracted before encoding and added after decoding.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from polyrot.models.released import checked_tensors, load_pickled
from polyrot.sae.model import SAE

_CONFIG = {
    "l1_coef": "l1",
    "n_steps": "steps",
    "batch_size": "batch",
    "lr": "learning_rate",
    "seed": "seed",
}
"""Released names of the fields in an autoencoder's metadata."""

_NAME = re.compile(
    r"(?P<before>.*sae.*?)_(?P<place>resid_(?:pre|mid|post))_(?P<layer>\d+)"
    r"_x(?P<expansion>\d+)(?:_seed(?P<seed>\d+))?\.pt"
)


@dataclass(frozen=True)
class SAEFileName:
    """Parts of the name of a released autoencoder."""

    site: str
    expansion: int
    sae_seed: int = 0
    before: str = "sae"
    """The part before the site, which may name the model."""

    @classmethod
    def parse(cls, name: str) -> "SAEFileName | None":
        """Parse a file's name; None if it is not that of a released autoencoder."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        site = f"{found['place']}.{found['layer']}"
        return cls(site, int(found["expansion"]), int(found["seed"] or 0), found["before"])

    def __str__(self) -> str:
        seed = f"_seed{self.sae_seed}" if self.sae_seed else ""
        return f"{self.before}_{self.site.replace('.', '_')}_x{self.expansion}{seed}.pt"


def read_sae(path: Path, *, d_model: int) -> SAE:
    """Read a released autoencoder of activations of width `d_model`.

    Raises:
        ValueError: where it is not such a file, is damaged, has another width, or could run
            code; the message names the file and everything wrong in it.
    """
    payload = load_pickled(path, ("state", "config"))
    state, config = payload["state"], payload["config"]
    bias = state.get("b_enc") if isinstance(state, Mapping) else None
    features = len(bias) if isinstance(bias, Tensor) and bias.ndim == 1 else 8 * d_model
    shapes = {
        "W_enc": (features, d_model),
        "W_dec": (d_model, features),
        "pre_bias": (d_model,),
        "b_enc": (features,),
    }
    tensors = checked_tensors(path, "state", state, shapes)
    known = config if isinstance(config, Mapping) else {}
    return SAE(
        W_enc=tensors["W_enc"].mT.contiguous(),
        b_enc=tensors["b_enc"],
        W_dec=tensors["W_dec"].mT.contiguous(),
        b_dec=tensors["pre_bias"],
        metadata={ours: known[theirs] for theirs, ours in _CONFIG.items() if theirs in known},
    )
