"""Where claims, reference reports and the calibration are: in a clone, or in the wheel.

A clone has the folders `claims/` and `reports/` at its top.  The wheel carries copies of both
inside the package, so that what was published is judged where there is no clone.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from polyrot.suggestions import unknown

PACKAGE = Path(__file__).parent
IN_WHEEL = PACKAGE / "claims"
"""The claims of the wheel; not there in a clone."""
CLAIMS_PACKAGE = "polyrot.claims"
"""What `pytest --pyargs` calls them."""
CLAIMS, REPORTS = "claims", "reports"
VERDICTS = "verdict.json"
PREFIX = "shipped:"
"""`shipped:dyck3` names the reference verdicts of a suite where a file could stand."""


def home() -> Path:
    """The folder that holds what is shipped: the installed package, or the clone around it."""
    return PACKAGE if IN_WHEEL.is_dir() else PACKAGE.parent


def claim_files(folder: Path) -> list[Path]:
    """The modules of claims in a folder, one subfolder a paper or none."""
    files = (path for pattern in ("*.py", "*/*.py") for path in folder.glob(pattern))
    return sorted(file for file in files if _may_hold_claims(file))


def is_claim_module(file: Path) -> bool:
    """Does a file lie in a folder `claims` as a module of claims does, and mark a measurement?"""
    if CLAIMS not in (file.parent.name, file.parent.parent.name) or not _may_hold_claims(file):
        return False
    return "mark.measurement(" in file.read_text(encoding="utf-8", errors="replace")


def _may_hold_claims(file: Path) -> bool:
    return file.suffix == ".py" and not file.name.startswith("_") and file.name != "conftest.py"


def claims_folders(here: Path | None = None) -> Iterator[Path]:
    """The folders that may hold claims, first the one that somebody stands beside."""
    candidates = ((here or Path()) / CLAIMS, home() / CLAIMS)
    seen = set()
    for folder in candidates:
        if folder.is_dir() and folder.resolve() not in seen:
            seen.add(folder.resolve())
            yield folder


def judging() -> str:
    """How pytest is told, from here, to judge claims: the folder claims/, else those of polyrot."""
    if Path(CLAIMS).is_dir():
        return f"pytest {CLAIMS}/"
    return f"pytest --pyargs {CLAIMS_PACKAGE}" if IN_WHEEL.is_dir() else f"pytest {home() / CLAIMS}"


def guide() -> Path:
    """The page on suite files, as somebody names it who stands here."""
    page = Path("docs") / "your-models.md"
    return page if page.is_file() else home() / page


def calibration_file(base: Path) -> Path | None:
    """The calibration matrix that verdicts read: of the folder `reports/` in `base`, else ours."""
    for folder in (base, home()):
        file = folder / REPORTS / "calibration" / "calibration.json"
        if file.is_file():
            return file
    return None


def reference_verdicts() -> dict[str, Path]:
    """The `verdict.json` of each suite whose verdicts are shipped."""
    files = sorted((home() / REPORTS).glob(f"*/{VERDICTS}"))
    return {file.parent.name: file for file in files}


def verdict_file(name: str | Path) -> Path:
    """Find the file that is meant: its path, or `shipped:SUITE` for reference verdicts.

    Raises:
        ValueError: where none are shipped of that suite.
    """
    text = str(name)
    if not text.startswith(PREFIX):
        return Path(name)
    known = reference_verdicts()
    suite = text.removeprefix(PREFIX)
    if suite not in known:
        raise ValueError(unknown(f"a suite behind {PREFIX}", suite, known))
    return known[suite]


def argument_path(argument: str, folder: Path, *, pyargs: bool) -> Path:
    """The file or folder that an argument of pytest names; with `pyargs` perhaps as a module."""
    name = argument.partition("::")[0]
    path = folder / name
    if pyargs and not path.exists():
        with suppress(ImportError, ValueError, AttributeError):
            spec = find_spec(name)
            if spec is not None and spec.origin is not None:
                origin = Path(spec.origin)
                return origin.parent if spec.submodule_search_locations else origin
    return path


def are_shipped(paths: Iterable[Path]) -> bool:
    """Are these claims that come with polyrot, in a clone or in the wheel?"""
    return any(path.resolve().is_relative_to((home() / CLAIMS).resolve()) for path in paths)


def of_the_wheel(paths: Iterable[Path]) -> bool:
    """Are these claims of the wheel, with no folder of their own to write reports to?"""
    return any(path.resolve().is_relative_to(IN_WHEEL.resolve()) for path in paths)
