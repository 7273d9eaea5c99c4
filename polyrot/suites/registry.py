"""All experiments, discovered at run time: their suites, worlds, trainers and claims.

They are the `kind.py` files of `polyrot/experiments/` and those that other packages name in the
entry point group `polyrot.experiments`.  Nothing else in polyrot names an experiment.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cache, lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from polyrot.progress import Progress
from polyrot.suggestions import nearest, unknown
from polyrot.suites.kind import Kind, Listed, Provider, Trainer, Worlds

if TYPE_CHECKING:
    from polyrot.suites.capability import Capability

GROUP = "polyrot.experiments"
"""Its entry points name modules with a `KIND`, for example `mypaper.kind`."""
HERE = Path(__file__).resolve().parents[1] / "experiments"


class BrokenExperiment(ValueError):
    """An experiment of another package that cannot be used; the message names the package."""


@cache
def modules() -> tuple[ModuleType, ...]:
    """Return the module of every kind, in the order of their listing.

    Raises:
        BrokenExperiment: if an experiment of another package cannot be imported, has no `KIND`, or
            has a name that is taken.
    """
    folders = sorted(path.parent.name for path in HERE.glob("*/kind.py"))
    found = [import_module(f"{GROUP}.{folder}.kind") for folder in folders]
    for module in _from_other_packages():
        _check_names(module, [other.KIND for other in found])
        found.append(module)
    return tuple(sorted(found, key=lambda module: (module.KIND.order, module.__name__)))


def _check_names(module: ModuleType, others: Collection[Kind]) -> None:
    """Refuse an experiment with a name that is taken: one of the two could not be found."""
    for what in ("suite_names", "world_names", "trainer_names"):
        taken = {name for kind in others for name in getattr(kind, what)}
        if twice := sorted(taken.intersection(getattr(module.KIND, what))):
            raise BrokenExperiment(
                f"the experiment {module.__name__} names {', '.join(twice)}, which exists already; "
                "give it another name"
            )


def _from_other_packages() -> Iterator[ModuleType]:
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        of = f" of {point.dist.name}" if point.dist else ""
        try:
            module = import_module(point.module)
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            raise BrokenExperiment(
                f"the experiment {point.name}{of} cannot be imported: {said}"
            ) from error
        if not isinstance(getattr(module, "KIND", None), Kind):
            raise BrokenExperiment(
                f"the experiment {point.name}{of}: expected {point.module}.KIND to be a "
                "polyrot.suites.kind.Kind"
            )
        yield module


def kinds() -> tuple[Kind, ...]:
    """Return every experiment's kind."""
    return tuple(module.KIND for module in modules())


def other_packages() -> tuple[Path, ...]:
    """Return the other packages that have experiments, because their code can alter numbers.

    For each, the folder of the entry point's top-level package, or the file of a single module.
    """
    found = []
    for module in modules():
        top = import_module(module.__name__.partition(".")[0])
        if top.__name__ != GROUP.partition(".")[0]:
            file = Path(str(top.__file__)).resolve()
            found.append(file.parent if hasattr(top, "__path__") else file)
    return tuple(found)


def listed_suites() -> tuple[Listed, ...]:
    """List the suites with a fixed name, in the order of their runs."""
    return tuple(suite for kind in kinds() for suite in kind.suites)


def default_suites() -> tuple[str, ...]:
    """List the suites that `pytest claims/` measures without `--suite`."""
    return tuple(suite.name for suite in listed_suites() if suite.default)


def worlds() -> dict[str, Worlds]:
    """Return the synthetic worlds by name."""
    return {name: group for kind in kinds() for group in kind.worlds for name in group.names}


def suite_files() -> dict[str, Path]:
    """Return the suite files that come with experiments, by the name of the suite."""
    return {suite.name: suite.file for suite in listed_suites() if suite.file}


def world_name(world: str, draw: int = 0) -> str:
    """Return the suite name of a world, `world:haar`, or of a further draw, `world:haar:3`."""
    return f"world:{world}" + (f":{draw}" if draw else "")


def parse_world(name: str) -> tuple[str, int] | None:
    """Read a world and its draw from the name of a suite; None if it is not a world's."""
    prefix, _, rest = name.partition(":")
    world, _, draw = rest.partition(":")
    number = int(draw) if draw.isdecimal() else 0
    known = prefix == "world" and world in worlds() and world_name(world, number) == name
    return (world, number) if known else None


def suite_names() -> tuple[str, ...]:
    """List the names of suites and worlds, without further draws such as `world:haar:3`."""
    return (*(suite.name for suite in listed_suites()), *map(world_name, worlds()))


