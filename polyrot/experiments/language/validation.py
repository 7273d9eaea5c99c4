"""Every problem of a suite file that can be found before weights are loaded."""

from collections.abc import Iterator
from pathlib import Path

import torch

from polyrot.catalogue import find_claims
from polyrot.errors import NotRun
from polyrot.experiments.language.checkpoints import Run, folder_of, runs, sites_of
from polyrot.experiments.language.contrasts import load_contrasts
from polyrot.experiments.language.suite import LanguageSuite
from polyrot.experiments.language.suite_file import (
    Models,
    Problem,
    SuiteFile,
    SuiteFileError,
    dotted,
    read_suite_file,
)
from polyrot.experiments.language.toml_lines import Location, line_of
from polyrot.models import hub
from polyrot.suites import registry

Found = Iterator[tuple[Location, str]]


def problems_of(path: Path) -> list[Problem]:
    """List the problems of a suite file by line; empty if it can run.

    Models on the hub count as missing if neither the hub's cache nor the hub has them.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    try:
        file = read_suite_file(path)
    except SuiteFileError as error:
        return error.problems
    text = path.read_text(encoding="utf-8-sig")
    found = list(_of_models(file, path.parent))
    # Fields that depend on the models are checked only if the models exist.
    found += list(_of_the_rest(file, path.parent, models_are_there=not found))
    problems = [
        Problem(line_of(text, location), dotted(location), message) for location, message in found
    ]
    return sorted(dict.fromkeys(problems), key=lambda problem: problem.line)


def _of_models(file: SuiteFile, base: Path) -> Found:
    dtype = getattr(torch, file.dtype)
    for table, entries in (("models", file.models), ("controls", file.controls)):
        for index, entry in enumerate(entries):
            where: Location = (table, index, _source(entry))
            if entry.artifact and not folder_of(entry.artifact, base).is_dir():
                yield where, f"not trained yet: `polyrot train {entry.artifact}` makes it"
                continue
            for run in runs(entry, base):
                found = list(_of_run(run, _source(entry), dtype))
                yield from (((table, index, field), said) for field, said in found)
                if found and entry.hub:
                    break  # other seeds would give the same message


def _of_claims(file: SuiteFile) -> Found:
    """Find ids of claims that do not exist, if there is a folder of claims."""
    known = {claim.id for claim in find_claims()[1]}
    families = {id.partition("-")[0] for id in known}
    for index, id in enumerate(file.claims):
        if id not in known and id.partition("-")[0] in families:
            yield ("claims", index), f"there is no claim {id}"


def _of_run(run: Run, place: str, dtype: torch.dtype) -> Iterator[tuple[str, str]]:
    """Yield fields and problems; `place` is the field with the model's location."""
    try:
        sites_of(run.last)
        hub.check_memory(run.last, dtype, "cpu")
        hub.check_weights(run.last)
    except NotRun as error:
        yield place, str(error)
        return
    further = [("earlier", checkpoint) for checkpoint in run.earlier]
    if run.untrained:
        further.append(("untrained", run.untrained))
    for field, checkpoint in further:
        try:
            hub.check_weights(checkpoint)
        except NotRun as error:
            yield field, str(error)


def _of_the_rest(file: SuiteFile, base: Path, *, models_are_there: bool) -> Found:
    yield from _of_claims(file)
    missing = list(_of_texts(file, base))
    yield from missing
    absent = {location[2] for location, _ in missing}
    if not models_are_there:
        return
    try:
        suite = LanguageSuite(file, base)
    except NotRun as error:
        yield _located(error, ("sites",))
        return
    try:
        _ = suite.d_model
    except NotRun as error:
        yield ("models",), str(error)
    try:
        _ = suite.data
    except NotRun as error:
        yield _located(error, ("tokens",))
    else:
        if file.controls:
            yield from _of_controls(suite)
    if file.sae.folder:
        yield from _of_autoencoders(suite)
    yield from _of_providers(suite)
    try:
        _ = suite.steering_site
    except NotRun as error:
        yield _located(error, ("steering", "site"))
    for index, contrast in enumerate(file.steering.own):
        if index not in absent:
            alone = file.steering.model_copy(update={"contrasts": [], "own": [contrast]})
            try:
                load_contrasts(alone, base, suite.tokenizer())
            except NotRun as error:
                yield _located(error, ("steering", "own", index))


def _of_texts(file: SuiteFile, base: Path) -> Found:
    for index, contrast in enumerate(file.steering.own):
        for which, name in (("toward", contrast.toward), ("away", contrast.away)):
            if not (base / name).is_file():
                yield ("steering", "own", index, which), f"there is no file {base / name}"


def _of_controls(suite: LanguageSuite) -> Found:
    try:
        suite.check_controls()
    except NotRun as error:
        yield ("controls",), str(error)


def _of_autoencoders(suite: LanguageSuite) -> Found:
    for seed in suite.seeds:
        for site in suite.sites:
            try:
                suite.sae(seed, site)
            except NotRun as error:
                yield _located(error, ("sae", "folder"))
                return  # the others would likely give the same message


def _of_providers(suite: LanguageSuite) -> Found:
    """Find problems of the tables that other experiments' providers read."""
    for provider in registry.providers_for(suite):
        if getattr(suite.file, provider.table, None):
            try:
                provider.make(suite)
            except NotRun as error:
                yield _located(error, (provider.table,))


def _located(error: NotRun, where: Location) -> tuple[Location, str]:
    """Split a reason into its field, as in `tokens.file: ...`, or `where`, and its message."""
    field, _, message = str(error).partition(": ")
    keys = tuple(field.split("."))
    if keys[0] not in SuiteFile.model_fields:
        return where, str(error)
    return (where if where[: len(keys)] == keys else keys), message


def _source(entry: Models) -> str:
    return next(name for name in ("hub", "folder", "artifact") if getattr(entry, name))
