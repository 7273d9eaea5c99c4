"""Where claims, reference reports and the calibration are: in a clone, or in the wheel.

A clone has the folders `claims/` and `reports/` at its top.  The wheel contains copies of both
inside the package, so that claims can be judged without a clone.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from polyrot.suggestions import unknown

PACKAGE = Path(__file__).parent
IN_WHEEL = PACKAGE / "claims"
"""The claims in the wheel; absent in a clone."""
CLAIMS_PACKAGE = "polyrot.claims"
"""Their name for `pytest --pyargs`."""
CLAIMS, REPORTS = "claims", "reports"
VERDICTS = "verdict.json"
PREFIX = "shipped:"
"""`shipped:dyck3` names the reference verdicts of a suite wherever a file is accepted."""


def home() -> Path:
    """Return the folder of everything shipped: the installed package, or the clone around it."""
    return PACKAGE if IN_WHEEL.is_dir() else PACKAGE.parent


def claim_files(folder: Path) -> list[Path]:
    """List the modules of claims in a folder, with or without a subfolder per paper."""
    files = (path for pattern in ("*.py", "*/*.py") for path in folder.glob(pattern))
    return sorted(file for file in files if _may_hold_claims(file))


def is_claim_module(file: Path) -> bool:
    """Is a file a module in a folder `claims`, or one level below, that marks a measurement?"""
    if CLAIMS not in (file.parent.name, file.parent.parent.name) or not _may_hold_claims(file):
        return False
    return "mark.measurement(" in file.read_text(encoding="utf-8", errors="replace")


def _may_hold_claims(file: Path) -> bool:
    return file.suffix == ".py" and not file.name.startswith("_") and file.name != "conftest.py"


def claims_folders(here: Path | None = None) -> Iterator[Path]:
    """Yield the folders that may hold claims, the one in the current folder first."""
    candidates = ((here or Path()) / CLAIMS, home() / CLAIMS)
    seen = set()
    for folder in candidates:
        if folder.is_dir() and folder.resolve() not in seen:
            seen.add(folder.resolve())
            yield folder


def judging() -> str:
    """Return the command that judges claims in the current folder: claims/, else polyrot's."""
    if Path(CLAIMS).is_dir():
        return f"pytest {CLAIMS}/"
    return f"pytest --pyargs {CLAIMS_PACKAGE}" if IN_WHEEL.is_dir() else f"pytest {home() / CLAIMS}"


def guide() -> Path:
    """Return the path of the page on suite files, relative to the current folder if possible."""
    page = Path("docs") / "your-models.md"
    return page if page.is_file() else home() / page


def calibration_file(base: Path) -> Path | None:
    """Find the calibration matrix that verdicts read: in `base`'s `reports/`, else polyrot's."""
    for folder in (base, home()):
        file = folder / REPORTS / "calibration" / "calibration.json"
        if file.is_file():
            return file
    return None


def reference_verdicts() -> dict[str, Path]:
    """Return the `verdict.json` of each suite with shipped verdicts."""
    files = sorted((home() / REPORTS).glob(f"*/{VERDICTS}"))
    return {file.parent.name: file for file in files}


def verdict_file(name: str | Path) -> Path:
    """Find a file by its path, or by `shipped:SUITE` for reference verdicts.

    Raises:
        ValueError: if none are shipped for that suite.
    """
    text = str(name)
    if not text.startswith(PREFIX):
        return Path(name)
    known = reference_verdicts()
    suite = text.removeprefix(PREFIX)
    if suite not in known:
        raise ValueError(unknown(f"a suite after {PREFIX}", suite, known))
    return known[suite]


def argument_path(argument: str, folder: Path, *, pyargs: bool) -> Path:
    """Find the file or folder that an argument of pytest names, with `pyargs` also as a module."""
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
    """Are any of these polyrot's claims, in a clone or in the wheel?"""
    return any(path.resolve().is_relative_to((home() / CLAIMS).resolve()) for path in paths)


def of_the_wheel(paths: Iterable[Path]) -> bool:
    """Are any of these the wheel's claims, which have no folder for reports?"""
    return any(path.resolve().is_relative_to(IN_WHEEL.resolve()) for path in paths)
