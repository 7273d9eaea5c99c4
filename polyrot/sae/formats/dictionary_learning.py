"""The layout of dictionary_learning 0.1: `ae.pt` with `config.json`.

Reads its classes that encode token by token with one matrix, in float32 and with the features
scaled as the library's `load_dictionary` scales them.
"""

from pathlib import Path

import torch

from polyrot.sae.activations import Activation, JumpReLU, ReLU, TopK
from polyrot.sae.formats.reading import (
    check_tensors,
    count_of,
    fold_decoder_norms,
    one_of,
    read_config,
    read_torch,
)
from polyrot.sae.model import SAE

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "ae.pt"

_LINEAR = {"W_enc": "encoder.weight", "b_enc": "encoder.bias", "W_dec": "decoder.weight"}
_MATRICES = {name: name for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
_STORED = {
    "AutoEncoder": {**_LINEAR, "b_dec": "bias"},
    "AutoEncoderNew": {**_LINEAR, "b_dec": "decoder.bias"},
    "AutoEncoderTopK": {**_LINEAR, "b_dec": "b_dec"},
    "BatchTopKSAE": {**_LINEAR, "b_dec": "b_dec"},
    "MatryoshkaBatchTopKSAE": _MATRICES,
    "JumpReluAutoEncoder": _MATRICES,
}
"""Names of the four tensors by class; those of a torch.nn.Linear are stored transposed."""

_UNCENTRED = ("AutoEncoderNew", "JumpReluAutoEncoder")
"""Classes whose encoder does not subtract the decoder's bias."""

_UNUSED = {
    "AutoEncoderTopK": ("k", "threshold"),
    "BatchTopKSAE": ("k",),
    "MatryoshkaBatchTopKSAE": ("k", "group_sizes"),
}
"""Tensors used only in training; `k` repeats the config."""


def read(folder: Path) -> SAE:
    """Read an autoencoder of one of the classes above.

    A BatchTopK autoencoder encodes with the threshold stored after training, as its
    library does by default, so a token's features do not depend on its batch.
    """
    file, weights_file = folder / CONFIG_FILE, folder / WEIGHTS_FILE
    trainer = read_config(file).get("trainer")
    if not isinstance(trainer, dict):
        raise ValueError(f"Expected trainer to be a JSON object in {file} but got {trainer!r}")
    kind = one_of(file, trainer, "dict_class", _STORED, "no other class can be read")
    d_model = count_of(file, trainer, "activation_dim")
    features = count_of(file, trainer, "dict_size")
    names = _STORED[kind]
    transposed = names["W_enc"] == "encoder.weight"
    shapes = {
        names["W_enc"]: (features, d_model) if transposed else (d_model, features),
        names["b_enc"]: (features,),
        names["W_dec"]: (d_model, features) if transposed else (features, d_model),
        names["b_dec"]: (d_model,),
    }
    if kind == "JumpReluAutoEncoder":
        shapes["threshold"] = (features,)
    elif "BatchTopK" in kind:
        shapes["threshold"] = ()
    stored = read_torch(weights_file)
    state = {name: t.float() for name, t in stored.items() if name not in _UNUSED.get(kind, ())}
    check_tensors(weights_file, state, shapes)
    weights = {name: state[stored_name] for name, stored_name in names.items()}
    if transposed:
        weights |= {name: weights[name].mT.contiguous() for name in ("W_enc", "W_dec")}
    if kind == "AutoEncoder":
        norms = weights["W_dec"].norm(dim=1)
        if not torch.allclose(norms, torch.ones_like(norms)):
            weights = fold_decoder_norms(weights)
    activation: Activation = ReLU()
    if "threshold" in state:
        activation = JumpReLU(state["threshold"].expand(features).contiguous())
    elif kind == "AutoEncoderTopK":
        k = count_of(file, trainer, "k", most=features)
        if "k" in stored and not torch.equal(stored["k"].long(), torch.tensor(k)):
            raise ValueError(
                f"Expected k={k} as in {file} but got k={stored['k'].tolist()} in {weights_file}; "
                "the two files belong to different autoencoders"
            )
        activation = TopK(k)
    return SAE(
        **{name: tensor.contiguous() for name, tensor in weights.items()},
        metadata=trainer,
        activation=activation,
        apply_b_dec_to_input=kind not in _UNCENTRED,
    )
