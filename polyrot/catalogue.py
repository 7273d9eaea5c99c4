"""The list of claims: parsed from their modules' source, or imported in full.

The source is enough for a list and for shell completion, which must not wait for torch.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from polyrot.locations import claim_files, claims_folders

if TYPE_CHECKING:
    from polyrot.verdict.claim import Measurement


@dataclass(frozen=True)
class Listed:
    """A claim as listed."""

    id: str
    statement: str
    file: Path
    measurements: tuple[str, ...]
    """Their ids, the hardened one first."""

    @property
    def kinds(self) -> str:
        """The measurements by kind: `hardened, published`."""
        return ", ".join(
            "published" if id.endswith("/published") else "hardened" for id in self.measurements
        )


def find_claims(here: Path | None = None) -> tuple[Path | None, list[Listed]]:
    """List the claims in `here` (by default the current folder), else the shipped ones.

    Returns their folder and the claims sorted by id; the folder is None if there are none.
    """
    for folder in claims_folders(here):
        claims = sorted(
            (claim for file in claim_files(folder) for claim in listed(file)),
            key=lambda claim: claim.id,
        )
        if claims:
            return folder, claims
    return None, []


def family(file: Path) -> str:
    """Name the family of a module's claims: its folder's docstring, else the folder's name."""
    package = file.parent / "__init__.py"
    if package.is_file():
        text = ast.get_docstring(ast.parse(package.read_text(encoding="utf-8")))
        if text:
            return text.splitlines()[0].rstrip(".")
    return file.parent.name


def listed(file: Path) -> list[Listed]:
    """List the claims of a module, without importing it if they are written as literals."""
    try:
        return list(_written(ast.parse(file.read_text(encoding="utf-8"))).values(file))
    except (SyntaxError, UnicodeDecodeError):
        return []  # no claims; pytest reports the error
    except _NotLiteral:
        found: dict[str, list[str]] = {}
        statements = {}
        try:
            module = load_module(file)
        except ValueError:
            return []  # as above
        for measurement in measurements_of(module):
            claim = measurement.claim
            statements[claim.id] = claim.statement
            found.setdefault(claim.id, []).append(measurement.id)
        return [Listed(id, statements[id], file, tuple(sorted(ms))) for id, ms in found.items()]


def load_module(file: Path) -> ModuleType:
    """Import a module of claims by its path.

    Raises:
        ValueError: if it cannot be imported.
    """
    name = f"_polyrot_claims_{file.parent.name}_{file.stem}"
    spec = spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        said = f"{type(error).__name__}: {error}"
        raise ValueError(f"the module {file} cannot be imported: {said}") from error
    return module


def measurements_of(module: ModuleType) -> "list[Measurement]":
    """List the measurements that mark a module's tests, the hardened ones first."""
    found: dict[str, Measurement] = {}
    for test in vars(module).values():
        for mark in getattr(test, "pytestmark", []):
            if mark.name == "measurement":
                found[mark.args[0].id] = mark.args[0]
    return [found[id] for id in sorted(found)]


class _NotLiteral(Exception):
    """A claim whose id or statement is computed."""


@dataclass
class _Written:
    """Claims and measurements in a module's source, by variable name."""

    claims: dict[str, tuple[str, str]]
    published: list[tuple[str, bool]]

    def values(self, file: Path) -> Iterator[Listed]:
        for variable, (id, statement) in self.claims.items():
            kinds = {published for of, published in self.published if of == variable}
            ids = tuple(f"{id}/published" if published else id for published in sorted(kinds))
            if ids:
                yield Listed(id, statement, file, ids)


def _written(tree: ast.Module) -> _Written:
    written = _Written({}, [])
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(node.value, ast.Call):
            continue
        call = node.value
        called = call.func.id if isinstance(call.func, ast.Name) else ""
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if called == "Claim":
            id, statement = (
                _text(_argument(call, n, k)) for n, k in enumerate(("id", "statement"))
            )
            written.claims[ast.unparse(target)] = (id, statement)
        elif called == "Measurement":
            of = _argument(call, 0, "claim")
            published = _argument(call, 3, "published")
            if published is not None and not isinstance(published, ast.Constant):
                raise _NotLiteral
            name = ast.unparse(of) if of is not None else ""
            written.published.append((name, bool(published and published.value)))
    return written


def _argument(call: ast.Call, position: int, keyword: str) -> ast.expr | None:
    if position < len(call.args):
        return call.args[position]
    return next((k.value for k in call.keywords if k.arg == keyword), None)


def _text(node: ast.expr | None) -> str:
    value: Any = node.value if isinstance(node, ast.Constant) else None
    if not isinstance(value, str):
        raise _NotLiteral
    return value
