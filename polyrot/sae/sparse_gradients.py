"""Gradients of the loss with a bounded number of active features: products, or sums of rows."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import embedding_bag

from polyrot.sae.activations import SparseActivation, TopK
from polyrot.sae.sparse import SparseFeatures, encode_sparse

Weights = dict[str, Tensor]

DENSE = 4
"""Features per active one up to which matrix products of a whole stack are faster on a CPU.

At four they are 1.8 to 4 times as fast, at eight slower.
"""


def sparse_gradients(
    weights: Weights, x: Float[Tensor, "stack token d_model"], activation: SparseActivation
) -> Weights:
    """Differentiate the mean squared error over tokens and dimensions by hand.

    The set of active features is taken as fixed, which it is except on a null set.  Returns
    the gradient of every weight of every autoencoder; a test compares them with autograd.
    No sum depends on the order in which threads finish, and nothing couples the stack.
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
    """Differentiate the mean squared error of some features on the residual of the others.

    Args:
        weights: `W_enc`, `b_enc` and `W_dec` of these features of one autoencoder.
        centred: tokens less the decoder's bias, which this loss does not change.
        left: the residual that they should reconstruct, without a bias; taken as given.
        activation: chooses the active ones among them.
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
    goal: Float[Tensor, "token d_model"],
    activation: SparseActivation,
) -> tuple[Weights, Float[Tensor, "token d_model"]]:
    """Differentiate with respect to all but the decoder's bias, and to the decoded tokens."""
    features = encode_sparse(centred, weights["W_enc"], weights["b_enc"], activation)
    # The tape of this one operation is torch's product of each active row with the error.
    values = features.values.requires_grad_()
    with torch.enable_grad():
        decoded = embedding_bag(
            features.index, weights["W_dec"].detach(), per_sample_weights=values, mode="sum"
        )
    error = (decoded.detach() - goal).mul_(2 / goal.numel())
    (slope,) = torch.autograd.grad(decoded, values, error)
    if isinstance(activation, TopK):
        # The ReLU passes no gradient where it is inactive.
        slope = torch.ops.aten.threshold_backward(slope, values.detach(), 0.0)
    by_feature = _ByFeature(features, len(weights["W_dec"]))
    W_enc = by_feature.sum(slope, centred).mT
    b_enc = by_feature.sum(slope, torch.ones_like(centred[:, :1]))[:, 0]
    W_dec = by_feature.sum(values.detach(), error)
    return {"W_enc": W_enc, "b_enc": b_enc, "W_dec": W_dec}, error


class _ByFeature:
    """The tokens in which each feature is active.

    Sorted by feature, a sum over a feature's tokens is a sum over a bag of rows, as decoding
    is over a token's features: no scatter, so no two threads add to one row.
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
