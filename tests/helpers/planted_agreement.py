"""Readers of prompts, and suites of them, for which it is known whether agreement is one axis."""

from collections.abc import Callable, Mapping
from pathlib import Path

from planted_language import gpt2, saved, tokenizer_of

from polyrot.experiments.agreement.controls import LinearReader, planted_axis
from polyrot.experiments.agreement.studies import Readers
from polyrot.experiments.agreement.worlds import VERB_WORLDS
from polyrot.suites.draws import Draw
from polyrot.suites.suite import Suite
from polyrot.tasks.agreement import Prompts, draw_prompts

PROMPTS = draw_prompts(1_200)
SIZES = {"small": (1, 2, 3, 4, 5), "large": (6, 7, 8, 9, 10)}
Make = Callable[[int, Prompts], LinearReader]
"""The reader of a seed, given prompts."""


def one_axis(seed: int, prompts: Prompts) -> LinearReader:
    return planted_axis(prompts.plural, d_model=12, seed=seed)


def of_world(name: str, d_model: int = 32) -> Make:
    return lambda seed, prompts: VERB_WORLDS[name](
        prompts.plural, d_model + seed % 3, Draw(0), seed
    )


class PlantedReaders(Suite, Readers):
    """Readers as they are made, of named sizes."""

    sizes = None  # given by __init__

    def __init__(self, make: Make, sizes: Mapping[str, tuple[int, ...]] = SIZES) -> None:
        Suite.__init__(self, "planted", sum(sizes.values(), ()))
        Readers.__init__(self)
        self._make, self.sizes = make, sizes

    def width(self, seed: int) -> int:
        return self._make(seed, PROMPTS).states.shape[-1]

    def reader(self, seed: int, prompts: Prompts, *, last: str = "") -> LinearReader:
        return self._make(seed, prompts)


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
