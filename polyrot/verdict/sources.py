"""Hashes of the source code that can alter a measured number.

Of polyrot that is everything except `LEFT_OUT`: a new module counts until a reason is given why
it cannot alter a number.  Of a claim it is what runs with it: its module, the `conftest.py` of its
folder and of those above, the helpers `_*.py` in its folder, and their imports that are neither
polyrot's nor installed.  Installed libraries count by their versions.

Not seen: modules imported by a computed name, and data files that a claim opens by itself.
"""

import ast
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path

from polyrot.files import sha256
from polyrot.locations import IN_WHEEL, PACKAGE

LEFT_OUT = {
    "__main__": "starts the command line",
    "artifacts": "trained files: a suite's provenance has the hashes of those it uses",
    "claims": "the wheel's claims: each counts only for the numbers it measures",
    "cli": "starts the command line",
    "commands": "`polyrot ...`: writes no estimates",
    "compare": "`polyrot align`: no claim uses it",
    "docs": "the wheel's pages",
    "plugin": "options and outcomes: the key has the suite, the device and the trained files",
    "progress": "shows how far a run is",
    "report": "renders records",
    "reports": "the wheel's reference verdicts",
    "run": "collects records",
    "upkeep": "looks at the installation and the cache",
}
"""Top-level packages and modules of polyrot that cannot alter a measured number, and why."""


def package_source() -> str:
    """Hash the part of polyrot that can alter a number."""
    return _package_source(PACKAGE)


@lru_cache(maxsize=1)  # asked for by every measurement
def _package_source(package: Path) -> str:
    return _hash(package, (file for file in package.rglob("*.py") if counts(file, package)))


def counts(file: Path, package: Path = PACKAGE) -> bool:
    """Can this file of polyrot alter a measured number?"""
    return file.relative_to(package).parts[0].removesuffix(".py") not in LEFT_OUT


@lru_cache(maxsize=32)
def other_source(package: Path) -> str:
    """Hash every Python file of another package: of its folder, or its single file."""
    return sha256(package) if package.is_file() else _hash(package, package.rglob("*.py"))


def claim_source(claim: Path) -> dict[str, str]:
    """Hash the files that run with a claim, by path from its folder, and list its libraries."""
    claim = claim.resolve()
    conftests = (folder / "conftest.py" for folder in claim.parents)
    waiting = [claim, *claim.parent.glob("_[!_]*.py"), *conftests]
    found: dict[str, str] = {}
    while waiting:
        file = waiting.pop()
        name = os.path.relpath(file, claim.parent)
        if name in found or not file.is_file():
            continue
        content = file.read_bytes()
        found[name] = hashlib.sha256(content).hexdigest()
        for module in _imported(content):
            for path in _files(module, file):
                if not _installed(path, claim=claim):
                    waiting.append(path)
                elif not path.is_relative_to(PACKAGE):
                    library = module.partition(".")[0]
                    found[f"library {library}"] = _library_version(library)
    return found


def _hash(folder: Path, files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(files):
        for part in (file.relative_to(folder).as_posix().encode(), file.read_bytes()):
            digest.update(len(part).to_bytes(8, "big"))  # so parts cannot be split differently
            digest.update(part)
    return digest.hexdigest()


@lru_cache(maxsize=1024)
def _imported(content: bytes) -> tuple[str, ...]:
    """List what a module imports, in functions too; relative imports as written, `..name`."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return ()  # not Python, or not of this version; the run reports it
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            joined = module if module.endswith(".") else f"{module}."
            names += [module, *(joined + alias.name for alias in node.names)]
    return tuple(dict.fromkeys(names))


def _files(module: str, importer: Path) -> Iterator[Path]:
    """Find the files of a module and of the packages around it, without importing any."""
    name = module.lstrip(".")
    parts = name.split(".") if name else []
    if level := len(module) - len(name):
        folders = [importer.parents[min(level, len(importer.parents)) - 1]]
        yield folders[0] / "__init__.py"
    else:
        top = parts.pop(0)
        if top in sys.stdlib_module_names or (top == "polyrot" and parts[:1] != ["claims"]):
            return
        try:
            spec = find_spec(top)
        except (ImportError, ValueError):
            return  # imported only where it can be, for example in `try`
        if spec is None:
            return
        if spec.origin and spec.has_location:
            yield Path(spec.origin)
        folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    for part in parts:
        for folder in folders:
            yield from (folder / f"{part}.py", folder / part / "__init__.py")
        folders = [folder / part for folder in folders]


def _installed(file: Path, *, claim: Path) -> bool:
    """Does a file belong to polyrot, or to an installed library other than the claim's?"""
    if file.is_relative_to(PACKAGE):
        return not file.is_relative_to(IN_WHEEL)
    library = _library(file)
    return library is not None and library != _library(claim)


def _library(file: Path) -> Path | None:
    """Return the folder or file directly below `site-packages` that contains a file."""
    for folder in file.parents:
        if folder.name in ("site-packages", "dist-packages"):
            return folder / file.relative_to(folder).parts[0]
    return None


@lru_cache(maxsize=256)
def _library_version(module: str) -> str:
    """Version of the library that provides a top-level module."""
    try:
        return version(module)
    except PackageNotFoundError:  # `import PIL` comes from pillow; searching all takes 1 s
        names = sorted(set(packages_distributions().get(module, ())))
        return ", ".join(f"{name} {version(name)}" for name in names)
