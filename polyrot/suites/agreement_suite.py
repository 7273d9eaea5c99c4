"""Suites of language models before a verb: who reads the prompts, and which models are one size."""

from functools import partial
from itertools import combinations

from polyrot.missing import NotRun
from polyrot.models import hub
from polyrot.suites.agreement import LanguageReader, copulas
from polyrot.suites.agreement_axes import Study, study
from polyrot.suites.language import LanguageSuite
from polyrot.suites.suite import Suite
from polyrot.tasks.agreement import Prompts, draw_prompts


def study_of(suite: Suite, seed: int, *, last: str = "") -> Study:
    """Study a model of a suite on the published prompts; once for all claims.

    Args:
        suite: of language models.
        seed: of the model.
        last: as for `LanguageReader`.

    Raises:
        NotRun: as `reader_of`.
    """
    known = language_suite(suite).studies
    if (seed, last) not in known:
        prompts = draw_prompts()
        plain = study_of(suite, seed) if last else None
        reader = reader_of(suite, seed, prompts, last=last)
        known[seed, last] = study(reader, prompts, known=plain)
    return known[seed, last]


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
