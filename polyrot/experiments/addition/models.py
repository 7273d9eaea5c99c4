"""Models of modular addition at the site of their core: what the claims about grokking measure."""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from polyrot.cores.extraction import Core, extract
from polyrot.cores.gramians import affine
from polyrot.cores.shift import Shift, fit_shift
from polyrot.linalg import haar
from polyrot.models.encoder import StackedEncoder
from polyrot.suites.capability import Capability
from polyrot.suites.draws import draw_seed
from polyrot.suites.suite import Suite
from polyrot.tasks import modular

ENERGY = 0.99
ENOUGH_LOSS = 1e-3
"""Accuracy that a sufficient core may lose."""
CHANCES = 2
"""A core is necessary where without it accuracy is at most so many times chance."""
PROPER = modular.MODULUS - 1
"""A core of this rank or more can hold any points whatever: it does not count."""

NOISE = 0.3
"""Standard deviation of a planted model's noise, where a circle has radius 1."""


@dataclass(frozen=True)
class Ranks:
    """How many directions a core needs, by each of the paper's criteria."""

    energy: int
    necessary: int
    """Fewest, at least those by energy, without which the answers are gone."""
    sufficient: int
    """Fewest, at least those by energy, with which alone they are all but as good."""

    @property
    def operational(self) -> int:
        """Fewest that are both."""
        return max(self.necessary, self.sufficient)


@dataclass(frozen=True, eq=False)
class AdditionModels:
    """Seeds that answer all questions of modular addition, at one time of their training."""

    activations: Float[Tensor, "seed question d_model"]
    """At the core's site and the last token, float64."""
    weight: Float[Tensor, "seed answer d_model"]
    bias: Float[Tensor, "seed answer"]

    @classmethod
    def of(cls, models: StackedEncoder) -> "AdditionModels":
        pairs = modular.questions().to(models.weight("lm_head.bias").device)
        with torch.inference_mode():
            _, residual = models(pairs.expand(models.seeds, -1, -1), last=True)
        return cls(
            residual[models.config.sites()[-1]][:, :, 0].double().cpu(),
            models.weight("lm_head.weight").detach().double().cpu(),
            models.weight("lm_head.bias").detach().double().cpu(),
        )

    @cached_property
    def answers(self) -> Int[Tensor, " question"]:
        return modular.answers(modular.questions())

    @cached_property
    def cores(self) -> list[Core]:
        """Of every seed, from the states at all questions, as published."""
        return [
            extract(x, affine(weight, bias), energy=ENERGY)
            for x, weight, bias in zip(self.activations, self.weight, self.bias, strict=True)
        ]

    def ranks(self, index: int, questions: Bool[Tensor, " question"]) -> Ranks:
        """Find the ranks of a seed by what happens to its answers to some questions.

        There always are some: with all directions a model is whole, and without any it gives
        one answer to every question.
        """
        kept, removed = self.accuracies(index, questions)
        whole = float(kept[-1])
        energy = self.cores[index].rank
        return Ranks(
            energy,
            _first(removed <= CHANCES / modular.MODULUS, energy),
            _first(kept >= whole - ENOUGH_LOSS, energy),
        )

    def whole(self, index: int, questions: Bool[Tensor, " question"]) -> float:
        """Accuracy of a seed on some questions."""
        logits = self.activations[index, questions] @ self.weight[index].mT + self.bias[index]
        return float((logits.argmax(-1) == self.answers[questions]).double().mean())

    def accuracies(
        self, index: int, questions: Bool[Tensor, " question"]
    ) -> tuple[Float[Tensor, " rank"], Float[Tensor, " rank"]]:
        """Accuracy with the first r directions alone, and without them, for every r from 1."""
        directions = self.cores[index].directions
        coordinates = self.activations[index, questions] @ directions
        read = self.weight[index] @ directions
        answers = self.answers[questions]

        def growing(order: Sequence[int]) -> list[Tensor]:
            """Accuracy with nothing, and with one more direction at a time."""
            logits = self.bias[index].expand(len(answers), -1)
            found = [(logits.argmax(-1) == answers).double().mean()]
            for r in order:
                logits = logits + coordinates[:, r, None] * read[:, r]
                found.append((logits.argmax(-1) == answers).double().mean())
            return found

        # What is left is summed from the other end: subtracted, its rounding would still answer.
        kept = growing(range(len(directions)))[1:]
        removed = growing(range(len(directions))[::-1])[-2::-1]
        return torch.stack(kept), torch.stack(removed)

    def shift(self, index: int, rank: int) -> Shift:
        """Fit the cyclic shift on the mean core coordinates of every answer."""
        z = self.activations[index] @ self.cores[index].basis(rank)
        sums = torch.zeros(modular.MODULUS, rank, dtype=torch.float64)
        sums.index_add_(0, self.answers, z)
        return fit_shift(sums / self.answers.bincount()[:, None])


