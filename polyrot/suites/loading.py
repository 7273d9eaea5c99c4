"""Suites by name: from trained files, from released ones, or synthetic."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from glob import glob
from pathlib import Path
from typing import Any

from polyrot.errors import NotRun
from polyrot.experiments.addition.suite import NAME as MODULAR
from polyrot.experiments.addition.suite import ModularSuite
from polyrot.experiments.chains.suite import NAME as MARKOV
from polyrot.experiments.chains.suite import MarkovSuite
from polyrot.experiments.dyck.release_folder import Release
from polyrot.experiments.dyck.release_name import parse_released
from polyrot.experiments.dyck.released import ReleasedSuite, released_provenance
from polyrot.experiments.dyck.suite import TrainedSuite
from polyrot.experiments.language.suite_file import SuiteFile, builtin_files, read_suite_file
from polyrot.experiments.language.train import NAME as TEXTLM
from polyrot.experiments.language.train import train_textlm
from polyrot.experiments.planted.plan import FULL, SUBSPACES
from polyrot.experiments.planted.suite import DictionarySuite
from polyrot.files import sha256
from polyrot.models.cohorts import COHORTS, COMPARED_WITH, CONTROL_COHORT, SHORT_COHORT
from polyrot.models.encoder_cohorts import CHAINS, ENCODER_COHORTS, SWEEP
from polyrot.suggestions import nearest, unknown
from polyrot.suites.artifacts import MANIFEST, SHIPPED, Artifacts
from polyrot.suites.catalogue import WORLDS, load_world, parse_world
from polyrot.suites.names import described, suite_file, world_name
from polyrot.suites.suite import Suite
from polyrot.suites.training import retrained_directory

NAMED = (
    *(name for name in COHORTS if name not in (CONTROL_COHORT, SHORT_COHORT)),
    MARKOV,
    MODULAR,
    SUBSPACES,
    FULL,
    *builtin_files(),
)
SUITES = (*NAMED, *(world_name(world) for world in WORLDS))
"""Names of the suites; a world has further draws, say `world:haar:3`."""


def load_suite(
    name: str,
    *,
    device: str = "cpu",
    artifacts: Path = SHIPPED,
    progress: Callable[[float, str], None] = lambda share, what: None,
) -> Suite:
    """Load a suite.

    Args:
        name: `"dyck3"` (seeds 0-4, shared frozen I/O), `"dyck3-independent"` (100-104); a
            synthetic one, say `"world:haar"`, whose autoencoders are trained when needed; a
            suite file, `"my-models.toml"`, or a built-in one, say `"textlm"`, which is trained
            first where it was not yet; or `"published:DIR"` for checkpoints in the layout that
            the paper's author released (`"published:DIR:0-4"` for these seeds of them).
        device: where models run, `"cpu"` or `"cuda"`; a synthetic suite has none.
        artifacts: the folder that holds one folder of trained files per suite.
        progress: called with the share that is done and what is being done.

    Raises:
        ValueError: where there is no such suite, or a released file is not what it should be.
        MissingArtifact: where its models were not trained yet, or there is one seed alone.
        DamagedArtifact: where a trained file is missing or damaged.

    >>> suite = load_suite("dyck3")
    >>> suite.seeds, suite.sites
    ((0, 1, 2, 3, 4), ('resid_mid.0', 'resid_post.0', 'resid_mid.1', 'resid_post.1'))
    """
    if released := parse_released(name):
        release = Release.open(released)
        return ReleasedSuite(name, release, artifacts=artifacts, device=device, progress=progress)
    check_suite(name)
    if world := parse_world(name):
        return load_world(*world, progress=progress)
    if path := suite_file(name):
        return _language_suite(path, device, artifacts, progress)
    if name == MARKOV:
        return MarkovSuite(artifacts, device)
    if name == MODULAR:
        return ModularSuite(artifacts, device)
    if name in (SUBSPACES, FULL):
        return DictionarySuite(name, _dictionaries(name, artifacts))
    return TrainedSuite(COHORTS[name], artifacts, device)


def check_suite(name: str) -> None:
    """Raise ValueError where there is no such suite, or its files cannot be read."""
    try:
        file = described(name)
    except FileNotFoundError as error:
        raise ValueError(str(error)) from None
    if file and name not in SUITES and file.name in SUITES:
        raise ValueError(
            f"{name}: name: {file.name!r} is a suite of polyrot's, whose reports it would write "
            "over; choose another"
        )
    if released := parse_released(name):
        Release.open(released)
    elif suite_file(name) is None and name not in SUITES and parse_world(name) is None:
        if nearest(name, SUITES):
            raise ValueError(unknown("a suite", name, SUITES))
        raise ValueError(
            f"Expected a suite among {', '.join(NAMED)}, world:NAME, published:DIR or a suite file "
            f"(.toml) but got {name!r}; `polyrot suites` explains them"
        )


def suite_provenance(name: str, artifacts: Path = SHIPPED) -> Mapping[str, Any]:
    """Seeds, how well they were trained, and file hashes, without loading the suite."""
    if world := parse_world(name):
        return {"seeds": list(load_world(*world).seeds)}
    if path := suite_file(name):
        return _file_provenance(path, artifacts)
    if name in (SUBSPACES, FULL):
        return _dictionary_provenance(_dictionaries(name, artifacts) / name / MANIFEST)
    if name in ENCODER_COHORTS:
        cohorts = {MARKOV: tuple(CHAINS), MODULAR: (MODULAR, SWEEP)}.get(name, (name,))
        return _encoder_provenance(name, cohorts, artifacts)
    provenance: dict[str, Any] = {"seeds": list(COHORTS[name].seeds)} if name in COHORTS else {}
    if released := parse_released(name):
        provenance = released_provenance(released)
    for label, folder in (("artifacts", name), ("control artifacts", CONTROL_COHORT)):
        file = artifacts / folder / "manifest.json"
        if file.is_file():
            manifest = json.loads(file.read_text())
            provenance[label] = manifest["files"]
            if folder == name:
                provenance["lowest accuracy"] = {
                    seed: metrics["lowest accuracy"] for seed, metrics in manifest["seeds"].items()
                }
    others = {
        other: sha256(artifacts / other / "manifest.json")
        for other in COMPARED_WITH.get(name, ())
        if (artifacts / other / "manifest.json").is_file()
    }
    return {**provenance, "compared with": others} if others else provenance


def _dictionaries(name: str, artifacts: Path) -> Path:
    """The folder of a suite's folder: those of the paper's sizes are never shipped."""
    return retrained_directory() if name == FULL else artifacts


def _dictionary_provenance(manifest: Path) -> Mapping[str, Any]:
    own = json.loads(manifest.read_text()) if manifest.is_file() else {}
    return {"seeds": own.get("seeds", []), "artifacts": own.get("files", {})}


def _encoder_provenance(name: str, cohorts: Iterable[str], artifacts: Path) -> Mapping[str, Any]:
    """Of a suite of the cores paper: its files, and the manifests of the other cohorts."""
    manifests = {cohort: artifacts / cohort / MANIFEST for cohort in cohorts}
    own = json.loads(manifests[name].read_text()) if manifests[name].is_file() else {}
    return {
        "seeds": list(ENCODER_COHORTS[name].seeds),
        "artifacts": own.get("files", {}),
        "lowest accuracy": {
            seed: metrics["lowest accuracy"] for seed, metrics in own.get("seeds", {}).items()
        },
        "compared with": {
            cohort: sha256(file)
            for cohort, file in manifests.items()
            if cohort != name and file.is_file()
        },
    }


def _language_suite(
    path: Path, device: str, artifacts: Path, progress: Callable[[float, str], None]
) -> Suite:
    # Imported here: `transformers` takes seconds, and no other suite wants it.
    from polyrot.experiments.language.checkpoints import AGREEMENT
    from polyrot.experiments.language.suite import LanguageSuite

    file = read_suite_file(path)
    if any(entry.artifact == AGREEMENT for entry in file.models):
        Artifacts.open(artifacts / AGREEMENT)  # verifies every hash
    if any(entry.artifact == TEXTLM for entry in file.models):
        train_textlm(command=f"polyrot train {TEXTLM}", device=device, progress=progress)
    return LanguageSuite(file, path.parent, device=device, artifacts=artifacts, progress=progress)


@lru_cache(maxsize=32)  # asked for by every test
def _file_provenance(path: Path, artifacts: Path) -> Mapping[str, Any]:
    """Hashes of the file and of all that it names, as far as that is there."""
    from polyrot.experiments.language.checkpoints import runs
    from polyrot.models import hub

    file, base = read_suite_file(path), path.parent
    found: dict[str, dict[str, list[str]]] = {"models": {}, "controls": {}}
    for which, entries in (("models", file.models), ("controls", file.controls)):
        for run in (run for entry in entries for run in runs(entry, base, artifacts)):
            stand = found[which].setdefault(str(run.seed), [])
            for checkpoint in (run.last, *run.earlier, run.untrained):
                with suppress(NotRun):
                    stand += [hub.identity(checkpoint)] if checkpoint else []
    return {
        "seeds": list(file.seeds),
        "suite file": sha256(path),
        **found,
        "files": [f"{other.name} {sha256(other)}" for other in _other_files(file, base, artifacts)],
    }


def _other_files(file: SuiteFile, base: Path, artifacts: Path) -> list[Path]:
    """What a suite file names besides models, as far as it is there."""
    from polyrot.experiments.language.checkpoints import artifact_folder
    from polyrot.experiments.language.tokens import token_files
    from polyrot.experiments.language.train import TOKENIZER_FILE, TOKENS_FILE

    names = [file.tokens.tokenizer and f"{file.tokens.tokenizer}/*"]
    names += [name for contrast in file.steering.own for name in (contrast.toward, contrast.away)]
    autoencoders = re.sub(r"\{(seed|site|sae_seed)\}", "*", file.sae.folder)
    names += [autoencoders and f"{autoencoders}/*"]
    found = [other for name in names if name for other in glob(str(base / name))]
    with suppress(NotRun):
        found += map(str, token_files(file.tokens, base))
    for entry in file.models:
        if entry.artifact:
            folder = artifact_folder(entry.artifact, base, artifacts)
            found += [str(folder / name) for name in (TOKENS_FILE, TOKENIZER_FILE)]
    return sorted({Path(other) for other in found if Path(other).is_file()})
