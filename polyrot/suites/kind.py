"""The declarations in an experiment's `kind.py`, read without importing what it runs on."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Lazy:
    """An object by its path, `package.module:name`, imported on first use."""

    place: str

    @property
    def value(self) -> Any:
        module, _, name = self.place.partition(":")
        return getattr(import_module(module), name)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.value(*arguments, **named)


def claim_ids(text: str) -> frozenset[str]:
    """Read a list of claims: `"CORE-01..06 PIR-04 X-01"`.

    Raises:
        ValueError: if a word is neither an id nor a range of ids.

    >>> sorted(claim_ids("CORE-01..03 X-01"))
    ['CORE-01', 'CORE-02', 'CORE-03', 'X-01']
    """
    ids: set[str] = set()
    for word in text.split():
        found = re.fullmatch(r"([A-Z]+)-(\d+)(?:\.\.(\d+))?", word)
        if found is None:
            raise ValueError(f"Expected ids of claims, such as CORE-01..06, but got {word!r}")
        family, first, last = found[1], found[2], found[3] or found[2]
        ids |= {f"{family}-{n:0{len(first)}d}" for n in range(int(first), int(last) + 1)}
    return frozenset(ids)


@dataclass(frozen=True)
class Listed:
    """What is known of a suite before it is loaded."""

    name: str
    """Name on the command line."""
    about: str = ""
    """One line for `polyrot suites`: what it is, and what it needs."""
    claims: str | None = None
    """The claims that apply to it, as for `claim_ids`.

    None: those whose fixtures it can provide.
    """
    without: tuple[str, ...] = ()
    """Measurements of these claims that do not concern it, `PIR-13/published`: not printed for such
    models."""
    exhaustive: bool = False
    """Is this list complete?  If not, claims that no kind lists run too, if it can provide them."""
    default: bool = False
    """Does `pytest claims/` without `--suite` measure it?"""
    cohorts: tuple[str, ...] = ()
    """Trainers that `--retrain` runs for it."""
    label: str = ""
    """Its name in reports; by default `name`."""
    folder: str = ""
    """Folder of its report; by default its label, without colons."""
    published: Mapping[str, str] = field(default_factory=dict)
    """Published values that its file states, by claim."""
    file: Path | None = None
    """The file that describes it."""

    @property
    def called(self) -> str:
        return self.label or self.name

    @property
    def report_folder(self) -> str:
        """Folder of its report; not every system allows `world:haar` as a name."""
        return self.folder or self.called.replace(":", "-")

    @cached_property
    def claim_ids(self) -> frozenset[str] | None:
        return None if self.claims is None else claim_ids(self.claims)


@dataclass(frozen=True)
class Worlds:
    """Synthetic suites of one class, whose truth is known."""

    names: tuple[str, ...]
    make: Lazy
    """The class; called with the name of a world, `draw=` and `progress=`."""
    about: str
    """Description for the calibration report: `models of a Markov chain`."""
    claims: str | None = None
    """As in `Listed`."""


@dataclass(frozen=True)
class Trainer:
    """What `polyrot train` trains, one folder for each name."""

    names: tuple[str, ...]
    build: Lazy
    """Called with a name and a folder, `work=`, `command=`, `device=` and `progress=`."""
    devices: tuple[str, ...] = ("cpu",)
    on_demand: bool = False
    """Is it trained when a suite that needs it is loaded?"""


@dataclass(frozen=True)
class Provider:
    """How suites of a class get a capability that the class does not inherit."""

    capability: Lazy
    suite: Lazy
    make: Lazy
    """Called with the suite; returns the capability or raises NotRun."""
    table: str = ""
    """The table of a suite file that it reads; `polyrot suites check` then checks this table."""


@dataclass(frozen=True)
class Kind:
    """An experiment: its suites, worlds and trainers.

    Everything is optional: an experiment may add only worlds, or a provider for other suites.
    """

    suites: tuple[Listed, ...] = ()
    load: Lazy | None = None
    """Called with a name, `artifacts=`, `device=` and `progress=`; returns a `Suite`."""
    suite: Lazy | None = None
    """The class of its suites, whose bases say what they provide, or a function of a name that
    returns it."""
    find: Callable[[str], Listed | None] | None = None
    """Called with a name that is not in `suites`; returns its `Listed`, or None."""
    more: tuple[tuple[str, str], ...] = ()
    """Patterns of names for `find` (`FILE.toml`) with descriptions, for `polyrot suites`."""
    provenance: Lazy | None = None
    """Called with a name and the folder of artifacts; returns seeds and file hashes."""
    needs: Lazy | None = None
    """Called with a `Listed`; returns what a suite needs before it runs, for `polyrot suites`."""
    verify: Lazy | None = None
    """Called with a name; raises ValueError if its files are invalid."""
    file_problems: Lazy | None = None
    """Called with the path of a suite file; returns its problems."""
    file_summary: Lazy | None = None
    """Called with the path of a valid suite file; yields lines about what it will run."""
    worlds: tuple[Worlds, ...] = ()
    trainers: tuple[Trainer, ...] = ()
    providers: tuple[Provider, ...] = ()
    order: int = 100
    """Kinds are listed, and their default suites run, by this number and then by name."""

    @property
    def suite_names(self) -> tuple[str, ...]:
        return tuple(suite.name for suite in self.suites)

    @property
    def trainer_names(self) -> tuple[str, ...]:
        return tuple(name for trainer in self.trainers for name in trainer.names)

    @property
    def world_names(self) -> tuple[str, ...]:
        return tuple(name for worlds in self.worlds for name in worlds.names)

    @property
    def claims(self) -> frozenset[str]:
        """Every claim that the kind lists for a suite or a world."""
        of_suites = [suite.claims for suite in self.suites]
        of_worlds = [worlds.claims for worlds in self.worlds]
        texts = [*of_suites, *of_worlds]
        return frozenset().union(*(claim_ids(text) for text in texts if text))


def capability_fixture(place: str, about: str) -> Any:
    """Make the fixture by which a claim requests a capability.

    Args:
        place: path of the capability, `"polyrot.experiments.chains.models:Chains"`.
        about: one line for `pytest --fixtures`.
    """
    capability = Lazy(place)

    def ask(suite: Any) -> Any:
        return suite.get(capability.value)

    ask.__doc__ = about
    ask.capability = capability  # type: ignore[attr-defined]
    return pytest.fixture(scope="session")(ask)


def capabilities_of(functions: Collection[Any]) -> tuple[Any, ...]:
    """Return the capabilities requested by fixtures that `capability_fixture` made."""
    return tuple(f.capability.value for f in functions if hasattr(f, "capability"))
