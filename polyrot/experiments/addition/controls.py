"""Planted models of addition, and delays of grokking that are a known function of weight decay."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from polyrot.cores.shift import Shift, fit_shift, random_shift
from polyrot.experiments.addition.models import GROKKED, MEMORISED, Addition, AdditionModels
from polyrot.experiments.addition.sweep import DelaysByDecay
from polyrot.linalg import haar
from polyrot.suites.draws import draw_seed
from polyrot.tasks import modular

Shifts = list[tuple[Shift, int]]
"""The fitted shift of every seed, and the number of dimensions."""
View = Callable[[AdditionModels], AdditionModels]
"""How models are looked at before their cores are extracted."""

NOISE = 0.3
"""Standard deviation of a planted model's noise, relative to circles of radius 1."""


def planted(
    points: Sequence[Float[Tensor, "answer rank"]],
    given: Sequence[Int[Tensor, " question"]],
    *,
    d_model: int = 128,
    draw: int = 0,
    time: int = 0,
) -> AdditionModels:
    """Plant answers as points in a random subspace of every seed that the unembedding reads.

    Isotropic noise fills the other dimensions; nothing reads it.

    Args:
        points: of every answer, by seed.
        given: the answers that each seed gives.
        d_model: dimensions of the space.
        draw: number of the random draw.
        time: of training; each time has separate subspaces and noise.
    """
    activations, weights = [], []
    for index, (codes, answers) in enumerate(zip(points, given, strict=True)):
        generator = torch.Generator().manual_seed(draw_seed(draw, index, 61, time))
        basis = haar.sample(d_model, seed=draw_seed(draw, index, 62, time))
        inside, outside = basis[: codes.shape[1]], basis[codes.shape[1] :]
        noise = torch.randn(len(answers), len(outside), generator=generator, dtype=torch.float64)
        activations.append(codes[answers] @ inside + NOISE * noise @ outside)
        weights.append(codes @ inside)
    bias = torch.zeros(len(points), modular.MODULUS, dtype=torch.float64)
    return AdditionModels(torch.stack(activations), torch.stack(weights), bias)


def cyclic(
    seeds: int, *, d_model: int = 128, frequencies: int = 6, draw: int = 0, time: int = 0
) -> AdditionModels:
    """Plant the algorithm: answers are points on circles, with frequencies drawn for each seed."""
    angles = 2 * math.pi * torch.arange(modular.MODULUS).double() / modular.MODULUS
    points = []
    for index in range(seeds):
        generator = torch.Generator().manual_seed(draw_seed(draw, index, 63))
        chosen = 1 + torch.randperm(modular.MODULUS // 2, generator=generator)[:frequencies]
        turns = angles[:, None] * chosen
        points.append(torch.cat([turns.cos(), turns.sin()], dim=1))
    answers = modular.answers(modular.questions())
    return planted(points, [answers] * seeds, d_model=d_model, draw=draw, time=time)


def grokked(addition: Addition) -> AdditionModels:
    """The models once they answer held-out questions: no control."""
    return addition.questions(GROKKED)


def memorising(addition: Addition) -> AdditionModels:
    """The models while they only answer training questions."""
    return addition.questions(MEMORISED)


def from_every_question(models: AdditionModels) -> AdditionModels:
    """With cores and means of answers from all questions."""
    return models


def from_held_out(models: AdditionModels) -> AdditionModels:
    """With cores and means of answers from held-out questions alone, as published."""
    return models.from_held_out


def planted_core(addition: Addition) -> AdditionModels:
    """Every seed has the planted algorithm."""
    return cyclic(len(addition.seeds))


def necessary_ranks(models: AdditionModels) -> list[int]:
    """Return the rank of every seed's smallest core that is necessary for held-out answers."""
    held_out = ~modular.is_training()
    return [models.ranks(index, held_out).necessary for index in range(len(models.weight))]


def shifts(models: AdditionModels) -> Shifts:
    """Fit the cyclic shift of every seed in its necessary core."""
    ranks = necessary_ranks(models)
    return [(models.shift(index, rank), rank) for index, rank in enumerate(ranks)]


def shifts_of_permuted_answers(models: AdditionModels) -> Shifts:
    """Fit it with the answers in an order drawn for every seed."""
    found: Shifts = []
    for index, rank in enumerate(necessary_ranks(models)):
        generator = torch.Generator().manual_seed(draw_seed(index, 64))
        order = torch.randperm(modular.MODULUS, generator=generator)
        found.append((fit_shift(models.means(index, rank)[order]), rank))
    return found


def shifts_of_random_points(dimensions: Sequence[int]) -> Shifts:
    """Fit it on Gaussian points, in a number of dimensions for every seed."""
    return [
        (random_shift(modular.MODULUS, count, seed=index), count)
        for index, count in enumerate(dimensions)
    ]


def planted_cores(*frequencies: int) -> Callable[[Addition], list[AdditionModels]]:
    """Plant the algorithm with a number of frequencies at each time: at grokking, and at ends."""

    def world(addition: Addition) -> list[AdditionModels]:
        made = {count: cyclic(len(addition.seeds), frequencies=count) for count in {*frequencies}}
        return [made[count] for count in frequencies]

    return world


def as_recorded(delays: DelaysByDecay) -> DelaysByDecay:
    """The delays themselves: no control."""
    return delays


def in_another_order(delays: DelaysByDecay) -> DelaysByDecay:
    """Assign the delays of every repetition to the decays in a random order."""
    rng = np.random.default_rng(71)
    repetitions = list(zip(*delays.values(), strict=True))
    orders = [rng.permutation(len(delays)) for _ in repetitions]
    return {
        decay: [steps[order[i]] for steps, order in zip(repetitions, orders, strict=True)]
        for i, decay in enumerate(delays)
    }


def power_law(power: float) -> Callable[[DelaysByDecay], DelaysByDecay]:
    """Replace the delays of the repetitions that grokked by a power of the decay.

    Their natural logarithms have a standard deviation of 0.1.
    """

    def world(delays: DelaysByDecay) -> DelaysByDecay:
        rng = np.random.default_rng(72)
        return {
            decay: [
                None if known is None else round(2_000 * decay**power * rng.lognormal(0, 0.1))
                for known in steps
            ]
            for decay, steps in delays.items()
        }

    return world
