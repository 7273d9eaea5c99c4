"""Agreement in a suite's models: each is studied once; groups of them are units of estimates."""

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from itertools import combinations

from polyrot.errors import NotRun
from polyrot.experiments.agreement.axes import Study, study
from polyrot.experiments.agreement.readers import Reader
from polyrot.suites.capability import Capability
from polyrot.tasks.agreement import COUNT, Prompts, draw_distinct_prompts, draw_prompts

PER_DIMENSION = 60
"""Training prompts for each dimension of the widest model.

Of an axis that is removed as estimated from n prompts in d dimensions, a separation remains.  For
`polyrot.experiments.agreement.controls.planted_axis` the area under the curve is then
Phi(1.18 sqrt(d / n)): 0.60 with 22 prompts for each dimension, 0.56 with 60.
"""


class Readers(Capability):
    """Models that read prompts of subject-verb agreement, by size."""

    what = "language models that read English"
    name: str
    seeds: tuple[int, ...]

    def __init__(self) -> None:
        self._studies: dict[tuple[int, str, bool], Study] = {}

    @property
    @abstractmethod
    def sizes(self) -> Mapping[str, tuple[int, ...]]:
        """Seeds by the size of their models."""

    @abstractmethod
    def width(self, seed: int) -> int:
        """Return the width of a model's residual stream."""

    @abstractmethod
    def reader(self, seed: int, prompts: Prompts, *, last: str = "") -> Reader:
        """Let a model read prompts; `last` as for `LanguageReader`."""

    @cached_property
    def many_prompts(self) -> Prompts:
        """Different prompts, enough for the widest model as far as there are as many."""
        widest = max(map(self.width, self.seeds))
        return draw_distinct_prompts(max(COUNT, 2 * PER_DIMENSION * widest))

    def study(self, seed: int, *, last: str = "", many: bool = False) -> Study:
        """Study a model, once for all claims.

        Args:
            seed: of the model.
            last: where the last layer's state is read; see
                `polyrot.experiments.agreement.readers.LanguageReader`.
            many: on `many_prompts` instead of the published ones?
        """
        key = seed, last, many
        if key not in self._studies:
            prompts = self.many_prompts if many else draw_prompts()
            plain = self.study(seed, many=many) if last else None
            reader = self.reader(seed, prompts, last=last)
            self._studies[key] = study(reader, prompts, known=plain)
        return self._studies[key]


def units(readers: Readers) -> Mapping[str, tuple[int, ...]]:
    """Group the seeds for estimates: by size, or all together if every size has a single model.

    Then the models are the units of replication, and the group has no name.
    """
    if _single(readers):
        return {"": tuple(seed for seeds in readers.sizes.values() for seed in seeds)}
    return readers.sizes


def pairs_of_sizes(readers: Readers) -> dict[str, list[tuple[int, int]]]:
    """List the pairs of seeds of different sizes: by two sizes, or all as one part as in `units`.

    Raises:
        NotRun: if all models are of one size.
    """
    groups = readers.sizes
    if len(groups) < 2:
        raise NotRun(
            f"the models of {readers.name} are of one size; give one [[models]] table for each size"
        )
    pairs = {
        f"{one} and {other}": [(a, b) for a in groups[one] for b in groups[other]]
        for one, other in combinations(groups, 2)
    }
    if _single(readers):
        return {"all sizes": [pair for (pair,) in pairs.values()]}
    return pairs


def _single(readers: Readers) -> bool:
    """Is there only one model of every size?"""
    return all(len(seeds) == 1 for seeds in readers.sizes.values())


def part_name(*words: str) -> str:
    """Name a part by its group, if that has a name, and further words."""
    return ", ".join(word for word in words if word)
