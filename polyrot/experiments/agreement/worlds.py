"""Worlds of subject-verb agreement in which it is known what carries the number."""

from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool

from polyrot.experiments.agreement.controls import LinearReader, along, planted_axis, signs
from polyrot.experiments.agreement.studies import Readers
from polyrot.progress import Progress, silent
from polyrot.suites.draws import Draw
from polyrot.suites.registry import world_name
from polyrot.suites.suite import Suite
from polyrot.tasks.agreement import Prompts

SIZES = {"small": (0, 1, 2, 3, 4), "large": (5, 6, 7, 8, 9)}
WIDTHS = {"small": 12, "large": 16}

Plural = Bool[np.ndarray, " prompt"]


def one_axis(plural: Plural, d_model: int, draw: Draw, seed: int) -> LinearReader:
    """One axis carries the number; how far out a prompt lies is drawn for each seed."""
    return planted_axis(plural, d_model=d_model, seed=draw.seed(seed, 1))


def two_axes(plural: Plural, d_model: int, draw: Draw, seed: int) -> LinearReader:
    """One axis carries the number of half of the prompts, another that of the rest."""
    second = torch.arange(len(plural)) % 2
    # The core can be only one of them: the one with the larger variance.
    strength = torch.tensor([3.0, 1.5], dtype=torch.float64)[second]
    axes = draw.haar(d_model, seed, 1).double()[second]
    generator = draw.generator(seed, 2)
    noise = torch.randn(len(plural), d_model, generator=generator, dtype=torch.float64)
    return LinearReader(((strength * signs(plural))[:, None] * axes + 0.3 * noise)[None], axes)


def shared(
    plural: Plural, d_model: int, draw: Draw, seed: int, *, common: float = 1.0, noise: float = 0.1
) -> LinearReader:
    """One axis of each seed carries the label, a component that all seeds share, and noise.

    `common` and `noise` are standard deviations; the label's is one.
    """
    all_seeds, one_seed = (
        torch.randn(len(plural), generator=draw.generator(*salt), dtype=torch.float64)
        for salt in ((0, 3), (seed, 4))
    )
    coordinates = signs(plural) + common * all_seeds + noise * one_seed
    return along(one_axis(plural, d_model, draw, seed), 3 * coordinates)


Make = Callable[[Plural, int, Draw, int], LinearReader]
"""The reader of a seed, given labels, its width, a draw and the seed."""

VERB_WORLDS: dict[str, Make] = {
    "verb-one-axis": one_axis,
    "verb-two-axes": two_axes,
    "verb-shared": shared,
    "verb-label-alone": lambda *given: shared(*given, common=0.0, noise=0.2),
    "verb-apart": lambda *given: shared(*given, noise=2.0),
}
"""By name: what carries the number of the subject, and what seeds have in common there."""


class VerbWorld(Suite, Readers):
    """Synthetic readers of prompts: five seeds of each of two widths."""

    def __init__(self, world: str, *, draw: int = 0, progress: Progress = silent) -> None:
        """Take a world of `VERB_WORLDS` and the number of its random draw."""
        Suite.__init__(self, world_name(world, draw), sum(SIZES.values(), ()))
        Readers.__init__(self)
        self._make, self._draw = VERB_WORLDS[world], Draw(draw)

    @cached_property
    def sizes(self) -> Mapping[str, tuple[int, ...]]:
        return SIZES

    def width(self, seed: int) -> int:
        (size,) = (name for name, seeds in SIZES.items() if seed in seeds)
        return WIDTHS[size]

    def reader(self, seed: int, prompts: Prompts, *, last: str = "") -> LinearReader:
        return self._make(prompts.plural, self.width(seed), self._draw, seed)
