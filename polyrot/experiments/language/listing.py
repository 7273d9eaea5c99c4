"""Listings of suite files, read without pydantic or torch."""

import tomllib
from pathlib import Path
from typing import Any

from polyrot.suites.kind import Listed


def built_in(folder: Path, *, default: tuple[str, ...] = ()) -> tuple[Listed, ...]:
    """List the suite files of a folder.

    Args:
        folder: of an experiment.
        default: names of the suites that a plain `pytest claims/` measures.
    """
    files = sorted(folder.glob("*.toml"), key=lambda path: path.stem)
    return tuple(listed(path, path.stem, default=path.stem in default) for path in files)


def listed(path: Path, name: str, *, default: bool = False) -> Listed:
    """List a suite file that is known to be valid."""
    data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    claims = data.get("claims", "all")
    entries = [*data["models"], *data.get("controls", [])]
    artifacts = dict.fromkeys(entry["artifact"] for entry in entries if "artifact" in entry)
    return Listed(
        name,
        data.get("description", ""),
        claims=None if claims in ("all", []) else " ".join(claims),
        default=default,
        cohorts=tuple(artifacts),
        label=data["name"],
        published=data.get("published", {}),
        file=path,
    )


def find(name: str) -> Listed | None:
    """List a suite file by its path; None if the name is not the path of one.

    Raises:
        ValueError: if there is no such file, or it has problems.
    """
    if not name.endswith(".toml"):
        return None
    from dataclasses import replace

    from polyrot.experiments.language.suite_file import read_suite_file

    path = Path(name)
    try:
        read_suite_file(path)
    except FileNotFoundError as error:
        raise ValueError(str(error)) from None
    found = listed(path, name)
    # If a user's file lists claims, no others run.
    return replace(found, exhaustive=found.claims is not None)
