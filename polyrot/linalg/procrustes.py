"""Fits of one activation set to another: rotations, and the maps they are compared with."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from polyrot.linalg.assignment import nearest_permutation, nearest_signed_permutation
from polyrot.linalg.checks import Array, as_activations, check_tokens
from polyrot.linalg.cross import CrossMoments, cross_moments, whole_moments
from polyrot.linalg.identifiable import identifiable_rank, turn_undetermined
from polyrot.linalg.moments import Moments

if TYPE_CHECKING:
    from polyrot.sae.model import SAE

Group = Literal["O", "SO", "scaled", "affine", "permutation", "signed-permutation", "identity"]

COMPETITORS: tuple[Group, ...]
COMPETITORS = ("identity", "permutation", "signed-permutation", "scaled", "affine")
"""The maps that a rotation is compared with."""

RIDGES = (0.0, 1e-6, 1e-4, 1e-2, 1.0)
"""Ridge strengths of the affine fit, relative to the mean source variance."""


@dataclass(frozen=True)
class Alignment:
    """A fitted map from source to target activations, and how well it fits.

    `apply` computes `(x - source_mean) @ rotation * scale + target_mean`.  `rotation`
    is orthogonal for every group but `affine`, where it is a general matrix.  Made by
    `align`; means, rotation and singular values are float64.

    >>> x = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    >>> fit = align(x, 1 - x)
    >>> bool(torch.allclose(fit.apply(x), 1 - x.double(), atol=1e-5))
    True
    >>> bool(torch.allclose(fit.inverse().apply(1 - x), x.double(), atol=1e-5))
    True
    >>> fit.carry_vector(torch.tensor([1.0, 0.0, 0.0, 0.0])).round()[0]
    tensor(-1., dtype=torch.float64)
    """

    group: Group
    rotation: Float[Tensor, "d_model d_model"]
    scale: float
    source_mean: Float[Tensor, " d_model"]
    target_mean: Float[Tensor, " d_model"]
    ev_fit: float
    """Explained variance of the target on the tokens of the fit."""
    ev: float
    """Explained variance of the target on held-out tokens; nan if none were held out."""
    singular_values: Float[Tensor, " d_model"]
    """Those of the centred cross-covariance (divided by the token count), descending."""
    fitted: Moments | CrossMoments
    """The fitted moments; after an orthogonal fit of arrays, only those that it needs."""
    seed: int

    @cached_property
    def moments(self) -> Moments:
        """Moments of the tokens of the fit.

        After an orthogonal fit of arrays they are computed here, from the arrays.

        Raises:
            ValueError: where these arrays have been changed since the fit.
        """
        return self.fitted if isinstance(self.fitted, Moments) else self.fitted.complete()

    @cached_property
    def identifiable_rank(self) -> int:
        """Number of leading singular values above those of shuffled pairings of the tokens.

        How the rotation maps the remaining directions is chance.
        """
        return identifiable_rank(self.moments, self.seed)

    @property
    def det(self) -> float:
        """Determinant of `rotation`."""
        return float(torch.linalg.det(self.rotation))

    @property
    def condition_number(self) -> float:
        """Largest over smallest singular value of the cross-covariance."""
        largest, smallest = float(self.singular_values[0]), float(self.singular_values[-1])
        return largest / smallest if smallest > 0 else float("inf")

    def apply(self, x: Array) -> Float[Tensor, "token d_model"]:
        """Map source activations `[token, d_model]` into the target's basis, as float64."""
        x = as_activations("x", x).double()
        return (x - self.source_mean) @ self.rotation * self.scale + self.target_mean

    def inverse(self) -> "Alignment":
        """Return the map from target to source.

        The figures of merit (`ev`, `ev_fit`) describe the forward fit and become nan.

        Raises:
            ValueError: where an affine map is singular.
        """
        if self.group == "affine":
            if float(torch.linalg.cond(self.rotation)) > 1e12:
                raise ValueError("Expected an invertible map but this affine fit is singular")
            back = torch.linalg.inv(self.rotation)
        else:
            back = self.rotation.mT
        return replace(
            self,
            rotation=back,
            scale=1 / self.scale,
            fitted=self.fitted.swap(),
            source_mean=self.target_mean,
            target_mean=self.source_mean,
            ev=float("nan"),
            ev_fit=float("nan"),
        )

    def carry_vector(self, v: Array) -> Float[Tensor, "*batch d_model"]:
        """Carry directions `[..., d_model]`, such as steering vectors: no shift is applied."""
        return torch.as_tensor(v).double() @ self.rotation * self.scale

    def carry_sae(self, sae: "SAE") -> "SAE":
        """Carry a sparse autoencoder of the source into the target's basis.

        The carried autoencoder does to `apply(x)` what the original does to `x`: its
        latents are the same and its reconstruction is the carried reconstruction, for every
        activation function and group.
        """
        return sae.carried(self)


