"""Moments of several pairs in a folder, one file per matrix; shared matrices are stored once."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from polyrot.files import write_atomically
from polyrot.linalg.moments import Moments

INDEX = "index.json"
Pair = tuple[str, str]


def write_moments(folder: Path, moments: Mapping[Pair, Moments]) -> None:
    """Write the moments of pairs on the same tokens, as `JointMomentStream.finish` returns them."""
    folder.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(name for pair in moments for name in pair))
    for (a, b), pair_moments in moments.items():
        i, j = names.index(a), names.index(b)
        matrices = {
            f"{i}": pair_moments.source_mean,
            f"{j}": pair_moments.target_mean,
            f"{i}-{i}": pair_moments.source,
            f"{j}-{j}": pair_moments.target,
            f"{i}-{j}": pair_moments.cross,
        }
        for name, matrix in matrices.items():
            np.save(folder / f"{name}.npy", matrix.cpu().numpy())
    index = {"count": pair_moments.count, "names": names, "pairs": list(moments)}
    write_atomically(folder / INDEX, lambda path: path.write_text(json.dumps(index)))


def read_moments(folder: Path, *pairs: Pair) -> dict[Pair, Moments]:
    """Map the moments of some pairs, by default all; only what is used is read into memory.

    Raises:
        FileNotFoundError: where no moments were written there.
        KeyError: where a pair has no moments there.
    """
    index = json.loads((folder / INDEX).read_text())
    names, known = index["names"], [tuple(pair) for pair in index["pairs"]]
    if unknown := [pair for pair in pairs if pair not in known]:
        raise KeyError(f"Expected pairs among {known} but got {unknown}")
    result = {}
    for a, b in pairs or known:
        i, j = names.index(a), names.index(b)
        files = (f"{i}", f"{j}", f"{i}-{i}", f"{j}-{j}", f"{i}-{j}")
        result[a, b] = Moments(index["count"], *(_mapped(folder / f"{f}.npy") for f in files))
    return result


def _mapped(file: Path) -> Tensor:
    # Copied on write: changing the tensor does not change the file.
    return torch.from_numpy(np.load(file, mmap_mode="c"))
