"""One axis a layer that should carry agreement: how it is found, and what follows without it.

Found on the training prompts alone; what interventions on it do is the area under the ROC curve
of the plural margin, for a plural head, on either half of the prompts (arXiv 2602.22600).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from weakref import WeakKeyDictionary

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from polyrot.cores.ablation import flip, keep, remove
from polyrot.cores.extraction import core_of
from polyrot.cores.gramians import reachability
from polyrot.interventions.blocks import Edit
from polyrot.missing import NotRun
from polyrot.models import hub
from polyrot.stats.ranking import area_under_curve
from polyrot.suites.agreement import LanguageReader, Observed, Reader, copulas
from polyrot.suites.language import LanguageSuite
from polyrot.suites.suite import Suite
from polyrot.tasks.agreement import Prompts, draw_prompts

INTERVENTIONS = {"keep": keep, "remove": remove, "flip": flip}
"""About the mean of the training prompts, at the last token alone."""

Direction = Float[Tensor, " d_model"]


@dataclass(frozen=True)
class Areas:
    """Areas under the curve on one half of the prompts."""

    base: float
    """Without intervention."""
    by_layer: Mapping[str, tuple[float, ...]]
    """By intervention; the first layer is the state behind the first block."""

    @property
    def best_layer(self) -> int:
        """Where to flip the axis does most, the first of such layers, as published."""
        return int(np.argmin(self.by_layer["flip"]))


@dataclass(frozen=True, eq=False)
class Study:
    """What one model has at every layer, and what its cores do there."""

    reader: Reader
    prompts: Prompts
    states: Float[Tensor, "layer prompt d_model"]
    margins: Float[Tensor, " prompt"]
    cores: Float[Tensor, "layer d_model"]
    """Top directions of algorithmic core extraction, unit vectors, float64."""
    training: Areas
    test: Areas

    def intervene(
        self, layer: int, directions: Sequence[Direction]
    ) -> tuple[dict[str, float], ...]:
        """Intervene on other axes at a layer: areas under the curve on the test prompts."""
        mean = _means(self.states, self.prompts)[layer]
        edits = [(layer, own) for axis in directions for own in _edits(axis, mean)]
        areas = [
            _area(margins, self.prompts, ~self.prompts.training)
            for margins in self.reader.edited_margins(edits)
        ]
        rows = np.array(areas).reshape(-1, len(INTERVENTIONS)).tolist()
        return tuple(dict(zip(INTERVENTIONS, row, strict=True)) for row in rows)

    def coordinates(self, layer: int, direction: Direction) -> Float[Tensor, " prompt"]:
        """Express states along an axis, about their training mean.

        The sign is such that coordinates rise with the margin of the training prompts.
        """
        centred = self.states[layer].double() - _means(self.states, self.prompts)[layer]
        along = centred @ direction.double()
        training = torch.from_numpy(self.prompts.training)
        margins = self.margins.double()[training]
        rises = float(along[training] @ (margins - margins.mean())) >= 0
        return along if rises else -along


def study(reader: Reader, prompts: Prompts) -> Study:
    """Find the core of every layer on the training prompts, and intervene on it.

    Args:
        reader: of these prompts.
        prompts: labels and split.
    """
    observed = reader.observe()
    cores = _cores(observed, prompts)
    means = _means(observed.states, prompts)
    edits = [
        (layer, own)
        for layer, (axis, mean) in enumerate(zip(cores, means, strict=True))
        for own in _edits(axis, mean)
    ]
    edited = reader.edited_margins(edits).view(len(cores), len(INTERVENTIONS), -1)
    halves = (
        Areas(
            _area(observed.margins, prompts, half),
            {
                name: tuple(_area(margins, prompts, half) for margins in edited[:, index])
                for index, name in enumerate(INTERVENTIONS)
            },
        )
        for half in (prompts.training, ~prompts.training)
    )
    return Study(reader, prompts, observed.states, observed.margins, cores, *halves)


_studies: WeakKeyDictionary[Suite, dict[tuple[int, str], Study]] = WeakKeyDictionary()


def study_of(suite: Suite, seed: int, *, last: str = "") -> Study:
    """Study a model of a suite on the published prompts; once for all claims.

    Args:
        suite: of language models.
        seed: of the model.
        last: as for `LanguageReader`.

    Raises:
        NotRun: as `reader_of`.
    """
    known = _studies.setdefault(suite, {})
    if (seed, last) not in known:
        prompts = draw_prompts()
        known[seed, last] = study(reader_of(suite, seed, prompts, last=last), prompts)
    return known[seed, last]


def random_directions(d_model: int, count: int, *, seed: int) -> Float[Tensor, "count d_model"]:
    """Draw axes that know nothing of a model."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(count, d_model, generator=generator, dtype=torch.float64)
    return drawn / drawn.norm(dim=1, keepdim=True)