def align(
    source: Array | None = None,
    target: Array | None = None,
    *,
    moments: Moments | None = None,
    holdout_moments: Moments | None = None,
    group: Group = "O",
    holdout: float = 0.25,
    sequence: Array | None = None,
    seed: int = 0,
) -> Alignment:
    """Fit the map of a group that carries source activations onto target activations.

    Minimises `||(source - mean) @ R - (target - mean)||_F` over the group, with the
    means of the fitted tokens.  For `O` the minimiser is `U V'` from the float64 SVD of
    the centred cross-covariance (Schoenemann 1966, doi:10.1007/BF02289451); for `SO` the
    sign of the last direction makes the determinant 1.  Where the cross-covariance is
    singular, minimisers tie; `seed` breaks the tie, not rounding.

    Args:
        source, target: `[token, d_model]`, floating, the same tokens in the same order.
        moments: pass these instead of arrays to fit from streamed statistics.
        holdout_moments: moments of other tokens, for `ev`; only with `moments`.
        group: `"O"`, `"SO"`; or the competitors `"scaled"` (an orthogonal map times one
            factor), `"affine"` (ridge regression, its strength chosen by generalised
            cross-validation on the fitted tokens), `"permutation"`,
            `"signed-permutation"` and `"identity"`.
        holdout: share of the sequences kept out of the fit to measure `ev`.
        sequence: `[token]` ids; tokens of one sequence are held out together.  Without
            them, consecutive blocks of up to 64 tokens count as sequences.
        seed: chooses the held-out sequences and shuffled pairings, and breaks ties.

    Raises:
        TypeError: where an array is not of a floating type.
        ValueError: where token counts or dimensions differ, values are not finite, d_model
            is 1, or one side does not vary.

    Notes:
        Nothing is rescaled or whitened.  Tokens may be fewer than dimensions.

        An orthogonal fit of arrays takes one product of the tokens and O(d^2) additional
        memory.  Its `moments` and `identifiable_rank` take two more products, of the arrays
        that the fit refers to, when they are first read.

    >>> x = torch.randn(500, 8, generator=torch.Generator().manual_seed(0))
    >>> turn = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(1))).Q
    >>> fit = align(x, x @ turn)
    >>> bool(torch.allclose(fit.rotation, turn.double(), atol=1e-5)), round(fit.ev, 6)
    (True, 1.0)
    """
    if group not in get_args(Group):
        raise ValueError(f"Expected group to be one of {get_args(Group)} but got group={group!r}")
    if moments is None:
        if source is None or target is None:
            raise ValueError("Expected source and target, or moments, but got neither")
        return _align_arrays(source, target, group, holdout, sequence, seed)
    if source is not None or target is not None:
        raise ValueError("Expected either arrays or moments but got both")
    _check(moments)
    return _fit(moments, holdout_moments, group, seed, torch.linalg.svd(moments.cross))


def _align_arrays(
    source: Array,
    target: Array,
    group: Group,
    holdout: float,
    sequence: Array | None,
    seed: int,
) -> Alignment:
    sets = as_activations("source", source), as_activations("target", target)
    check_tokens({"source": len(sets[0]), "target": len(sets[1])})
    parts = split_tokens(len(sets[0]), sequence, holdout, seed)
    tokens = [part.to(sets[0].device) for part in parts]
    moments: list[Moments | CrossMoments]
    if group == "affine":
        moments = [whole_moments(sets, part) for part in tokens]
    else:
        moments = [cross_moments(sets, [(0, 1)], part)[0] for part in tokens]
    _check(moments[0])
    return fit_parts(moments, group, seed, torch.linalg.svd(moments[0].cross))


def fit_parts(
    parts: Sequence[Moments | CrossMoments],
    group: Group,
    seed: int,
    svd: tuple[Tensor, Tensor, Tensor],
) -> Alignment:
    """Fit to the first part of the tokens, and score on the second if there is one.

    `svd` is that of the first part's cross-covariance.
    """
    _check(parts[0])
    return _fit(parts[0], parts[1] if len(parts) > 1 else None, group, seed, svd)


def align_all(
    moments: Moments,
    groups: Iterable[Group],
    *,
    holdout_moments: Moments | None = None,
    seed: int = 0,
) -> dict[Group, Alignment]:
    """Fit the maps of several groups to the same moments; one decomposition serves all.

    Args:
        moments: moments of the tokens to fit.
        groups: as for `align`.
        holdout_moments: moments of other tokens, for `ev`.
        seed: chooses the shuffled pairings, and breaks ties.

    Raises:
        ValueError: as for `align`.
    """
    _check(moments)
    svd = torch.linalg.svd(moments.cross)
    return {group: _fit(moments, holdout_moments, group, seed, svd) for group in groups}


def split_tokens(
    count: int, sequence: Array | None, holdout: float, seed: int
) -> tuple[Tensor, ...]:
    """Choose the tokens to fit and, if there are any, those held out, by sequence."""
    if not 0 <= holdout < 1:
        raise ValueError(f"Expected 0 <= holdout < 1 but got holdout={holdout!r}")
    ids = sequence_ids(count, sequence)
    sequences = int(ids.max()) + 1
    held_count = int(holdout * sequences)
    if held_count == 0:
        return (torch.arange(count),)
    order = torch.randperm(sequences, generator=torch.Generator().manual_seed(seed))
    held = torch.isin(ids, order[:held_count])
    return tuple(part.nonzero()[:, 0] for part in (~held, held))


