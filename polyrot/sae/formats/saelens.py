"""The layout of SAELens: `sae_weights.safetensors` with `cfg.json`.

Reads what versions 3 to 6 write, and writes what version 6 does.  A key of the config that
changes the arithmetic is respected or refused, never ignored.  SAELens has no subspace-aware
architecture; it is called `grouptopk` here, which SAELens refuses to read.
"""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from polyrot.files import write_atomically
from polyrot.sae.activations import Activation, GroupTopK, JumpReLU, ReLU, TopK
from polyrot.sae.formats.reading import (
    Config,
    check_tensors,
    count_of,
    fold_decoder_norms,
    one_of,
    read_config,
    read_safetensors,
)
from polyrot.sae.model import SAE, WEIGHTS

CONFIG_FILE = "cfg.json"
WEIGHTS_FILE = "sae_weights.safetensors"
SCALER_FILE = "activation_scaler.json"
"""Present with a checkpoint whose input scale is not yet folded into its weights."""

_DTYPES = ("float32", "float64", "float16", "bfloat16")
_ARITHMETIC = (
    "architecture",
    "d_in",
    "d_sae",
    "k",
    "groups",
    "rank",
    "dtype",
    "device",
    "apply_b_dec_to_input",
    "normalize_activations",
    "reshape_activations",
    "rescale_acts_by_decoder_norm",
    "activation_fn",
    "activation_fn_str",
    "activation_fn_kwargs",
)


def read(folder: Path) -> SAE:
    """Read a standard, TopK, JumpReLU or GroupTopK autoencoder."""
    file = folder / CONFIG_FILE
    stored = read_config(file)
    config = _as_version_6(stored)
    architecture = _architecture(file, config)
    subtracted = one_of(file, config, "apply_b_dec_to_input", [True, False], "choose one", True)
    scale = _input_scale(file, config)
    weights = _weights(folder / WEIGHTS_FILE, file, config)
    activation: Activation = ReLU()
    if architecture == "jumprelu":
        activation = JumpReLU(weights.pop("threshold"))
    if scale != 1:
        weights["W_enc"] = weights["W_enc"] * scale
        weights |= {name: weights[name] / scale for name in ("W_dec", "b_dec")}
    if architecture == "topk":
        activation = TopK(count_of(file, config, "k", most=config["d_sae"]))
        key = "rescale_acts_by_decoder_norm"
        if one_of(file, config, key, [True, False], "choose one", default=False):
            weights = fold_decoder_norms(weights)
    if architecture == "grouptopk":
        groups, rank = (
            count_of(file, config, key, most=config["d_sae"]) for key in ("groups", "rank")
        )
        activation = GroupTopK(groups, rank)
    metadata = config.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {key: value for key, value in stored.items() if key not in _ARITHMETIC}
    return SAE(**weights, metadata=metadata, activation=activation, apply_b_dec_to_input=subtracted)


def write(sae: SAE, folder: Path) -> None:
    """Write an autoencoder; SAELens's `SAE.load_from_disk` reads all but GroupTopK."""
    config = {
        "architecture": "standard",
        "d_in": sae.d_model,
        "d_sae": sae.features,
        "dtype": str(sae.W_enc.dtype).removeprefix("torch."),
        "device": "cpu",
        "apply_b_dec_to_input": sae.apply_b_dec_to_input,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": dict(sae.metadata),
    }
    tensors = {name: getattr(sae, name) for name in WEIGHTS}
    if isinstance(sae.activation, TopK):
        config |= {
            "architecture": "topk",
            "k": sae.activation.k,
            "rescale_acts_by_decoder_norm": False,
        }
    elif isinstance(sae.activation, JumpReLU):
        config["architecture"] = "jumprelu"
        tensors["threshold"] = sae.activation.threshold
    elif isinstance(sae.activation, GroupTopK):
        config |= {"architecture": "grouptopk", **asdict(sae.activation)}
    tensors = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
    write_atomically(folder / WEIGHTS_FILE, lambda p: save_file(tensors, p))
    text = json.dumps(config, indent=1, sort_keys=True) + "\n"
    write_atomically(folder / CONFIG_FILE, lambda p: p.write_text(text))


def _as_version_6(config: Config) -> dict[str, Any]:
    """Translate older configs to the keys of version 6."""
    config = {"architecture": "standard", **config}
    config.setdefault("activation_fn", config.get("activation_fn_str", "relu"))
    if config["activation_fn"] == "topk" and config["architecture"] == "standard":
        config["architecture"] = "topk"
    if config["architecture"] == "topk" and isinstance(config.get("activation_fn_kwargs"), dict):
        config.setdefault("k", config["activation_fn_kwargs"].get("k"))
    if "hook_z" in str(config.get("hook_name", config.get("hook_point"))):
        config.setdefault("reshape_activations", "hook_z")
    normalized = config.get("normalize_activations")
    if normalized is None or isinstance(normalized, bool):
        config["normalize_activations"] = "expected_average_only_in" if normalized else "none"
    config["dtype"] = str(config.get("dtype", "float32")).removeprefix("torch.")
    return config


def _architecture(file: Path, config: Config) -> str:
    """Return the architecture, if no other key changes what its name says."""
    architecture: str = one_of(
        file,
        config,
        "architecture",
        ["standard", "topk", "jumprelu", "grouptopk"],
        "no other can be read; SAELens's `save_inference_model` writes batchtopk as jumprelu",
    )
    one_of(
        file,
        config,
        "activation_fn",
        ["relu", "topk"] if architecture == "topk" else ["relu"],
        f"no other activation of the architecture {architecture!r} can be read",
    )
    one_of(
        file,
        config,
        "reshape_activations",
        ["none"],
        "give it activations whose heads are concatenated, and set this to 'none'",
        "none",
    )
    return architecture


def _weights(file: Path, config_file: Path, config: Config) -> dict[str, Tensor]:
    """Return the architecture's tensors, by their names here, in the config's precision."""
    d_model, features = (count_of(config_file, config, key) for key in ("d_in", "d_sae"))
    dtype = one_of(config_file, config, "dtype", _DTYPES, "choose one")
    state = dict(read_safetensors(file))
    if "scaling_factor" in state and bool((state["scaling_factor"] == 1).all()):
        # Older versions store the factors of a fine-tuning even without one.
        del state["scaling_factor"]
    shapes = {
        "W_enc": (d_model, features),
        "b_enc": (features,),
        "W_dec": (features, d_model),
        "b_dec": (d_model,),
    }
    if config["architecture"] == "jumprelu":
        shapes["threshold"] = (features,)
    check_tensors(file, state, shapes)
    return {name: tensor.to(getattr(torch, dtype)) for name, tensor in state.items()}


def _input_scale(file: Path, config: Config) -> float:
    """Return the factor that multiplies inputs before encoding and divides outputs."""
    scaler = file.parent / SCALER_FILE
    one_of(
        file,
        config,
        "normalize_activations",
        ["none", "expected_average_only_in"],
        "its factor differs between tokens, or is not stored; train with "
        "'none', or with one that SAELens folds into the weights when training ends",
    )
    if config["normalize_activations"] == "none":
        return 1.0
    factor = read_config(scaler).get("scaling_factor") if scaler.is_file() else None
    if not isinstance(factor, float) or not 0 < factor < math.inf:
        raise ValueError(
            f"Expected a positive scaling_factor in {scaler} but got {factor!r}, and "
            f"normalize_activations='expected_average_only_in' in {file}; fold the scale "
            "with SAELens's `fold_activation_norm_scaling_factor` and save again"
        )
    return factor
