"""Moments of several pairs in a folder, a file each matrix: what pairs share is stored once."""

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
    for (a, b), own in moments.items():
        i, j = names.index(a), names.index(b)
        matrices = {
            f"{i}": own.source_mean,
            f"{j}": own.target_mean,
            f"{i}-{i}": own.source,
            f"{j}-{j}": own.target,
            f"{i}-{j}": own.cross,
        }
        for name, matrix in matrices.items():
            np.save(folder / f"{name}.npy", matrix.cpu().numpy())
    index = {"count": own.count, "names": names, "pairs": list(moments)}
    write_atomically(folder / INDEX, lambda path: path.write_text(json.dumps(index)))


def read_moments(folder: Path, *pairs: Pair) -> dict[Pair, Moments]:
    """Map the moments of some pairs, by default of all; what is not looked at takes no memory.

    Raises:
        FileNotFoundError: where no moments were written there.
        KeyError: where there are none of a pair.
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
    # Copied on write: whoever writes to the tensor does not write to the file.
    return torch.from_numpy(np.load(file, mmap_mode="c"))
