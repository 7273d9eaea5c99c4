"""Activations at sites of the residual stream, and measurements on pairs of seeds."""

from abc import abstractmethod
from collections.abc import Iterator
from functools import cache, partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from polyrot.capabilities.joint_pairs import JointPairs
from polyrot.capabilities.pairs import Pair, PairMeasure, World, as_trained, average_over_pairs
from polyrot.linalg import haar
from polyrot.models.harvest import Activations
from polyrot.sae.model import SAE
from polyrot.stats.estimate import Estimate
from polyrot.suites.capability import Capability
from polyrot.suites.draws import draw_seed
from polyrot.suites.suite import Suite

LATE_SITE = "resid_post.1"
"""The paper's late sites, `resid_post_1` and `resid_pre_2`, are one tensor."""
HALF_WAY = "half-way"
"""Kind of the autoencoders of models half way through their training."""
IMAGE = "image"
"""Kind of the autoencoders of a Haar image of a model's activations."""
IMAGE_SAE_SEED = 99
"""Their SAE seed, which no other autoencoder has."""


def haar_image(x: Float[Tensor, "token d_model"], seed: int) -> Float[Tensor, "token d_model"]:
    """Turn a model's activations by a Haar rotation, which is a function of its seed."""
    rotation = haar.sample(x.shape[1], group="O", seed=draw_seed(seed, 61))
    return x @ rotation.float()


class Autoencoders(Suite, Capability):
    """A sparse autoencoder for each model and site."""

    what = "autoencoders"

    @abstractmethod
    def sae(self, seed: int, site: str, sae_seed: int = 0) -> SAE:
        """Return the autoencoder of a model, by default from the SAE seed that all share."""

    def sae_seed(self, seed: int) -> int:
        """Return the SAE seed that no other model of the suite uses (0 is the shared one)."""
        return 1 + self.index(seed)

    def image_sae(self, seed: int, site: str) -> SAE:
        """Return an autoencoder trained on `haar_image` of a model's activations."""
        raise self.lacks("autoencoders of turned activations")


class ControlAutoencoders(Autoencoders):
    """Autoencoders that are unrelated to the suite's models."""

    what = "autoencoders for controls"

    @abstractmethod
    def control_sae(self, index: int, site: str) -> SAE:
        """Return an autoencoder unrelated to any model of the suite, from SAE seed 0.

        At the late site: of the model at `index` of another task.  At `noise`: of Gaussian
        activations.
        """


