"""A summary of what a suite file will run."""

from collections.abc import Iterator
from pathlib import Path

from polyrot.experiments.language.suite import LanguageSuite
from polyrot.experiments.language.suite_file import read_suite_file
from polyrot.locations import judging
from polyrot.models import hub


def summary(path: Path) -> Iterator[str]:
    """Yield lines about what a valid suite file will run."""
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
        yield "note: two seeds give values without intervals; a verdict needs three or more"
    if not file.controls and "PIR-02" in (file.claims or ["PIR-02"]):
        yield "note: no [[controls]]: PIR-02 lacks the control of a model of another task"
    earlier = all(entry.earlier or entry.artifact for entry in file.models)
    if not earlier and "PIR-14" in (file.claims or ["PIR-14"]):
        yield "note: no models.earlier: PIR-14 is NOT RUN"
    yield f"run it: {judging()} --suite {path}"
