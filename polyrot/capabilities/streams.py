"""Activations at sites of the residual stream, and measurements on pairs of seeds."""

from abc import abstractmethod
from collections.abc import Iterator
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from polyrot.capabilities.joint_pairs import JointPairs
from polyrot.capabilities.pairs import Pair, PairMeasure, World, as_trained, average_over_pairs
from polyrot.models.harvest import Activations
from polyrot.sae.model import SAE
from polyrot.stats.estimate import Estimate
from polyrot.suites.capability import Capability
from polyrot.suites.suite import Suite

LATE_SITE = "resid_post.1"
"""The paper's late sites, `resid_post_1` and `resid_pre_2`, are one tensor."""


class Autoencoders(Suite, Capability):
    """A sparse autoencoder for each model and site."""

    what = "autoencoders"

    @abstractmethod
    def sae(self, seed: int, site: str, sae_seed: int = 0) -> SAE:
        """Return the autoencoder of a model, by default from the SAE seed that all share."""

    def sae_seed(self, seed: int) -> int:
        """Return the SAE seed that no other model of the suite uses (0 is the shared one)."""
        return 1 + self.index(seed)


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
        self._pairs: dict[str, dict[tuple[int, int], Pair]] = {}

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

    def pairs(self, site: str, *, anchored: bool = False, ordered: bool = True) -> Iterator[Pair]:
        """Yield pairs of seeds at a site, with the source's autoencoder."""
        if site not in self._pairs:  # a pair keeps its moments: every claim sees the same pairs
            self._pairs[site] = self._make_pairs(site)
        for seeds in self.seed_pairs(anchored=anchored, ordered=ordered):
            yield self._pairs[site][seeds]

    def each_site(
        self,
        measure: PairMeasure,
        world: World = as_trained,
        *,
        anchored: bool = False,
    ) -> dict[str, Estimate]:
        """Average a measurement over the pairs of every site, in a world.

        Over all ordered pairs, or over those whose source is the first seed.
        """
        return {
            site: average_over_pairs(
                map(world, self.pairs(site, anchored=anchored)),
                measure,
                anchor=self.seeds[0] if anchored else None,
            )
            for site in self.sites
        }

    def rotations(
        self, world: World = as_trained, *, published: bool = False
    ) -> dict[str, Float[Tensor, "pair d_model d_model"]]:
        """Fit the rotations of every site, in a world.

        One for each unordered pair (the other direction is the transpose), on the tokens that are
        not held out; as published, one for each pair from the first seed, on all tokens.
        """
        result = {}
        for site in self.sites:
            pairs = map(world, self.pairs(site, anchored=published, ordered=published))
            fitted = [pair.on_all_tokens() if published else pair for pair in pairs]
            result[site] = torch.stack([pair.alignment.rotation for pair in fitted])
        return result

    def _make_pairs(self, site: str) -> dict[tuple[int, int], Pair]:
        trained = self.activations.at(site).unbind(0)
        untrained = self.untrained_activations.at(site).unbind(0)
        joint = JointPairs(trained, self.held_out)
        return {
            (source, target): Pair(
                seeds=(source, target),
                site=site,
                source=trained[self.index(source)],
                target=trained[self.index(target)],
                untrained=untrained[self.index(target)],
                held_out=self.held_out,
                load_sae=partial(self._sae, source, site),
                joint=joint,
            )
            for source, target in self.seed_pairs()
        }

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

    def checkpoint_pairs(
        self, site: str, *, other_run: bool = False, earlier: int = 0
    ) -> list[Pair]:
        """Pair every seed's checkpoint with an earlier one of the same training.

        With `other_run`, pair it with the earlier checkpoints of every other seed instead.
        """
        pairs = self.seed_pairs() if other_run else [(seed, seed) for seed in self.seeds]
        last = self.activations.at(site)
        before = self.earlier_activations(earlier).at(site)
        untrained = self.untrained_activations.at(site)
        return [
            Pair(
                seeds=(source, target),
                site=site,
                source=last[self.index(source)],
                target=before[self.index(target)],
                untrained=untrained[self.index(target)],
                held_out=self.held_out,
                load_sae=partial(self._sae, source, site),
            )
            for source, target in pairs
        ]
