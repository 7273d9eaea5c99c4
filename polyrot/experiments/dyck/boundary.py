"""Cohorts with and without a shared boundary, side by side: as weights and as activations.

The boundary is the embedding and the unembeddings.  A pair of seeds of one cohort is compared with
its counterpart, the seeds at the same positions in the other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NoReturn

import torch
from jaxtyping import Float
from torch import Tensor

from polyrot.capabilities import controls
from polyrot.capabilities.pairs import Pair
from polyrot.errors import NotRun
from polyrot.experiments.dyck.functions import restacked
from polyrot.experiments.dyck.suite import DyckModels
from polyrot.experiments.dyck.weights import with_noise
from polyrot.models.harvest import Activations, harvest
from polyrot.models.transformer import HEADS, StackedTransformer, State, stack_states
from polyrot.suites.draws import draw_seed
from polyrot.symmetry.group import Symmetry

UNEMBEDDINGS = tuple(HEADS.values())
NOISE = 2.0
"""Variance of noise on the unembeddings, larger than that of their entries."""


@dataclass(frozen=True)
class Cohorts:
    """Two cohorts with as many seeds."""

    independent: StackedTransformer
    """Seeds that share nothing."""
    shared: StackedTransformer
    """Seeds that share their embedding and unembeddings."""
    shuffled: bool = False
    """Are the tokens of the second cohort's targets others than those of its sources?"""
    weights: bool = True
    """Is it known what is true of their weights?"""
    rotation: bool = True
    """Is it known what is true of the rotations between their activations?"""


CohortWorld = Callable[[DyckModels], Cohorts]


def as_trained(dyck: DyckModels) -> Cohorts:
    """The cohorts themselves: no control."""
    return Cohorts(dyck.models, dyck.cohort("dyck3"))


def against_itself(dyck: DyckModels) -> Cohorts:
    """The independent cohort in both places: nothing is shared in either."""
    return Cohorts(dyck.models, dyck.models)


def one_model(dyck: DyckModels) -> Cohorts:
    """One model in place of every seed that shares the boundary: their basis is one."""
    first = dyck.cohort("dyck3").state(0)
    single = restacked(dyck, [first] * len(dyck.seeds))
    return Cohorts(dyck.models, single, weights=False)


def shuffled_tokens(dyck: DyckModels) -> Cohorts:
    """The cohorts, with the second one's activations paired with those of other tokens."""
    return Cohorts(dyck.models, dyck.cohort("dyck3"), shuffled=True, weights=False)


def noisy_unembeddings(dyck: DyckModels) -> Cohorts:
    """The sharing cohort with noise on each seed's unembeddings, against the unchanged cohort."""
    shared = dyck.cohort("dyck3")

    def noisy(i: int) -> State:
        return with_noise(shared.state(i), NOISE, draw_seed(i, 26), names=UNEMBEDDINGS)

    changed = restacked(dyck, [noisy(i) for i in range(shared.seeds)])
    return Cohorts(changed, shared, rotation=False)


def rotated_bases(dyck: DyckModels) -> Cohorts:
    """The sharing cohort in Haar-rotated bases, against itself: equal up to symmetries."""
    shared = dyck.cohort("dyck3")
    drawn = [
        Symmetry.random(shared.config, draw_seed(i, 28), residual=True) for i in range(shared.seeds)
    ]
    rotated = StackedTransformer(
        shared.config,
        stack_states([symmetry.apply(shared.state(i)) for i, symmetry in enumerate(drawn)]),
        torch.stack([symmetry.positions(shared.config) for symmetry in drawn]),
    )
    return Cohorts(rotated.to(shared.W_pos.device), shared, rotation=False)


def one_boundary(dyck: DyckModels) -> Cohorts:
    """The independent cohort with the first seed's unembeddings in every seed."""
    first, *others = [dyck.models.state(i) for i in range(len(dyck.seeds))]
    unembeddings = {name: first[name] for name in (*UNEMBEDDINGS, "ln_f.gain")}
    states = [first, *({**state, **unembeddings} for state in others)]
    return Cohorts(restacked(dyck, states), dyck.cohort("dyck3"), rotation=False)


def stream_pairs(
    dyck: DyckModels, cohorts: Cohorts, seeds: tuple[int, int], site: str, *, free: bool = False
) -> tuple[Pair, Pair]:
    """Return a pair of seeds at a site, and its counterpart in the sharing cohort.

    With `free`, on the coordinates that do not hold the position code, which all seeds share.
    """

    def pair(models: StackedTransformer) -> Pair:
        source, target = (_sets(dyck, models, site, free)[dyck.index(seed)] for seed in seeds)
        return Pair(seeds, site, source, target, _nothing, dyck.held_out, _nothing)

    independent, shared = pair(cohorts.independent), pair(cohorts.shared)
    return independent, controls.shuffled_tokens(shared) if cohorts.shuffled else shared


@lru_cache(maxsize=16)  # tensors hash by identity: a model in many pairs is centred once
def _sets(
    dyck: DyckModels, models: StackedTransformer, site: str, free: bool
) -> tuple[Float[Tensor, "token axis"], ...]:
    """Return every model's activations at a site, on the free coordinates or on all."""
    x, shared = _activations(dyck, models).at(site), set(dyck.shared_coordinates)
    return x[..., [a for a in range(x.shape[-1]) if not (free and a in shared)]].unbind(0)


def _activations(dyck: DyckModels, models: StackedTransformer) -> Activations:
    return dyck.activations if models is dyck.models else _of_others(dyck, models)


@lru_cache(maxsize=2)
def _of_others(dyck: DyckModels, models: StackedTransformer) -> Activations:
    return harvest(models, dyck.tokens, dyck.sites)


def _nothing() -> NoReturn:
    raise NotRun("cohorts are compared by their activations alone")
