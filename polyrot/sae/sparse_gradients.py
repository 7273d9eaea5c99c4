"""Gradients of the loss where so many features are on: matrix products, or sums of few rows."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import embedding_bag

from polyrot.sae.activations import SparseActivation, TopK
from polyrot.sae.sparse import SparseFeatures, encode_sparse

Weights = dict[str, Tensor]

DENSE = 4
"""Features for each that is on, up to which matrix products of a whole stack are faster on a CPU.

At four 1.8 to 4 times as fast, at eight slower.
"""


def sparse_gradients(
    weights: Weights, x: Float[Tensor, "stack token d_model"], activation: SparseActivation
) -> Weights:
    """Differentiate the mean squared error over tokens and dimensions by hand.

    Which features are on is taken as given, as everywhere but on a null set it is.  Returns
    the gradient of every weight of every autoencoder; a test compares them with autograd.
    No sum depends on the order in which threads finish, and none couples the stack.
    """
    features = weights["W_enc"].shape[2]
    if features <= DENSE * activation.on:
        return _dense_gradients(weights, x, activation)
    gradients = {name: torch.empty_like(w) for name, w in weights.items()}
    for i, tokens in enumerate(x):
        alone = {name: w[i] for name, w in weights.items()}
        for name, gradient in _gradients(alone, tokens, activation).items():
            gradients[name][i] = gradient
    return gradients


def auxiliary_gradients(
    weights: Weights,
    centred: Float[Tensor, "token d_model"],
    left: Float[Tensor, "token d_model"],
    activation: SparseActivation,
) -> Weights:
    """Differentiate the mean squared error of features of one autoencoder on what others leave.

    Args:
        weights: `W_enc`, `b_enc` and `W_dec` of those features alone.
        centred: tokens less the decoder's bias, which this loss leaves as it is.
        left: what they should reconstruct, without a bias; taken as given.
        activation: which of them are on.
    """
    return _part_gradients(weights, centred, left, activation)[0]


def _dense_gradients(
    weights: Weights, x: Float[Tensor, "stack token d_model"], activation: SparseActivation
) -> Weights:
    """Differentiate the losses of all autoencoders at once."""
    centred = x - weights["b_dec"][:, None]
    pre = torch.baddbmm(weights["b_enc"][:, None], centred, weights["W_enc"])
    features = activation(pre.flatten(0, 1)).view_as(pre)
    error = torch.bmm(features, weights["W_dec"]) - centred
    error *= 2 / centred[0].numel()
    slope = torch.bmm(error, weights["W_dec"].mT) * (features != 0)
    b_enc = slope.sum(1)
    return {
        "W_enc": torch.bmm(centred.mT, slope),
        "b_enc": b_enc,
        "W_dec": torch.bmm(features.mT, error),
        "b_dec": error.sum(1) - torch.bmm(b_enc[:, None], weights["W_enc"].mT)[:, 0],
    }


def _gradients(
    weights: Weights, x: Float[Tensor, "token d_model"], activation: SparseActivation
) -> Weights:
    """Differentiate the loss of one autoencoder."""
    centred = x - weights["b_dec"]
    gradients, error = _part_gradients(weights, centred, centred, activation)
    gradients["b_dec"] = error.sum(0) - weights["W_enc"] @ gradients["b_enc"]
    return gradients


def _part_gradients(
    weights: Weights,
    centred: Float[Tensor, "token d_model"],
    wanted: Float[Tensor, "token d_model"],
    activation: SparseActivation,
) -> tuple[Weights, Float[Tensor, "token d_model"]]:
    """Differentiate by all but the decoder's bias, and by what is decoded."""
    features = encode_sparse(centred, weights["W_enc"], weights["b_enc"], activation)
    # The tape of this one operation is torch's product of each row that is on with the error.
    values = features.values.requires_grad_()
    with torch.enable_grad():
        decoded = embedding_bag(
            features.index, weights["W_dec"].detach(), per_sample_weights=values, mode="sum"
        )
    error = (decoded.detach() - wanted).mul_(2 / wanted.numel())
    (slope,) = torch.autograd.grad(decoded, values, error)
    if isinstance(activation, TopK):
        # The ReLU passes no gradient where it is off.
        slope = torch.ops.aten.threshold_backward(slope, values.detach(), 0.0)
    by_feature = _ByFeature(features, len(weights["W_dec"]))
    W_enc = by_feature.sum(slope, centred).mT
    b_enc = by_feature.sum(slope, torch.ones_like(centred[:, :1]))[:, 0]
    W_dec = by_feature.sum(values.detach(), error)
    return {"W_enc": W_enc, "b_enc": b_enc, "W_dec": W_dec}, error


class _ByFeature:
    """The tokens that have each feature on.

    Sorted by feature, a sum over a feature's tokens is the sum over a bag of rows that
    decoding is over a token's features: no scatter, so no two threads add to one row.
    """

    def __init__(self, features: SparseFeatures, count: int) -> None:
        flat = features.index.flatten()
        self._order = flat.int().argsort(stable=True)  # half the bytes, half the time
        self._tokens = self._order // features.index.shape[1]
        sizes = torch.bincount(flat, minlength=count)
        self._starts = sizes.cumsum(0) - sizes

    def sum(
        self, factors: Float[Tensor, "token k"], rows: Float[Tensor, "token d"]
    ) -> Float[Tensor, "feature d"]:
        """Sum, for each feature, its tokens' rows times its factor in each."""
        factors = factors.flatten()[self._order]
        return embedding_bag(
            self._tokens, rows, self._starts, per_sample_weights=factors, mode="sum"
        )