def past_direction(own: Study, layer: int) -> Direction:
    """Point from the prompts without "In the past," to those with it: an unrelated label's axis."""
    training, past = (torch.from_numpy(x) for x in (own.prompts.training, own.prompts.past))
    states = own.states[layer].double()
    difference = states[training & past].mean(0) - states[training & ~past].mean(0)
    return difference / difference.norm()


def reader_of(suite: Suite, seed: int, prompts: Prompts, *, last: str = "") -> LanguageReader:
    """Let a model of a suite read prompts.

    Args:
        suite: of language models.
        seed: of the model.
        prompts: what is read.
        last: as for `LanguageReader`.

    Raises:
        NotRun: where the suite has no language models, a verb is not a single token, or the
            prompts are longer than the model reads.
    """
    own = language_suite(suite)
    tokenizer = own.tokenizer()
    tokens = tokenizer(prompts.texts)["input_ids"]
    checkpoint = own.checkpoints[own.index(seed)]
    longest = max(map(len, tokens))
    context = getattr(hub.architecture(checkpoint), "max_position_embeddings", None) or longest
    if longest > context:
        raise NotRun(f"prompts have up to {longest} tokens and {checkpoint} reads {context}")
    return LanguageReader(
        partial(own.language_model, seed),
        tokens,
        copulas(tokenizer),
        batch=own.file.tokens.batch,
        last=last,
    )


def language_suite(suite: Suite) -> LanguageSuite:
    """Return a suite of language models.

    Raises:
        NotRun: where it is one of others.
    """
    if not isinstance(suite, LanguageSuite):
        raise NotRun(
            "the claim is about language models that read English; run it with --suite agreement "
            "or gpt2"
        )
    return suite


def by_size(suite: Suite) -> dict[str, tuple[int, ...]]:
    """Group the seeds of a suite of language models: one group for each `[[models]]` table.

    The group's name is the table's `size`, or the width of its models.
    """
    own = language_suite(suite)
    groups: dict[str, tuple[int, ...]] = {}
    for entry in own.file.models:
        checkpoint = own.checkpoints[own.index(entry.all_seeds[0])]
        name = entry.size or f"width {hub.architecture(checkpoint).hidden_size}"
        groups[name] = (*groups.get(name, ()), *entry.all_seeds)
    return groups


def units(suite: Suite) -> dict[str, tuple[int, ...]]:
    """Group the seeds for estimates: by size, or all as one where every size has a single model.

    Then the models are the units of replication, and the group has no name.
    """
    groups = by_size(suite)
    if all(len(seeds) == 1 for seeds in groups.values()):
        return {"": tuple(seed for seeds in groups.values() for seed in seeds)}
    return groups


def pairs_of_sizes(suite: Suite) -> dict[str, list[tuple[int, int]]]:
    """List the pairs of seeds of different sizes: by two sizes, or all as one part as in `units`.

    Raises:
        NotRun: where all models are of one size.
    """
    groups = by_size(suite)
    if len(groups) < 2:
        raise NotRun(
            f"the models of {suite.name} are of one size; give a [[models]] table for each of "
            "several sizes"
        )
    pairs = {
        f"{one} and {other}": [(a, b) for a in groups[one] for b in groups[other]]
        for one, other in combinations(groups, 2)
    }
    if all(len(seeds) == 1 for seeds in groups.values()):
        return {"all sizes": [pair for (pair,) in pairs.values()]}
    return pairs


def part_name(*words: str) -> str:
    """Name a part by its group, if that has a name, and more."""
    return ", ".join(word for word in words if word)


def _cores(observed: Observed, prompts: Prompts) -> Float[Tensor, "layer d_model"]:
    training = torch.from_numpy(prompts.training)
    found = []
    for states, gradients in zip(observed.states, observed.gradients.double(), strict=True):
        own = gradients[training]
        core = core_of(reachability(states[training]), own.mT @ own / len(own))
        found.append(core.basis(1)[:, 0])
    return torch.stack(found)


def _means(states: Tensor, prompts: Prompts) -> Float[Tensor, "layer d_model"]:
    """Of the training prompts, at every layer."""
    means: Tensor = states[:, torch.from_numpy(prompts.training)].double().mean(1)
    return means


def _edits(axis: Direction, mean: Direction) -> list[Edit]:
    """Make the three interventions on an axis, in double precision."""

    def edit(intervention: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Edit:
        def changed(x: Tensor) -> Tensor:
            basis, centre = axis[:, None].to(x.device), mean.to(x.device)
            return intervention(x.double(), basis, centre).to(x.dtype)

        return changed

    return [edit(intervention) for intervention in INTERVENTIONS.values()]


def _area(
    margins: Float[Tensor, " prompt"], prompts: Prompts, half: Bool[np.ndarray, " prompt"]
) -> float:
    return area_under_curve(margins.double().numpy()[half], prompts.plural[half])