def planted(
    points: Sequence[Float[Tensor, "answer rank"]],
    given: Sequence[Int[Tensor, " question"]],
    *,
    d_model: int = 128,
    draw: int = 0,
    time: int = 0,
) -> AdditionModels:
    """Plant answers as points in a random subspace of every seed, where they are read.

    Isotropic noise fills what is left of the space; nothing reads it.

    Args:
        points: of every answer, by seed.
        given: what each seed answers.
        d_model: dimensions of the space.
        draw: which random draw.
        time: of training: every time has subspaces and noise of its own.
    """
    activations, weights = [], []
    for index, (own, answers) in enumerate(zip(points, given, strict=True)):
        generator = torch.Generator().manual_seed(draw_seed(draw, index, 61, time))
        basis = haar.sample(d_model, seed=draw_seed(draw, index, 62, time))
        inside, outside = basis[: own.shape[1]], basis[own.shape[1] :]
        noise = torch.randn(len(answers), len(outside), generator=generator, dtype=torch.float64)
        activations.append(own[answers] @ inside + NOISE * noise @ outside)
        weights.append(own @ inside)
    bias = torch.zeros(len(points), modular.MODULUS, dtype=torch.float64)
    return AdditionModels(torch.stack(activations), torch.stack(weights), bias)


def cyclic(
    seeds: int, *, d_model: int = 128, frequencies: int = 6, draw: int = 0, time: int = 0
) -> AdditionModels:
    """Plant the algorithm: every answer a point on circles, of frequencies of each seed's own."""
    angles = 2 * math.pi * torch.arange(modular.MODULUS).double() / modular.MODULUS
    points = []
    for index in range(seeds):
        generator = torch.Generator().manual_seed(draw_seed(draw, index, 63))
        chosen = 1 + torch.randperm(modular.MODULUS // 2, generator=generator)[:frequencies]
        turns = angles[:, None] * chosen
        points.append(torch.cat([turns.cos(), turns.sin()], dim=1))
    answers = modular.answers(modular.questions())
    return planted(points, [answers] * seeds, d_model=d_model, draw=draw, time=time)


def _first(found: Bool[Tensor, " rank"], least: int) -> int:
    """The first rank of at least `least` at which something is found."""
    ranks = 1 + found.nonzero()[:, 0]
    return int(ranks[ranks >= least][0])


class Addition(Suite, Capability):
    """Seeds that learn modular addition, at several times of their training."""

    what = "models of modular addition"

    @abstractmethod
    def questions(self, checkpoint: str) -> AdditionModels:
        """The seeds at the site of their core: see `CHECKPOINTS` of the suite."""

    @property
    def curves(self) -> Mapping[str, Any]:
        """Accuracies and cores over the epochs, by branch."""
        raise self.lacks("curves of grokking")


class Delays(Suite, Capability):
    """How long grokking took, by weight decay."""

    what = "delays of grokking"

    @property
    @abstractmethod
    def delays(self) -> Mapping[float, list[int | None]]:
        """Steps that grokking took in every repetition, by weight decay; None where it did not."""
