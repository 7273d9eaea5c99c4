"""What a suite's name on the command line means, told without loading anything."""

from functools import lru_cache
from pathlib import Path

from polyrot.suites.schema import SuiteFile, builtin_files, read_suite_file


def suite_file(name: str) -> Path | None:
    """The file of a suite that is described by one: its path, or that of a built-in suite."""
    return Path(name) if name.endswith(".toml") else builtin_files().get(name)


@lru_cache(maxsize=32)
def described(name: str) -> SuiteFile | None:
    """Read the file of a suite; none where the suite has no file.

    Raises:
        FileNotFoundError: where the file is not there.
        SuiteFileError: where it has problems.
    """
    path = suite_file(name)
    return read_suite_file(path) if path else None


def suite_label(name: str) -> str:
    """What reports call a suite: the name in its file, or its own."""
    file = described(name)
    return file.name if file else name
