"""Checkpoints released by the paper's author: pickled, with the names used here.

The layout (arXiv 2605.24577, released code): `ckpt_{step:07d}.pt` holds `model_state` (every
tensor of `TransformerConfig.shapes()` and the position code `W_pos`), `cfg`, `step`, and
`metrics` (of the training batch at that step).
"""

import io
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from polyrot.models.transformer import State, TransformerConfig, analytic_positions

POSITIONS = "W_pos"
POSITION_TOLERANCE = 1e-6
"""Code computed in float32 differs from ours by less than this."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The weights of one seed at one step."""

    state: State
    step: int
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Stored in the file but not used here: they are of a training batch, not held-out data."""


def read_checkpoint(path: Path, config: TransformerConfig = TransformerConfig()) -> Checkpoint:
    """Read a released checkpoint; nothing that its pickle asks to run is run.

    Args:
        path: a `ckpt_*.pt`.
        config: the architecture that it must have.

    Raises:
        ValueError: where it is not such a checkpoint, is damaged, has another architecture,
            or could run code; the message names the file and everything wrong in it.
    """
    payload = load_pickled(path, ("model_state", "step"))
    _check_architecture(path, payload.get("cfg") or {}, config)
    shapes = config.shapes() | {POSITIONS: (config.context, config.d_model)}
    state = checked_tensors(path, "model_state", payload["model_state"], shapes)
    off = float((state.pop(POSITIONS) - analytic_positions(config)).abs().max())
    if not off <= POSITION_TOLERANCE:
        raise ValueError(
            f"Expected the paper's analytic position code as {POSITIONS} in {path} but an entry is "
            f"off by {off:.2g}; models with learned positions are not read"
        )
    step, metrics = payload["step"], payload.get("metrics")
    if not isinstance(step, int):
        raise ValueError(f"Expected a number as step in {path} but got {step!r:.80}")
    return Checkpoint(state, step, metrics if isinstance(metrics, Mapping) else {})


def load_pickled(path: Path, keys: tuple[str, ...]) -> Mapping[str, Any]:
    """Load the dictionary with these keys from a `.pt` file, without running anything in it.

    Raises:
        ValueError: where it is not such a file, or its pickle asks for more than tensors,
            numbers, text and collections of them.
    """
    again = "download it again, or have it saved again as a dictionary of tensors"
    content = io.BytesIO(path.read_bytes())
    try:
        payload = torch.load(content, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # Torch names what it refused, after advice to allow it, which does not suit users here.
        asked = re.search(r"GLOBAL (\S+)", str(error))
        more = f"asks for {asked[1]}" if asked else "is damaged, or asks for more"
        raise ValueError(
            f"Expected nothing but tensors, numbers and text in {path} but its pickle {more}; "
            f"it could run code and was not loaded: {again}"
        ) from None
    except Exception as error:
        # A damaged file can fail anywhere in torch's reader, with any exception.
        raise ValueError(f"Expected a PyTorch file in {path} but it is damaged: {again}") from error
    missing = [key for key in keys if not (isinstance(payload, dict) and key in payload)]
    if missing:
        found = sorted(map(str, payload)) if isinstance(payload, dict) else type(payload).__name__
        raise ValueError(f"Expected {', '.join(missing)} in {path} but got {found}")
    return dict(payload)


def checked_tensors(
    path: Path, what: str, tensors: Any, shapes: Mapping[str, tuple[int, ...]]
) -> State:
    """Return tensors as float32, after checking all their names and shapes.

    Raises:
        ValueError: one message with every tensor that is missing, unexpected, or of another
            shape or kind.
    """
    if not isinstance(tensors, Mapping):
        raise ValueError(f"Expected tensors by name as {what} in {path} but got {tensors!r:.80}")
    wrong = []
    for name in sorted({*shapes, *tensors}, key=str):
        tensor = tensors.get(name)
        if name not in shapes:
            wrong.append(f"{name} is not expected")
        elif name not in tensors:
            wrong.append(f"{name} {shapes[name]} is missing")
        elif not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            kind = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
            wrong.append(f"{name} is not a float tensor but {kind}")
        elif tuple(tensor.shape) != shapes[name]:
            wrong.append(f"{name} is {tuple(tensor.shape)}, expected {shapes[name]}")
    if wrong:
        raise ValueError(
            f"Expected the tensors of the released layout as {what} in {path} but: "
            + "; ".join(wrong)
        )
    # In our order: results must not depend on the order of tensors in a file.
    return {name: tensors[name].detach().float().contiguous().clone() for name in shapes}


def _architecture(config: TransformerConfig) -> dict[str, Any]:
    """Return the released `cfg` of an architecture."""
    return {
        "vocab_size": config.vocabulary,
        "d_model": config.d_model,
        "n_heads": config.heads,
        "d_head": config.d_head,
        "d_mlp": config.d_mlp,
        "n_layers": config.layers,
        "n_ctx": config.context,
        "n_depth": config.depths,
        "n_valid": 2,
        "rmsnorm_eps": config.norm_eps,
        "use_rmsnorm": True,
        "pos_encoding": "structured",
    }


def _check_architecture(path: Path, found: Any, config: TransformerConfig) -> None:
    """Raise ValueError where a `cfg` contradicts the architecture; it may be absent."""
    if not isinstance(found, Mapping):
        raise ValueError(f"Expected a dictionary as cfg in {path} but got {found!r:.80}")
    wrong = [
        f"{key} is {found[key]!r}, expected {value!r}"
        for key, value in _architecture(config).items()
        if key in found and found[key] != value
    ]
    if wrong:
        raise ValueError(
            f"Expected the paper's architecture in {path} but: {'; '.join(wrong)}; "
            "models of other sizes are not read"
        )
