"""What a suite's name on the command line means, told without loading anything."""

from functools import lru_cache
from pathlib import Path

from polyrot.experiments.language.suite_file import SuiteFile, builtin_files, read_suite_file


def suite_file(name: str) -> Path | None:
    """The file of a suite that is described by one: its path, or that of a built-in suite."""
    return Path(name) if name.endswith(".toml") else builtin_files().get(name)


FAMILIES = ("PIR", "CORE", "SASA", "X")
"""Of polyrot's own claims."""


@lru_cache(maxsize=32)
def described(name: str) -> SuiteFile | None:
    """Read the file of a suite; none where the suite has no file.

    Raises:
        FileNotFoundError: where the file is not there.
        SuiteFileError: where it has problems.
    """
    path = suite_file(name)
    return read_suite_file(path) if path else None


def world_name(world: str, draw: int = 0) -> str:
    """Name of a world as a suite: `world:haar`, or of a further draw, `world:haar:3`."""
    return f"world:{world}" + (f":{draw}" if draw else "")


def suite_label(name: str) -> str:
    """What reports call a suite: the name in its file, or its own."""
    file = described(name)
    return file.name if file else name


_PIR = frozenset(f"PIR-{number:02d}" for number in range(1, 22))
_ROTATION = frozenset(f"PIR-{number:02d}" for number in range(4, 10))
"""Claims about activations alone, which any residual stream can be asked."""
_CHAIN = frozenset(f"CORE-{number:02d}" for number in range(1, 7))
_GROKKING = frozenset(f"CORE-{number:02d}" for number in range(7, 11))
_VERB = frozenset({"CORE-11", "CORE-12"})
_PLANTED = frozenset(f"SASA-{number:02d}" for number in range(1, 8))
_INSIDE = frozenset({"X-01"})
_X = _INSIDE | {"X-02"}
_ABOUT = {
    "dyck3": _PIR | _X,
    "dyck3-independent": _PIR | _X,
    "markov": _CHAIN | _ROTATION | _INSIDE,
    "modular-addition": _GROKKING | _ROTATION | _INSIDE,
    "subspaces": _PLANTED,
    "subspaces-full": frozenset({"SASA-04", "SASA-06", "SASA-07"}),
}
"""The claims of polyrot's families that are about a suite trained here."""


_ABOUT_WORLDS = {
    "chain": _CHAIN,
    "addition": _GROKKING - {"CORE-10"},
    "delay": frozenset({"CORE-10"}),
    "verb": _VERB,
    "points": frozenset({"SASA-01", "SASA-02"}),
    "dictionary": frozenset({"SASA-03", "SASA-04", "SASA-06", "SASA-07"}),
    "samples": frozenset({"SASA-05"}),
}
"""By the first word of a world's name; the other worlds are of activations."""


def _about_world(suite: str) -> frozenset[str]:
    kind = suite.removeprefix("world:").partition("-")[0]
    return _ABOUT_WORLDS.get(kind, _PIR | _X)


def is_about(claim: str, suite: str) -> bool:
    """Is a claim about a suite?  A suite's file may list them; a user's own claim is about all."""
    file = described(suite)
    if file is not None:
        return not file.claims or claim in file.claims
    if claim.partition("-")[0] not in FAMILIES:
        return True
    about = _about_world(suite) if suite.startswith("world:") else _ABOUT.get(suite)
    return about is None or claim in about
