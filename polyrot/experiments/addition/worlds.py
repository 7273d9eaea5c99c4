"""Worlds of modular addition: models with known answers, and delays with a known law."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor

from polyrot.experiments.addition.controls import cyclic, planted
from polyrot.experiments.addition.models import (
    END,
    END_WITHOUT_DECAY,
    GROKKED,
    MEMORISED,
    Addition,
    AdditionModels,
    Delays,
)
from polyrot.models.grokking_sweep import DECAYS, REPETITIONS
from polyrot.progress import Progress, silent
from polyrot.suites.draws import Draw
from polyrot.suites.registry import world_name
from polyrot.tasks import modular

SEEDS = (0, 1, 2, 3, 4)
"""As many as at the first look at a cohort: fewer decide nothing."""
STEPS, SCATTER = 2_000, 0.1
"""Delay at a weight decay of one, and its standard deviation on a natural logarithm."""
DIRECTIONS = torch.eye(modular.MODULUS, dtype=torch.float64)
"""Points of answers that each have a separate direction."""

Make = Callable[[Draw, int], AdditionModels]
"""Makes the models of a draw at a time of training."""


def memorised(draw: Draw, time: int) -> AdditionModels:
    """A direction for each training answer; held-out questions are answered at random."""
    answers = modular.answers(modular.questions())
    given = [
        torch.where(
            modular.is_training(),
            answers,
            torch.randint(modular.MODULUS, answers.shape, generator=draw.generator(seed, 1)),
        )
        for seed in SEEDS
    ]
    return planted([DIRECTIONS] * len(SEEDS), given, draw=draw.number, time=time)


def a_direction_each(draw: Draw, time: int) -> AdditionModels:
    """Right answers, each in another direction: all of them are needed."""
    return right([DIRECTIONS] * len(SEEDS), draw, time)


def scattered(dimensions: int) -> Make:
    """Right answers, at random points."""

    def make(draw: Draw, time: int) -> AdditionModels:
        shape = (modular.MODULUS, dimensions)
        drawn = [
            torch.randn(shape, generator=draw.generator(seed, 2), dtype=torch.float64)
            for seed in SEEDS
        ]
        return right([points / points.norm(dim=1, keepdim=True) for points in drawn], draw, time)

    return make


def right(points: Sequence[Tensor], draw: Draw, time: int) -> AdditionModels:
    """Answer all questions correctly, at given points of the answers."""
    answers = [modular.answers(modular.questions())] * len(SEEDS)
    return planted(points, answers, draw=draw.number, time=time)


def on_circles(frequencies: int) -> Make:
    """Correct answers, in their order on circles of this many frequencies."""
    return lambda draw, time: cyclic(
        len(SEEDS), frequencies=frequencies, draw=draw.number, time=time
    )


Times = Mapping[str, Make]
"""The models by the time of their training."""


def learned(*, grokked: Make = on_circles(6), end: int = 6, without_decay: int = 6) -> Times:
    """Memorised, then as the models grok; at both ends on a number of circles.

    A seed has the same frequencies at all times, and more of them where there are more circles.
    """
    return {
        MEMORISED: memorised,
        GROKKED: grokked,
        END: on_circles(end),
        END_WITHOUT_DECAY: on_circles(without_decay),
    }


ADDITION_WORLDS: dict[str, Times] = {
    "addition-circles": learned(),
    "addition-by-heart": learned(grokked=memorised),
    "addition-a-direction-each": learned(grokked=a_direction_each),
    "addition-scattered-15": learned(grokked=scattered(15)),
    "addition-scattered-60": learned(grokked=scattered(60)),
    "addition-inflates": learned(end=15),
    "addition-inflates-anyway": learned(end=15, without_decay=15),
}
"""By name: how the answers lie when the models grok, and on how many circles at the end."""


class AdditionWorld(Addition):
    """Synthetic models of addition modulo 53, five seeds."""

    def __init__(self, world: str, *, draw: int = 0, progress: Progress = silent) -> None:
        """Take a world of `ADDITION_WORLDS` and the number of its random draw."""
        super().__init__(world_name(world, draw), SEEDS)
        self._makes, self._draw = ADDITION_WORLDS[world], Draw(draw)
        self._models: dict[str, AdditionModels] = {}

    def questions(self, checkpoint: str) -> AdditionModels:
        if checkpoint not in self._models:
            time = list(self._makes).index(checkpoint)
            self._models[checkpoint] = self._makes[checkpoint](self._draw, time)
        return self._models[checkpoint]


DELAY_WORLDS = {"delay-inverse": -1.0, "delay-root": -0.5, "delay-square": -2.0, "delay-flat": 0.0}
"""By name: the exponent of the delay's power law in the weight decay."""


class DelayWorld(Delays):
    """Delays of grokking that are a power of the weight decay, with scatter."""

    def __init__(self, world: str, *, draw: int = 0, progress: Progress = silent) -> None:
        """Take a world of `DELAY_WORLDS` and the number of its random draw."""
        super().__init__(world_name(world, draw), SEEDS)
        self._power, self._draw = DELAY_WORLDS[world], Draw(draw)

    @cached_property
    def delays(self) -> dict[float, list[int | None]]:
        scatter = SCATTER * torch.randn(
            len(DECAYS), REPETITIONS, generator=self._draw.generator(0, 5)
        )
        return {
            decay: [round(STEPS * decay**self._power * float(noise.exp())) for noise in row]
            for decay, row in zip(DECAYS, scatter, strict=True)
        }
