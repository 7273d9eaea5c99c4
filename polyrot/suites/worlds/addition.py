"""Worlds of modular addition: models of which it is known how they answer, and known delays."""

from collections.abc import Callable, Mapping
from functools import cached_property

import torch

from polyrot.models.grokking_sweep import DECAYS, REPETITIONS
from polyrot.suites.modular import END, END_WITHOUT_DECAY, GROKKED, MEMORISED, SITE
from polyrot.suites.names import world_name
from polyrot.suites.questions import QuestionModels, cyclic, planted
from polyrot.suites.suite import Suite
from polyrot.suites.worlds.draw import Draw
from polyrot.tasks import modular

SEEDS = (0, 1, 2)
STEPS, SCATTER = 2_000, 0.1
"""Delay at a weight decay of one, and its standard deviation on a natural logarithm."""


def by_heart(draw: Draw) -> QuestionModels:
    """A direction for each training answer; held-out questions are answered at random."""
    answers = modular.answers(modular.questions())
    guesses = torch.randint(modular.MODULUS, answers.shape, generator=draw.generator(0, 1))
    given = torch.where(modular.is_training(), answers, guesses)
    points = torch.eye(modular.MODULUS, dtype=torch.float64)
    return planted([points] * len(SEEDS), given, draw=draw.number)


def scattered(draw: Draw, dimensions: int) -> QuestionModels:
    """Right answers, at points that have nothing to do with their order."""
    generator = draw.generator(0, 2)
    points = torch.randn(modular.MODULUS, dimensions, generator=generator, dtype=torch.float64)
    points = points / points.norm(dim=1, keepdim=True)
    answers = modular.answers(modular.questions())
    return planted([points] * len(SEEDS), answers, draw=draw.number)


def on_circles(draw: Draw, frequencies: int = 6) -> QuestionModels:
    """Right answers, in their order on circles of so many frequencies."""
    return cyclic(len(SEEDS), frequencies=frequencies, draw=draw.number)


Times = Mapping[str, QuestionModels]
"""The models by the time of their training."""


def learned(
    draw: Draw,
    *,
    grokked: Callable[[Draw], QuestionModels] = on_circles,
    end: int = 6,
    without_decay: int = 6,
) -> Times:
    """By heart, then as they grok; at the ends on so many circles.

    All times have the same circles, some of them more, so that what should stay does not change.
    """
    return {
        MEMORISED: by_heart(draw),
        GROKKED: grokked(draw),
        END: on_circles(draw, end),
        END_WITHOUT_DECAY: on_circles(draw, without_decay),
    }


ADDITION_WORLDS: dict[str, Callable[[Draw], Times]] = {
    "addition-circles": learned,
    "addition-by-heart": lambda draw: learned(draw, grokked=by_heart),
    "addition-scattered-15": lambda draw: learned(draw, grokked=lambda d: scattered(d, 15)),
    "addition-scattered-60": lambda draw: learned(draw, grokked=lambda d: scattered(d, 60)),
    "addition-inflates": lambda draw: learned(draw, end=15),
    "addition-inflates-anyway": lambda draw: learned(draw, end=15, without_decay=15),
}
"""By name: how the answers lie when the models grok, and on how many circles in the end."""


class AdditionWorld(Suite):
    """Given models of addition modulo 53, three seeds."""

    def __init__(self, world: str, *, draw: int = 0) -> None:
        """Take a world of `ADDITION_WORLDS` and the number of its random draw."""
        super().__init__(world_name(world, draw), SEEDS, (SITE,))
        self._make, self._draw = ADDITION_WORLDS[world], Draw(draw)

    def questions(self, checkpoint: str) -> QuestionModels:
        return self._times[checkpoint]

    @cached_property
    def _times(self) -> Times:
        return self._make(self._draw)


DELAY_WORLDS = {"delay-inverse": -1.0, "delay-root": -0.5, "delay-square": -2.0, "delay-flat": 0.0}
"""By name: the power of the weight decay that delays go as."""


class DelayWorld(Suite):
    """Delays of grokking that are a power of the weight decay, each with its own scatter."""

    def __init__(self, world: str, *, draw: int = 0) -> None:
        """Take a world of `DELAY_WORLDS` and the number of its random draw."""
        super().__init__(world_name(world, draw), SEEDS, (SITE,))
        self._power, self._draw = DELAY_WORLDS[world], Draw(draw)

    @cached_property
    def delays(self) -> dict[float, list[int | None]]:
        scatter = SCATTER * torch.randn(
            len(DECAYS), REPETITIONS, generator=self._draw.generator(0, 5)
        )
        return {
            decay: [round(STEPS * decay**self._power * float(own.exp())) for own in row]
            for decay, row in zip(DECAYS, scatter, strict=True)
        }