def sequence_ids(count: int, sequence: Array | None) -> Int[Tensor, " token"]:
    """Number the sequences of the tokens from 0: as given, or blocks of up to 64 tokens."""
    if sequence is None:
        return torch.arange(count) // max(1, min(64, count // 16))
    ids = torch.as_tensor(sequence).cpu()
    if ids.shape != (count,):
        raise ValueError(
            f"Expected sequence of shape [token] = ({count},) but got {tuple(ids.shape)}"
        )
    numbered: Tensor = torch.unique(ids, return_inverse=True)[1]
    return numbered


def _check(moments: Moments | CrossMoments) -> None:
    d_source, d_target = moments.cross.shape
    if d_source != d_target:
        raise ValueError(
            f"Expected source and target of one d_model but got {d_source} and "
            f"{d_target}; a rotation maps a space onto one of the same dimension"
        )
    for name, variance in (
        ("source", moments.source_variance),
        ("target", moments.target_variance),
    ):
        if variance <= 0:
            raise ValueError(
                f"Expected {name} to vary over tokens but all its tokens are equal; "
                "there is nothing to align"
            )


def _fit(
    fit: Moments | CrossMoments,
    held: Moments | CrossMoments | None,
    group: Group,
    seed: int,
    svd: tuple[Tensor, Tensor, Tensor],
) -> Alignment:
    u, s, vh = svd
    scale = 1.0
    if group in ("O", "SO", "scaled"):
        u = turn_undetermined(u, s, vh, seed)
        rotation = u @ vh
        if group == "SO" and float(torch.linalg.det(rotation)) < 0:
            rotation = rotation - 2 * torch.outer(u[:, -1], vh[-1])
        if group == "scaled":
            scale = float(s.sum()) / fit.source_variance
    elif group == "permutation":
        rotation = nearest_permutation(fit.cross)
    elif group == "signed-permutation":
        rotation = nearest_signed_permutation(fit.cross)
    elif group == "identity":
        rotation = torch.eye(len(s), dtype=s.dtype, device=s.device)
    else:
        assert isinstance(fit, Moments), "an affine fit needs the covariance of its source"
        rotation = _ridge(fit)
    alignment = Alignment(
        group=group,
        rotation=rotation,
        scale=scale,
        source_mean=fit.source_mean,
        target_mean=fit.target_mean,
        ev_fit=float("nan"),
        ev=float("nan"),
        singular_values=s / fit.count,
        fitted=fit,
        seed=seed,
    )
    return replace(
        alignment,
        ev_fit=explained_variance(alignment, fit),
        ev=explained_variance(alignment, held) if held is not None else float("nan"),
    )


def explained_variance(alignment: Alignment, tokens: Moments | CrossMoments) -> float:
    """Compute 1 - residual / variance of the target, token by token, from moments alone.

    The variance is about the target's mean per dimension.  The map, means included, is the
    fitted one, so tokens that it never saw are scored without refitting.  The result is nan
    where the target does not vary.
    """
    a = alignment.rotation * alignment.scale
    shift = (
        (tokens.source_mean - alignment.source_mean) @ a
        + alignment.target_mean
        - tokens.target_mean
    )
    if isinstance(tokens, Moments):
        mapped = float(torch.sum(a * (tokens.source @ a)))
    else:  # an orthogonal map preserves variance
        mapped = tokens.source_variance * alignment.scale**2
    overlap = float(torch.sum(a * tokens.cross))
    variance = tokens.target_variance
    if variance <= 0:
        return float("nan")  # nothing to explain
    residual = variance + mapped - 2 * overlap + tokens.count * float(shift @ shift)
    return 1 - residual / variance


def _ridge(moments: Moments) -> Float[Tensor, "d d"]:
    """Fit least squares with the ridge that generalised cross-validation prefers.

    GCV approximates leave-one-out and needs only moments (Golub, Heath & Wahba
    1979, doi:10.1080/00401706.1979.10489751), so the held-out tokens stay untouched.
    """
    values, vectors = torch.linalg.eigh(moments.source)
    tolerance = len(values) * torch.finfo(values.dtype).eps * values[-1]
    values = torch.where(values > tolerance, values, 0.0)
    projected = vectors.mT @ moments.cross
    best, best_score = torch.zeros_like(moments.cross), float("inf")
    for strength in RIDGES:
        damped = values + strength * values.mean()
        inverse = torch.where(values > 0, 1 / damped, 0.0)
        weights = inverse[:, None] * projected
        explained = 2 * (weights * projected).sum() - (values[:, None] * weights.square()).sum()
        freedom = moments.count - 1 - float((values * inverse).sum())
        if freedom <= 0:
            continue
        score = float(torch.trace(moments.target) - explained) / freedom**2
        if score < best_score:
            best, best_score = vectors @ weights, score
    return best
