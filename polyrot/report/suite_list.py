"""Suites in words, for `polyrot suites`."""

import textwrap
from collections.abc import Iterator

from polyrot.experiments.chains.suite import NAME as MARKOV
from polyrot.experiments.language.checkpoints import AGREEMENT
from polyrot.experiments.language.suite_file import SuiteFile, builtin_files, read_suite_file
from polyrot.experiments.language.train import textlm_folder
from polyrot.experiments.planted.plan import FULL, SUBSPACES
from polyrot.locations import guide, judging
from polyrot.models.cohorts import COHORTS, CONTROL_COHORT, SHORT_COHORT
from polyrot.models.encoder_cohorts import ENCODER_COHORTS, MODULAR
from polyrot.report.columns import entry, width
from polyrot.suites.artifacts import MANIFEST
from polyrot.suites.catalogue import WORLDS

MARGIN = 26


def overview() -> Iterator[str]:
    """Yield every suite by name, what it is and what it needs, in 80 columns."""
    for name, cohort in COHORTS.items():
        if name not in (CONTROL_COHORT, SHORT_COHORT):
            sharing = "shared frozen input and output" if cohort.shared_io else "nothing shared"
            seeds = f"{cohort.seeds[0]}-{cohort.seeds[-1]}"
            yield from entry(
                name, f"Dyck-3 transformers, seeds {seeds}, {sharing}; shipped", MARGIN
            )
    markov, addition = (ENCODER_COHORTS[name] for name in (MARKOV, MODULAR))
    yield from entry(
        MARKOV, f"encoders that predict a Markov chain, {len(markov.seeds)} seeds; shipped", MARGIN
    )
    yield from entry(
        MODULAR,
        f"encoders that grok addition modulo 53, {len(addition.seeds)} seeds; shipped",
        MARGIN,
    )
    yield from entry(
        SUBSPACES, "dictionaries trained on planted subspaces, up to 5 seeds; shipped", MARGIN
    )
    yield from entry(
        FULL, f"the same in the paper's sizes; `polyrot train {FULL}` first (long)", MARGIN
    )
    for name, path in builtin_files().items():
        file = read_suite_file(path)
        yield from entry(name, f"{file.description}; {_needs(file)}", MARGIN)
    yield from entry("published:DIR", "checkpoints as the paper's author released them", MARGIN)
    yield from entry("world:NAME", f"synthetic, with known truth: {', '.join(WORLDS)}", MARGIN)
    yield from entry("FILE.toml", f"your own models; {guide()} says how", MARGIN)
    yield ""
    said = (
        f"{judging()} --suite NAME measures one; polyrot suites show NAME prints its file, a start "
        "for your own; polyrot suites check FILE finds what is wrong."
    )
    yield from textwrap.wrap(said, width(), break_on_hyphens=False)


def _needs(file: SuiteFile) -> str:
    if file.models[0].artifact == AGREEMENT:
        return "shipped"
    if file.models[0].artifact:
        there = (textlm_folder() / MANIFEST).is_file()
        return "trained" if there else "not trained yet: the first run does (hours), with progress"
    return "from the hub"