class Streams(Suite, Capability):
    """Activations of every seed on the same tokens, at sites of the residual stream."""

    what = "activations"

    def __init__(self, name: str, seeds: tuple[int, ...], sites: tuple[str, ...]) -> None:
        """Name the suite, its seeds and its sites; the last site is the late one."""
        super().__init__(name, seeds)
        self.sites = sites
        self.late_site = sites[-1]
        self._pairs: dict[tuple[str, bool], dict[tuple[int, int], Pair]] = {}

    @property
    @abstractmethod
    def activations(self) -> Activations:
        """Activations of every seed on the same tokens."""

    @property
    @abstractmethod
    def untrained_activations(self) -> Activations:
        """Activations of every seed before training, on those tokens."""

    @property
    @abstractmethod
    def held_out(self) -> Bool[Tensor, " token"]:
        """Tokens of the held-out sequences, which no fit sees."""

    @property
    def shared_coordinates(self) -> tuple[int, ...]:
        """Residual coordinates that hold what all seeds share by construction.

        A fixed position code, for example.  The others are free: how they are turned is decided by
        training.
        """
        return ()

    def pairs(
        self, site: str, *, anchored: bool = False, ordered: bool = True, free: bool = False
    ) -> Iterator[Pair]:
        """Yield pairs of seeds at a site, with the source's autoencoder.

        With `free`, on the free coordinates alone; the autoencoder is then of no use.
        """
        free = free and bool(self.shared_coordinates)
        key = (site, free)
        if key not in self._pairs:  # a pair keeps its moments: every claim sees the same pairs
            self._pairs[key] = self._make_pairs(site, free=free)
        for seeds in self.seed_pairs(anchored=anchored, ordered=ordered):
            yield self._pairs[key][seeds]

    def each_site(
        self,
        measure: PairMeasure,
        world: World = as_trained,
        *,
        anchored: bool = False,
        ordered: bool = True,
        free: bool = False,
    ) -> dict[str, Estimate]:
        """Average a measurement over the pairs of every site, in a world; pairs as `pairs` yields.

        Over all ordered pairs, over unordered ones, or over those whose source is the first seed.
        """
        return {
            site: average_over_pairs(
                map(world, self.pairs(site, anchored=anchored, ordered=ordered, free=free)),
                measure,
                anchor=self.seeds[0] if anchored else None,
            )
            for site in self.sites
        }

    def rotations(
        self, world: World = as_trained, *, published: bool = False
    ) -> dict[str, Float[Tensor, "pair d_model d_model"]]:
        """Fit the rotations of every site, in a world.

        On the free coordinates, one for each unordered pair (the other direction is the transpose),
        on the tokens that are not held out.  As published, on all coordinates, one for each pair
        from the first seed, on all tokens.
        """
        result = {}
        for site in self.sites:
            pairs = self.pairs(site, anchored=published, ordered=published, free=not published)
            fitted = [pair.as_published() if published else pair for pair in map(world, pairs)]
            result[site] = torch.stack([pair.alignment.rotation for pair in fitted])
        return result

    def _make_pairs(self, site: str, *, free: bool) -> dict[tuple[int, int], Pair]:
        def sets(activations: Activations) -> tuple[Tensor, ...]:
            x = activations.at(site)
            return (self._free(x) if free else x).unbind(0)

        @cache
        def untrained() -> tuple[Tensor, ...]:
            return sets(self.untrained_activations)

        def before_training(*indices: int) -> tuple[Tensor, Tensor]:
            source, target = (untrained()[index] for index in indices)
            return source, target

        trained = sets(self.activations)
        joint = JointPairs(trained, self.held_out)
        pairs = {}
        for seeds in self.seed_pairs():
            source, target = map(self.index, seeds)
            pairs[seeds] = Pair(
                seeds=seeds,
                site=site,
                source=trained[source],
                target=trained[target],
                before_training=partial(before_training, source, target),
                held_out=self.held_out,
                load_sae=partial(self._sae, seeds[0], site),
                joint=joint,
            )
        return pairs

    def _free(self, x: Float[Tensor, "seed token d_model"]) -> Float[Tensor, "seed token free"]:
        shared = set(self.shared_coordinates)
        return x[..., [axis for axis in range(x.shape[-1]) if axis not in shared]]

    def _sae(self, seed: int, site: str) -> SAE:
        return self.get(Autoencoders).sae(seed, site)


class Checkpoints(Streams):
    """Activations at earlier points of every seed's training."""

    what = "earlier checkpoints of its models"
    earlier: tuple[str, ...] = ("half way",)
    """Names of the earlier points."""

    @abstractmethod
    def earlier_activations(self, index: int) -> Activations:
        """Return activations of every seed at one of the `earlier` points, on the same tokens."""

    @property
    def checkpoint_sites(self) -> tuple[str, ...]:
        """The sites at which checkpoints are compared, as published."""
        return self.sites

    def last_activations(self, site: str) -> Float[Tensor, "seed token d_model"]:
        """Return activations of the last checkpoint of every seed at one of these sites."""
        return self.activations.at(site)

    def earlier_sae(self, seed: int, site: str) -> SAE:
        """Return an autoencoder trained on a seed's first earlier point, from SAE seed 0."""
        raise self.lacks("autoencoders of an earlier checkpoint")

    def checkpoint_pairs(
        self, site: str, *, other_run: bool = False, earlier: int = 0, published: bool = False
    ) -> list[Pair]:
        """Pair every seed's last checkpoint with an earlier one of the same training.

        The source is the last checkpoint with its autoencoder; as published, it is the earlier one.
        With `other_run`, targets are checkpoints of every other seed instead.
        """
        pairs = self.seed_pairs() if other_run else [(seed, seed) for seed in self.seeds]
        sets = [self.last_activations(site), self.earlier_activations(earlier).at(site)]
        sources, targets = reversed(sets) if published else sets

        def never_trained() -> tuple[Tensor, Tensor]:
            raise self.lacks("checkpoints before training, to compare with others")

        def pair(source: int, target: int) -> Pair:
            load = self.earlier_sae if published else self._sae
            return Pair(
                seeds=(source, target),
                site=site,
                source=sources[self.index(source)],
                target=targets[self.index(target)],
                before_training=never_trained,
                held_out=self.held_out,
                load_sae=partial(load, source, site),
            )

        return [pair(*seeds) for seeds in pairs]
