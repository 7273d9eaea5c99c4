"""Suites in words, for `polyrot suites`."""

import textwrap
from collections.abc import Iterator
from pathlib import Path

from polyrot.experiments.chains.suite import NAME as MARKOV
from polyrot.experiments.language.checkpoints import AGREEMENT
from polyrot.experiments.language.suite import LanguageSuite
from polyrot.experiments.language.suite_file import SuiteFile, builtin_files, read_suite_file
from polyrot.experiments.language.train import textlm_folder
from polyrot.experiments.planted.plan import FULL, SUBSPACES
from polyrot.locations import guide, judging
from polyrot.models import hub
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


def summary(path: Path) -> Iterator[str]:
    """Yield what a suite file that has no problems will run."""
    file = read_suite_file(path)
    suite = LanguageSuite(file, path.parent)
    first = hub.skeleton(suite.checkpoints[0])
    parameters = sum(p.numel() for p in first.parameters())
    rows, length = suite.data.analysis.shape
    yield (
        f"{file.name}: {len(file.seeds)} models of {parameters:,} parameters, "
        f"d_model {suite.d_model}"
    )
    yield f"sites: {', '.join(suite.sites)}"
    yield f"tokens: {rows} sequences of {length}, and {len(suite.data.sae)} for autoencoders"
    yield f"claims: {', '.join(file.claims) or 'all that apply to language models'}"
    if len(file.seeds) < 3:
        yield "note: two seeds give values without intervals; a verdict wants three or more"
    if not file.controls and "PIR-02" in (file.claims or ["PIR-02"]):
        yield "note: no [[controls]]: PIR-02 lacks the control of a model of another task"
    earlier = all(entry.earlier or entry.artifact for entry in file.models)
    if not earlier and "PIR-14" in (file.claims or ["PIR-14"]):
        yield "note: no models.earlier: PIR-14 is NOT RUN"
    yield f"run it: {judging()} --suite {path}"


def _needs(file: SuiteFile) -> str:
    if file.models[0].artifact == AGREEMENT:
        return "shipped"
    if file.models[0].artifact:
        there = (textlm_folder() / MANIFEST).is_file()
        return "trained" if there else "not trained yet: the first run does (hours), with progress"
    return "from the hub"
