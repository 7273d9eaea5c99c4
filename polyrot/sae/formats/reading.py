"""Readers for all layouts: a file is read whole, or refused by name and with advice."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

Config = Mapping[str, Any]
State = Mapping[str, Tensor]
Shapes = Mapping[str, tuple[int, ...]]


def read_config(file: Path) -> dict[str, Any]:
    """Read a JSON object."""
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"Expected JSON in {file} but got: {error}; fetch or write it again"
        ) from None
    if not isinstance(config, dict):
        raise ValueError(f"Expected a JSON object in {file} but got a {type(config).__name__}")
    return config


def read_safetensors(file: Path) -> State:
    """Read the tensors of a safetensors file."""
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"Expected safetensors in {file} but got: {error}; fetch or write it again"
        ) from None


def read_torch(file: Path) -> State:
    """Read a dictionary of tensors from a PyTorch file, without running what is pickled in it."""
    advice = (
        "none of it was run; fetch it again, or write the tensors alone with "
        "`torch.save(autoencoder.state_dict(), ...)`"
    )
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(
            f"Expected {file} to hold tensors and nothing else but reading it raised "
            f"{type(error).__name__}; {advice}"
        ) from None
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
        raise ValueError(f"Expected {file} to hold a dictionary of tensors alone; {advice}")
    return {name: tensor.detach() for name, tensor in state.items()}


def check_tensors(file: Path, state: State, shapes: Shapes) -> None:
    """Check that a file holds these tensors and no others, of these shapes and finite."""
    differences = (
        (sorted(shapes.keys() - state.keys()), "are missing"),
        (sorted(state.keys() - shapes.keys()), "are unknown"),
    )
    found = " and ".join(f"{names} {verdict}" for names, verdict in differences if names)
    if found:
        raise ValueError(
            f"Expected the tensors {sorted(shapes)} in {file} but {found}; it is damaged, or of "
            "an architecture that its config does not name"
        )
    for name, shape in shapes.items():
        tensor = state[name]
        if tuple(tensor.shape) != shape:
            raise ValueError(
                f"Expected {name} of shape {shape} in {file} but got "
                f"{tuple(tensor.shape)}; the shapes follow from the sizes in its config"
            )
        if not bool(tensor.isfinite().all()):
            count = int((~tensor.isfinite()).sum())
            raise ValueError(
                f"Expected finite values in {file} but {count} of {name}'s {tensor.numel()} "
                "are not; its training diverged, or the file is damaged"
            )


def one_of(
    file: Path, config: Config, key: str, allowed: Iterable[Any], advice: str, default: Any = None
) -> Any:
    """Return the value of a key, or the default if it is absent, and check that it is allowed."""
    value, allowed = config.get(key, default), tuple(allowed)
    # 1 == True, but a config must not use one for the other.
    if not any(value == a and type(value) is type(a) for a in allowed):
        expected = " or ".join(map(repr, allowed))
        raise ValueError(f"Expected {key}={expected} in {file} but got {key}={value!r}; {advice}")
    return value


def count_of(file: Path, config: Config, key: str, most: int | None = None) -> int:
    """Return the value of a key that counts something, from 1 up to `most`."""
    value = config.get(key)
    if type(value) is not int or value < 1 or (most is not None and value > most):
        limit = "" if most is None else f" up to {most}"
        raise ValueError(
            f"Expected {key} to be a whole number from 1{limit} in {file} but got "
            f"{key}={value!r}; fetch or write it again"
        )
    return value


def fold_decoder_norms(weights: State) -> dict[str, Tensor]:
    """Normalise the decoder rows, and multiply the features by their norms instead.

    Takes and returns `W_enc [d_model, feature]`, `b_enc` and `W_dec [feature, d_model]`
    (among others).  The reconstruction stays the same; a feature with a zero row becomes silent.
    """
    norms = weights["W_dec"].norm(dim=1)
    return {
        **weights,
        "W_enc": weights["W_enc"] * norms,
        "b_enc": weights["b_enc"] * norms,
        "W_dec": weights["W_dec"] / torch.where(norms > 0, norms, 1.0)[:, None],
    }
