"""Autoencoders and vectors of one model, carried into another's basis."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from polyrot.files import write_atomically
from polyrot.linalg.procrustes import Alignment
from polyrot.sae.model import SAE

Vectors = Mapping[str, Tensor]


def load_sae(path: Path) -> SAE:
    """Load an autoencoder saved by SAELens, sparsify or dictionary_learning."""
    return SAE.load(path)


def load_vectors(path: Path) -> Vectors:
    """Load vectors `[..., d_model]` by name; the name is empty for a `.npy` file.

    Raises:
        ValueError: if the file is neither `.npy` nor `.safetensors`, or is damaged.
    """
    if not path.is_file():
        raise ValueError(f"Expected a file of vectors but there is no file {path}")
    try:
        if path.suffix == ".npy":
            return {"": torch.from_numpy(np.load(path, allow_pickle=False))}
        if path.suffix == ".safetensors":
            return load_file(path)
    except (ValueError, OSError, SafetensorError) as error:
        raise ValueError(f"Expected vectors in {path}: {error}") from None
    raise ValueError(f"Expected a .npy or .safetensors file of vectors but got {path}")


def check_width(path: Path, what: SAE | Vectors, d_model: int) -> None:
    """Raise ValueError if what was loaded from a path does not have width `d_model`."""
    if isinstance(what, SAE):
        if what.d_model != d_model:
            raise ValueError(
                f"Expected an SAE of d_model {d_model} in {path} but got {what.d_model}"
            )
        return
    for name, vector in what.items():
        if vector.shape[-1:] != (d_model,) or not vector.is_floating_point():
            raise ValueError(
                f"Expected floating [..., {d_model}] in {path} but {name or 'it'} is "
                f"{vector.dtype} {list(vector.shape)}"
            )


def write_carried(path: Path, what: SAE | Vectors, fit: Alignment) -> Path:
    """Carry what was loaded from a path, and write it to the same name with `-carried` added."""
    target = path.with_name(f"{path.stem}-carried{path.suffix}")
    if isinstance(what, SAE):
        what.carried(fit).save(target)
        return target
    carried = {
        name: fit.carry_vector(vector).to(vector.dtype).contiguous()
        for name, vector in what.items()
    }
    if path.suffix == ".npy":
        write_atomically(target, partial(_save_array, carried[""]))
    else:
        write_atomically(target, partial(save_file, carried))
    return target


def _save_array(vector: Tensor, path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, vector.numpy())
