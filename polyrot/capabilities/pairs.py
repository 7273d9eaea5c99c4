"""Two seeds at one site, on the same tokens: the input of most measurements."""

import math
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from polyrot.capabilities.joint_pairs import JointPairs, PairMoments
from polyrot.linalg.moments import Centred, Moments
from polyrot.linalg.procrustes import Alignment, Group, align
from polyrot.sae.metrics import reconstruct
from polyrot.sae.model import SAE
from polyrot.stats.average import Measured, averaged
from polyrot.stats.estimate import Estimate
from polyrot.suites.draws import draw_seed

KEPT_NUMBERS = 2**23
"""Numbers in an activation set that stays in memory as float64 while many pairs use it; larger sets
are streamed."""

Metric = Callable[[Tensor, Tensor], float]
"""An explained variance of (reconstruction, activations)."""

PairMeasure = Callable[["Pair"], float | Measured]
"""The number measured on a pair, or that number with details that are reported with it."""

World = Callable[["Pair"], "Pair"]
"""A transformation of a pair after which the truth of a claim is known."""


@dataclass(frozen=True)
class Pair:
    """An ordered pair of seeds: the source, whose autoencoder is used, and the target."""

    seeds: tuple[int, int]
    site: str
    source: Float[Tensor, "token d_model"]
    target: Float[Tensor, "token d_model"]
    before_training: Callable[[], tuple[Tensor, Tensor]]
    """Gives source and target before training, on the same tokens: for controls."""
    held_out: Bool[Tensor, " token"]
    load_sae: Callable[[], SAE]
    """Loads the source's autoencoder at this site, or raises NotRun: not every claim needs it."""
    joint: JointPairs | None = None
    """The sets of the site; large ones sum their moments together."""
    group: Group = "scaled"
    """The kind of the map: a rotation and one scale, as seeds differ in norm."""
    fit: Callable[["Pair"], Alignment] = field(default=lambda pair: pair.procrustes(pair.group))
    """How the map from the target's to the source's basis is found; a control replaces it."""

    @property
    def alignment(self) -> Alignment:
        """The map from the target's basis to the source's, by `fit`."""
        return self.fit(self)

    @property
    def carrying(self) -> Alignment:
        """The same rotation, with the scale that matches the norms of both seeds.

        For what is read or steered in the source's basis: the scale of least squares, which
        explains most, would shorten whatever is noisy, in either direction of a pair.
        """
        found = self.alignment
        if found.group != "scaled":
            return found
        fitted, _ = self.moments
        return replace(found, scale=math.sqrt(fitted.target_variance / fitted.source_variance))

    @property
    def d_model(self) -> int:
        return self.source.shape[1]

    @property
    def sae(self) -> SAE:
        """The source's autoencoder at this site."""
        return self.load_sae()

    def draw_seed(self, salt: int) -> int:
        """Return the seed of a control's random draw, by pair, site and control."""
        return draw_seed(*self.seeds, zlib.crc32(self.site.encode()), salt)

    def generator(self, salt: int) -> torch.Generator:
        return torch.Generator().manual_seed(self.draw_seed(salt))

    @cached_property
    def moments(self) -> PairMoments:
        """Moments from target to source of the tokens to fit, and of those held out, if any."""
        if self.source.numel() > KEPT_NUMBERS:
            return self._streamed_moments()
        (y, held_y), (x, held_x) = (_halves(z, self.held_out) for z in (self.target, self.source))
        held = Moments.from_centred(held_y, held_x) if held_y and held_x else None
        return Moments.from_centred(y, x), held

    def _streamed_moments(self) -> PairMoments:
        shared = self.joint and self.joint.moments(self.source, self.target, self.held_out)
        if shared:
            return shared
        held = self.held_out if bool(self.held_out.any()) else None
        if held is None:
            return Moments.from_arrays(self.target, self.source), None
        fit = Moments.from_arrays(self.target[~held], self.source[~held])
        return fit, Moments.from_arrays(self.target[held], self.source[held])

    def procrustes(self, group: Group = "O") -> Alignment:
        """Fit target onto source on the tokens that are not held out."""
        fit, held = self.moments
        seed = self.draw_seed(19)  # per pair: undetermined directions are not rotated alike in all
        return align(moments=fit, holdout_moments=held, group=group, seed=seed)

    def source_ev(self, explained: Metric, *, held_out: bool) -> float:
        """Return how well the source's autoencoder reconstructs the source: the within-seed EV."""
        return _source_ev(self.sae, self.source, self.held_out if held_out else None, explained)

    @property
    def scored(self) -> Bool[Tensor, " token"]:
        """The tokens to score on: those held out, or all if none are."""
        return self.held_out if bool(self.held_out.any()) else ~self.held_out

    def as_published(self) -> "Pair":
        """Do as arXiv 2605.24577: fit without a scale, and score on the tokens of the fit."""
        return replace(self, held_out=_nothing(len(self.held_out)), group="O")

    def with_target(self, target: Float[Tensor, "token d_model"]) -> "Pair":
        return replace(self, target=target)


@lru_cache(maxsize=32)  # the same for every target and control; tensors hash by identity
def _source_ev(sae: SAE, x: Tensor, rows: Tensor | None, explained: Metric) -> float:
    x = x if rows is None else x[rows]
    return explained(reconstruct(sae, x), x)


@lru_cache(maxsize=32)  # a trained model is in many pairs; a control's target in one
def _halves(x: Tensor, held_out: Tensor) -> tuple[Centred, Centred | None]:
    """Centre the tokens to fit and those held out separately."""
    held = Centred.of("held-out activations", x[held_out]) if bool(held_out.any()) else None
    return Centred.of("activations", x[~held_out] if held else x), held


@lru_cache(maxsize=2)
def _nothing(tokens: int) -> Bool[Tensor, " token"]:
    return torch.zeros(tokens, dtype=torch.bool)


def as_trained(pair: Pair) -> Pair:
    """The models themselves: no control."""
    return pair


def average_over_pairs(
    pairs: Iterable[Pair], measure: PairMeasure, *, anchor: int | None = None
) -> Estimate:
    """Average a measurement over pairs, with a seed-level interval.

    As `polyrot.stats.average.average`; the details also hold the extremes over pairs and the mean
    over the pairs from the first seed, which papers print.
    """
    found = {}
    for pair in pairs:
        value = measure(pair)
        found[pair.seeds] = value if isinstance(value, Measured) else Measured(value)
    values = {seeds: measured.value for seeds, measured in found.items()}
    first = min(source for source, _ in values)
    anchored = [value for (source, _), value in values.items() if source == first]
    extremes = {
        "lowest pair": min(values.values()),
        "highest pair": max(values.values()),
        f"mean from seed {first}": sum(anchored) / len(anchored),
    }
    estimate = averaged(found, anchor=anchor)
    return replace(estimate, details={**extremes, **estimate.details})
