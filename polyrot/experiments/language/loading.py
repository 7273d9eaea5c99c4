"""Load the suite that a file describes, record its provenance, and say what it needs."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from glob import glob
from pathlib import Path
from typing import Any

from polyrot.errors import NotRun
from polyrot.experiments.language.checkpoints import folder_of, runs
from polyrot.experiments.language.suite import LanguageSuite
from polyrot.experiments.language.suite_file import SuiteFile, read_suite_file
from polyrot.experiments.language.tokens import token_files
from polyrot.experiments.language.train import TOKENIZER_FILE, TOKENS_FILE
from polyrot.files import sha256
from polyrot.models import hub
from polyrot.progress import Progress
from polyrot.suites import registry
from polyrot.suites.artifacts import MANIFEST, SHIPPED, Artifacts
from polyrot.suites.kind import Listed


def load(name: str, *, artifacts: Path, device: str, progress: Progress) -> LanguageSuite:
    """Load a suite by its name or its file; see `polyrot.suites.loading.load_suite`."""
    path = _path(name)
    file = read_suite_file(path)
    for artifact, folder in _artifacts(file, path.parent, artifacts):
        trainer = registry.trainers().get(artifact)
        if trainer and trainer.on_demand and not (folder / MANIFEST).is_file():
            command = f"polyrot train {artifact}"
            registry.train(artifact, command=command, device=device, progress=progress)
        if trainer:
            Artifacts.open(folder)  # verifies every hash
    return LanguageSuite(file, path.parent, device=device, artifacts=artifacts, progress=progress)


@lru_cache(maxsize=32)  # called by every test
def provenance(name: str, artifacts: Path) -> Mapping[str, Any]:
    """Return hashes of the file and of everything it names that exists."""
    path = _path(name)
    file, base = read_suite_file(path), path.parent
    found: dict[str, dict[str, list[str]]] = {"models": {}, "controls": {}}
    for which, entries in (("models", file.models), ("controls", file.controls)):
        for run in (run for entry in entries for run in runs(entry, base, artifacts)):
            identities = found[which].setdefault(str(run.seed), [])
            for checkpoint in (run.last, *run.earlier, run.untrained):
                with suppress(NotRun):
                    identities += [hub.identity(checkpoint)] if checkpoint else []
    return {
        "seeds": list(file.seeds),
        "suite file": sha256(path),
        **found,
        "files": [f"{other.name} {sha256(other)}" for other in _other_files(file, base, artifacts)],
    }


def needs(suite: Listed) -> str:
    """Say what a listed suite needs before it can run."""
    for artifact in suite.cohorts:
        if (SHIPPED / artifact).is_dir():
            return "shipped"
        if (folder_of(artifact, Path()) / MANIFEST).is_file():
            return "trained"
        return "not trained yet: the first run trains it (hours), with progress"
    return "from the hub"


def _path(name: str) -> Path:
    file = registry.find_suite(name).file
    assert file is not None
    return file


def _artifacts(file: SuiteFile, base: Path, artifacts: Path) -> Iterator[tuple[str, Path]]:
    entries = (*file.models, *file.controls)
    for artifact in dict.fromkeys(entry.artifact for entry in entries if entry.artifact):
        yield artifact, folder_of(artifact, base, artifacts)


def _other_files(file: SuiteFile, base: Path, artifacts: Path) -> list[Path]:
    """List the existing files, other than models, that a suite file names."""
    names = [file.tokens.tokenizer and f"{file.tokens.tokenizer}/*"]
    names += [name for contrast in file.steering.own for name in (contrast.toward, contrast.away)]
    autoencoders = re.sub(r"\{(seed|site|sae_seed)\}", "*", file.sae.folder)
    names += [autoencoders and f"{autoencoders}/*"]
    found = [other for name in names if name for other in glob(str(base / name))]
    with suppress(NotRun):
        found += map(str, token_files(file.tokens, base))
    for entry in file.models:
        if entry.artifact:
            folder = folder_of(entry.artifact, base, artifacts)
            found += [str(folder / name) for name in (TOKENS_FILE, TOKENIZER_FILE)]
    return sorted({Path(other) for other in found if Path(other).is_file()})