@lru_cache(maxsize=256)
def kind_of(name: str) -> tuple[Kind | None, Listed]:
    """Return the kind of a suite, and its listing; the kind of a world is None."""
    for kind in kinds():
        for suite in kind.suites:
            if suite.name == name:
                return kind, suite
    if world := parse_world(name):
        return None, Listed(name, claims=worlds()[world[0]].claims)
    for kind in kinds():
        if kind.find and (found := kind.find(name)):
            return kind, found
    near = nearest(name, suite_names())
    if near:
        raise ValueError(unknown("a suite", name, suite_names()))
    patterns = [pattern for kind in kinds() for pattern, _ in kind.more]
    known = [suite.name for suite in listed_suites()]
    raise ValueError(
        f"Expected a suite among {', '.join([*known, 'world:NAME', *patterns])} but got {name!r}; "
        "`polyrot suites` explains them"
    )


def find_suite(name: str) -> Listed:
    """Return what is known of a suite before it is loaded.

    Raises:
        ValueError: if there is no such suite, or its file has problems or a name that is taken.
    """
    _, found = kind_of(name)
    if found.called != name and found.called in suite_names():
        raise ValueError(
            f"{name}: name: {found.called!r} is a suite of polyrot's, whose reports it would "
            "overwrite; choose another"
        )
    return found


def check_suite(name: str) -> None:
    """Raise ValueError if there is no such suite, or its files cannot be read."""
    find_suite(name)
    kind, _ = kind_of(name)
    if kind and kind.verify:
        kind.verify(name)


def providers_for(suite: object) -> Iterator[Provider]:
    """Yield the providers of experiments for a suite."""
    for kind in kinds():
        for provider in kind.providers:
            if isinstance(suite, provider.suite.value):
                yield provider


def provided(suite: object, capability: type[Capability]) -> Capability | None:
    """Make a capability for a suite by an experiment's provider; None if there is no provider."""
    for provider in providers_for(suite):
        if provider.capability.value is capability:
            made: Capability = provider.make(suite)
            return made
    return None


def provides(name: str, capability: type[Capability]) -> bool:
    """Does a suite have a capability?  Decided by the suite's class, without loading it."""
    if world := parse_world(name):
        made = worlds()[world[0]].make.value
    else:
        kind, _ = kind_of(name)
        if kind is None or kind.suite is None:
            return False
        made = kind.suite.value
        made = made(name) if not isinstance(made, type) else made
    return issubclass(made, capability) or any(
        provider.capability.value is capability and issubclass(made, provider.suite.value)
        for kind in kinds()
        for provider in kind.providers
    )


def suites_with(capability: type[Capability]) -> tuple[str, ...]:
    """List the suites that have a capability."""
    return tuple(suite.name for suite in listed_suites() if provides(suite.name, capability))


@cache
def listed_claims() -> frozenset[str]:
    """Return every claim that some kind lists."""
    return frozenset().union(*(kind.claims for kind in kinds()))


def applies_to(id: str, name: str, capabilities: Collection[type[Capability]] = ()) -> bool:
    """Does a claim, or one of its measurements, apply to a suite?

    Yes if the suite lists the claim, and does not leave out the measurement.  A claim that no
    experiment lists applies to every suite that has the capabilities it requests.

    Args:
        id: of the claim or the measurement.
        name: of the suite.
        capabilities: requested by the claim's fixtures.
    """
    found, claim = find_suite(name), id.partition("/")[0]
    if id in found.without:
        return False
    if found.claim_ids is not None:
        if claim in found.claim_ids:
            return True
        if found.exhaustive or claim in listed_claims():
            return False
    return all(provides(name, capability) for capability in capabilities)


def trainers() -> dict[str, Trainer]:
    """Return what `polyrot train` can train, by name."""
    return {
        name: trainer for kind in kinds() for trainer in kind.trainers for name in trainer.names
    }


def train(
    name: str, *, command: str, out: Path | None = None, device: str = "cpu", progress: Progress
) -> Path:
    """Train by name; return the folder written.

    Raises:
        ValueError: if there is no trainer of this name, or it does not support the device.
    """
    from polyrot.suites.training import train_into

    known = trainers()
    if name not in known:
        raise ValueError(unknown("a suite", name, known))
    trainer = known[name]
    if device not in trainer.devices:
        raise ValueError(f"{name} is trained only on {' or '.join(trainer.devices)}")
    return train_into(
        name, trainer.build, out=out, command=command, device=device, progress=progress
    )


def train_suite(name: str, *, command: str, device: str, progress: Progress) -> None:
    """Train the cohorts of a suite, if any, into the cache folder."""
    for cohort in find_suite(name).cohorts:
        trained_on = device if device in trainers()[cohort].devices else "cpu"
        train(cohort, command=command, device=trained_on, progress=progress)
