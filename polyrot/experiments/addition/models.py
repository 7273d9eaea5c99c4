"""Models of modular addition at the site of their core, as measured by claims about grokking."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from polyrot.cores.extraction import Core, extract
from polyrot.cores.gramians import affine
from polyrot.cores.shift import Shift, fit_shift
from polyrot.models.encoder import StackedEncoder
from polyrot.suites.capability import Capability
from polyrot.suites.suite import Suite
from polyrot.tasks import modular

MEMORISED, GROKKED, END, END_WITHOUT_DECAY = CHECKPOINTS = (
    "memorised",
    "grokked",
    "end",
    "end-without-decay",
)
"""The times of training that are kept."""
ENERGY = 0.99
ENOUGH_LOSS = 1e-3
"""Accuracy that a sufficient core may lose."""
CHANCES = 2
"""A core is necessary if accuracy without it is at most this multiple of chance."""
PROPER = modular.MODULUS - 1
"""Cores of this rank or more can hold arbitrary points, and score 0."""


@dataclass(frozen=True)
class Ranks:
    """The number of directions that a core needs, by each of the paper's criteria."""

    energy: int
    necessary: int
    """Fewest (at least the rank by energy) without which accuracy is at chance."""
    sufficient: int
    """Fewest (at least the rank by energy) that alone keep the accuracy."""

    @property
    def operational(self) -> int:
        """Fewest directions that are both necessary and sufficient."""
        return max(self.necessary, self.sufficient)


@dataclass(frozen=True, eq=False)
class AdditionModels:
    """Seeds that answer all questions of modular addition, at one time of their training."""

    activations: Float[Tensor, "seed question d_model"]
    """Activations at the core's site and the last token, float64."""
    weight: Float[Tensor, "seed answer d_model"]
    bias: Float[Tensor, "seed answer"]
    extracted_from: Bool[Tensor, " question"] | None = None
    """The questions from which cores and the means of answers are taken; None for all."""

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
    def from_held_out(self) -> "AdditionModels":
        """The same models, with cores and means of answers from held-out questions alone."""
        return replace(self, extracted_from=~modular.is_training())

    @property
    def _chosen(self) -> Bool[Tensor, " question"]:
        every = torch.ones(len(self.answers), dtype=torch.bool)
        return every if self.extracted_from is None else self.extracted_from

    @cached_property
    def cores(self) -> list[Core]:
        """The core of every seed."""
        return [
            extract(x, affine(weight, bias), energy=ENERGY)
            for x, weight, bias in zip(
                self.activations[:, self._chosen], self.weight, self.bias, strict=True
            )
        ]

    def ranks(self, index: int, questions: Bool[Tensor, " question"]) -> Ranks:
        """Find the ranks of a seed from its accuracy on some questions.

        They always exist: with all directions a model is complete, and without any it gives the
        same answer to every question.
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
        """Return the accuracy of a seed on some questions, without ablation."""
        logits = self.activations[index, questions] @ self.weight[index].mT + self.bias[index]
        return float((logits.argmax(-1) == self.answers[questions]).double().mean())

    def accuracies(
        self, index: int, questions: Bool[Tensor, " question"]
    ) -> tuple[Float[Tensor, " rank"], Float[Tensor, " rank"]]:
        """Return the accuracy with only the first r directions, and without them, for r from 1."""
        key = index, questions.numpy().tobytes()
        if key not in self._accuracies:
            self._accuracies[key] = self._ablated(index, questions)
        return self._accuracies[key]

    @cached_property
    def _accuracies(self) -> dict[tuple[int, bytes], tuple[Tensor, Tensor]]:
        return {}

    def _ablated(
        self, index: int, questions: Bool[Tensor, " question"]
    ) -> tuple[Float[Tensor, " rank"], Float[Tensor, " rank"]]:
        directions = self.cores[index].directions
        coordinates = self.activations[index, questions] @ directions
        read = self.weight[index] @ directions
        answers = self.answers[questions]

        def growing(order: Sequence[int]) -> list[Tensor]:
            """Return the accuracy with no direction, and with one more at a time."""
            logits = self.bias[index].expand(len(answers), -1)
            found = [(logits.argmax(-1) == answers).double().mean()]
            for r in order:
                logits = logits + coordinates[:, r, None] * read[:, r]
                found.append((logits.argmax(-1) == answers).double().mean())
            return found

        # Summed from the last direction: rounding errors of a difference would still be decoded.
        kept = growing(range(len(directions)))[1:]
        removed = growing(range(len(directions))[::-1])[-2::-1]
        return torch.stack(kept), torch.stack(removed)

    def means(self, index: int, rank: int) -> Float[Tensor, "answer rank"]:
        """Return a seed's mean core coordinates of every answer."""
        z = self.activations[index, self._chosen] @ self.cores[index].basis(rank)
        answers = self.answers[self._chosen]
        sums = torch.zeros(modular.MODULUS, rank, dtype=torch.float64)
        sums.index_add_(0, answers, z)
        return sums / answers.bincount()[:, None]

    def shift(self, index: int, rank: int) -> Shift:
        """Fit the cyclic shift on the mean core coordinates of every answer."""
        return fit_shift(self.means(index, rank))


def _first(found: Bool[Tensor, " rank"], least: int) -> int:
    """Return the first rank of at least `least` where `found` is true."""
    ranks = 1 + found.nonzero()[:, 0]
    return int(ranks[ranks >= least][0])


class Addition(Suite, Capability):
    """Seeds that learn modular addition, at several times of their training."""

    what = "models of modular addition"

    @abstractmethod
    def questions(self, checkpoint: str) -> AdditionModels:
        """Return the seeds at the site of their core, at one of `CHECKPOINTS`."""

    @property
    def after_grokking(self) -> Sequence[AdditionModels]:
        """The seeds between grokking and twice its epoch, at every checkpoint that is kept."""
        return [self.questions(GROKKED)]

    @property
    def curves(self) -> Mapping[str, Any]:
        """Return accuracies and cores over the epochs, by branch."""
        raise self.lacks("curves of grokking")


class Delays(Suite, Capability):
    """How long grokking took, by weight decay."""

    what = "delays of grokking"

    @property
    @abstractmethod
    def delays(self) -> Mapping[float, list[int | None]]:
        """Steps until every repetition grokked, by weight decay; None if it did not."""
