"""The layout of EleutherAI's sparsify (eai-sparsify), as its versions 0.0 to 1.3 write it."""

from pathlib import Path

from polyrot.sae.activations import TopK
from polyrot.sae.formats.reading import (
    check_tensors,
    count_of,
    one_of,
    read_config,
    read_safetensors,
)
from polyrot.sae.model import SAE

CONFIG_FILE = "cfg.json"
WEIGHTS_FILE = "sae.safetensors"

_TRAINING_ONLY = ("normalize_decoder", "multi_topk")
"""Switches that do not change `encode` and `decode`.  Under `multi_topk` the library's
`forward` returns the reconstruction of its loss, from 4k features."""


def read(folder: Path) -> SAE:
    """Read a TopK autoencoder; transcoders and all other kinds are refused."""
    file, weights_file = folder / CONFIG_FILE, folder / WEIGHTS_FILE
    config = read_config(file)
    one_of(file, config, "activation", ["topk"], "no other activation can be read", "topk")
    # Every other switch of the library (a transcoder, a skip connection, signed latents, lookup
    # tables) changes the arithmetic, and later versions add more.
    for key in config.keys() - set(_TRAINING_ONLY):
        if config[key] is True:
            one_of(file, config, key, [False], "only plain TopK autoencoders can be read")
    d_model = count_of(file, config, "d_in")
    # `num_latents` is 0, or absent, if the expansion decides.
    if config.get("num_latents"):
        features = count_of(file, config, "num_latents")
    else:
        features = d_model * count_of(file, config, "expansion_factor")
    k = count_of(file, config, "k", most=features)
    state = read_safetensors(weights_file)
    shapes = {
        "encoder.weight": (features, d_model),
        "encoder.bias": (features,),
        "W_dec": (features, d_model),
        "b_dec": (d_model,),
    }
    check_tensors(weights_file, state, shapes)
    return SAE(
        W_enc=state["encoder.weight"].mT.contiguous(),
        b_enc=state["encoder.bias"],
        W_dec=state["W_dec"],
        b_dec=state["b_dec"],
        metadata=config,
        activation=TopK(k),
    )
