"""Readers of prompts, and suites of them, for which it is known whether agreement is one axis."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from planted_language import gpt2, saved, tokenizer_of
from torch import Tensor

from polyrot.suites.agreement import Observed, Placed, Reader
from polyrot.suites.agreement_worlds import PlantedReader
from polyrot.tasks.agreement import draw_prompts

PROMPTS = draw_prompts(1_200)
Make = Callable[[int], Reader]
"""The reader of a seed."""


def one_axis(seed: int) -> Reader:
    return PlantedReader(PROMPTS.plural, d_model=12, seed=seed)


class TwoAxes:
    """Half of the prompts have their number on one axis, half on another."""

    def __init__(self, seed: int, d_model: int = 4) -> None:
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randn(d_model, 2, generator=generator, dtype=torch.float64)
        axes = torch.linalg.qr(drawn).Q.T
        sign = 2 * torch.from_numpy(PROMPTS.plural).double() - 1
        self.own = axes[torch.arange(len(sign)) % 2]
        noise = torch.randn(len(sign), d_model, generator=generator, dtype=torch.float64)
        # The core can be but one of them: that with the larger variance.
        strength = torch.tensor([3.0, 1.5], dtype=torch.float64)[torch.arange(len(sign)) % 2]
        self.states = ((strength * sign)[:, None] * self.own + 0.3 * noise)[None]

    def observe(self) -> Observed:
        return Observed(self.states, self.own[None], self.margins(self.states[0]))

    def margins(self, states: Tensor) -> Tensor:
        return (states * self.own).sum(-1)

    def edited_margins(self, edits: Sequence[Placed], chosen: Tensor) -> Tensor:
        margins = [self.margins(edit(self.states[layer])) for layer, edit in edits]
        return torch.stack(margins)[:, chosen]


class SharedCoordinate(PlantedReader):
    """An axis of a seed's own that carries what all seeds have in common, and some noise."""

    def __init__(self, seed: int, *, noise: float, common: float = 1.0) -> None:
        super().__init__(PROMPTS.plural, d_model=32 + seed % 3, seed=seed)
        sign = 2 * torch.from_numpy(PROMPTS.plural).double() - 1
        one, other = (torch.Generator().manual_seed(s) for s in (99, 1_000 + seed))
        shared = sign + common * torch.randn(len(sign), generator=one, dtype=torch.float64)
        along = shared + noise * torch.randn(len(sign), generator=other, dtype=torch.float64)
        self._states += (3 * along - self._states @ self._axis)[..., None] * self._axis


def shared(seed: int) -> Reader:
    return SharedCoordinate(seed, noise=0.1)


def label_alone(seed: int) -> Reader:
    return SharedCoordinate(seed, noise=0.2, common=0.0)


def apart(seed: int) -> Reader:
    return SharedCoordinate(seed, noise=2.0)


SUITE = """\
name = "tiny"
claims = ["CORE-11", "CORE-12"]
[[models]]
size = "small"
seed = 1
folder = "seed1"
[[models]]
size = "medium"
seed = 2
folder = "seed2"
[[models]]
seed = 3
folder = "seed3"
"""


def write_gpt2(folder: Path) -> Path:
    """Three tiny GPT-2 models of different sizes that know the verbs, drawn at random."""
    texts = [f"{text} {verb}" for text in PROMPTS.texts for verb in ("is", "are", "was", "were")]
    tokenizer = tokenizer_of(texts * 2, 512)
    for seed, layers in ((1, 1), (2, 2), (3, 2)):
        model = gpt2(seed, hidden_size=16 * seed, num_hidden_layers=layers)
        saved(model, folder / f"seed{seed}")
        tokenizer.save(str(folder / f"seed{seed}" / "tokenizer.json"))
    (folder / "tiny.toml").write_text(SUITE)
    return folder / "tiny.toml"
