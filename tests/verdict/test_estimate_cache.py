"""Which edits measure again, and which are served from what an earlier run kept."""

import ast
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from runpy import run_path

import pytest
import torch
from toy_claim import ToyClaim

from polyrot.locations import PACKAGE
from polyrot.stats.estimate import Estimate, exact
from polyrot.suites.registry import suite_files
from polyrot.verdict import sources
from polyrot.verdict.cache import EstimateCache
from polyrot.verdict.sources import LEFT_OUT, claim_source, counts

PARTS = sorted({f.relative_to(PACKAGE).parts[0].removesuffix(".py") for f in PACKAGE.rglob("*.py")})
"""Top-level packages and modules, found by looking."""
CANNOT_ALTER_A_NUMBER = {
    *("__main__", "artifacts", "claims", "cli", "commands", "compare", "docs"),
    *("plugin", "progress", "report", "reports", "run", "upkeep"),
}
"""Written out once more: whoever leaves out another part says so here too."""
SHOWN_ONLY = {"progress"}
"""Left out although what counts imports it: it is told how far a run is and returns nothing."""
FOUND_BY_FIXTURES = {("fixtures", "run")}
"""The folder of trained files, whose hashes are in the key, and where progress is shown."""

Measure = Callable[..., bool]


@pytest.fixture
def measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Measure:
    """Say whether a claim is measured, not served."""
    monkeypatch.setenv("POLYROT_CACHE", str(tmp_path / "cache"))

    def measured(claim: Path, **packages: list[Path]) -> bool:
        for cached in (sources._package_source, sources.other_source, sources._library_version):
            cached.cache_clear()  # as in another process
        calls = []

        def measure() -> dict[str, Estimate]:
            calls.append(1)
            return {"all": Estimate(1, 0, 2, "seed", 5, "by hand")}

        EstimateCache(claim, {"of": "a test"}, **packages).measured("models", measure)
        return bool(calls)

    return measured


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    """A claim with all that may stand around one."""
    files = {
        "conftest.py": "import fixtures_of_mine\n",
        "claims/conftest.py": "",
        "claims/mine/my_01.py": "import pytest\nfrom . import beside\n"
        "def measure():\n    from lab.models.small import load\n",
        "claims/mine/my_02.py": "",
        "claims/mine/_helper.py": "import lab.tokens\n",
        "claims/mine/beside.py": "from .deep import table\n",
        "claims/mine/deep/table.py": "",
        "src/fixtures_of_mine.py": "",
        "src/lab/__init__.py": "",
        "src/lab/models/__init__.py": "",
        "src/lab/models/small.py": "",
        "src/lab/models/unused.py": "",
        "src/lab/tokens.py": "",
    }
    for name, text in files.items():
        file = tmp_path / "project" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "project" / "claims" / "mine" / "my_01.py"


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_package(tmp_path_factory.mktemp("copy"))


def copy_package(folder: Path) -> Path:
    """Copy the package, but for trained files, below a folder."""
    ignored = shutil.ignore_patterns("artifacts", "__pycache__", ".*")
    return shutil.copytree(PACKAGE, folder / "polyrot", ignore=ignored)


@pytest.fixture
def package(copies: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package, in the place of the one that counts."""
    monkeypatch.setattr(sources, "PACKAGE", copies)
    yield copies
    sources._package_source.cache_clear()


def edit(file: Path) -> None:
    file.write_text(file.read_text() + "# edited\n")


@pytest.mark.parametrize("part", [part for part in PARTS if part != "artifacts"])
def test_an_edit_of_polyrot_measures_again_where_it_can_alter_a_number(
    part: str, package: Path, claim: Path, measures: Measure
) -> None:
    files = sorted((package / part).rglob("*.py")) or [package / f"{part}.py"]
    assert measures(claim)
    assert not measures(claim)
    for file in {files[0], files[-1]}:
        edit(file)
        assert measures(claim) == (part not in CANNOT_ALTER_A_NUMBER), file
        assert not measures(claim)


def test_what_is_left_out_is_there_and_has_a_reason() -> None:
    assert set(LEFT_OUT) == CANNOT_ALTER_A_NUMBER
    assert all(LEFT_OUT.values())
    data_and_in_the_wheel = {"artifacts", "claims", "docs", "reports"}
    assert set(LEFT_OUT) - set(PARTS) <= data_and_in_the_wheel


@pytest.mark.parametrize("file", ["new.py", "new/__init__.py", "new/deep/er.py", "report2/x.py"])
def test_a_new_module_counts_until_somebody_says_otherwise(
    file: str, package: Path, claim: Path, measures: Measure
) -> None:
    assert measures(claim)
    (package / file).parent.mkdir(parents=True, exist_ok=True)
    (package / file).write_text("")
    assert measures(claim)
    edit(package / file)
    assert measures(claim)
    assert not measures(claim)
    (package / file).unlink()
    assert not measures(claim)  # as before


def imports(file: Path) -> set[str]:
    """Parts of polyrot that a module imports when it runs."""
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("polyrot.")}


def test_what_counts_imports_nothing_that_is_left_out() -> None:
    claims = PACKAGE.parent / "claims"
    files = [file for file in PACKAGE.rglob("*.py") if counts(file)]
    assert len(files) > 100
    taken = {
        (file.relative_to(PACKAGE.parent).parts[1].removesuffix(".py"), part)
        for file in (*files, *claims.rglob("*.py"))
        for part in imports(file)
        if part in LEFT_OUT
    }
    assert {pair for pair in taken if pair[1] not in SHOWN_ONLY} <= FOUND_BY_FIXTURES


def test_what_counts_has_no_data_but_suite_files() -> None:
    """These are hashed for their own suites.  Other data would have to count."""
    data = {
        file
        for file in PACKAGE.rglob("*")
        if file.is_file() and file.suffix not in (".py", ".pyc") and counts(file)
    }
    assert data == set(suite_files().values())


WRONG = "        rotation = u @ vh\n"


def test_a_wrong_rotation_is_never_served_from_an_old_key(
    package: Path, claim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLYROT_CACHE", str(tmp_path / "cache"))
    fitting = package / "linalg" / "procrustes.py"
    source = fitting.read_text()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 4, generator=generator)
    turned = x @ torch.linalg.qr(torch.randn(4, 4, generator=generator)).Q

    def ev() -> tuple[float, bool]:
        """Fit by the code of the package as it is now, or be served; say which."""
        sources._package_source.cache_clear()  # as in another process
        measured = []

        def measure() -> dict[str, Estimate]:
            measured.append(run_path(str(fitting))["align"](x, turned).ev)
            return {"all": exact(measured[0], unit="pair", n=1, method="alone", exhaustive=True)}

        kept = EstimateCache(claim, {"of": "a test"}).measured("models", measure)
        return kept["all"].value, bool(measured)

    right = ev()
    assert right == (pytest.approx(1), True)
    assert ev() == (right[0], False)
    assert source.count(WRONG) == 1
    fitting.write_text(source.replace(WRONG, "        rotation = (u @ vh).mT\n"))
    wrong, measured = ev()
    assert measured
    assert wrong < 0.9
    assert ev() == (wrong, False)
    fitting.write_text(source)
    assert ev() == (right[0], False)


@pytest.mark.parametrize(
    ("file", "again"),
    [
        ("claims/mine/my_01.py", True),
        ("claims/mine/_helper.py", True),  # beside it, however it is loaded
        ("claims/mine/beside.py", True),  # imported
        ("claims/mine/deep/table.py", True),  # imported by what it imports
        ("claims/conftest.py", True),
        ("conftest.py", True),
        ("src/fixtures_of_mine.py", True),  # imported by a conftest.py
        ("src/lab/__init__.py", True),
        ("src/lab/models/small.py", True),  # imported in a function
        ("src/lab/tokens.py", True),  # imported by a helper
        ("src/lab/models/unused.py", False),
        ("claims/mine/my_02.py", False),  # another claim
    ],
)
def test_an_edit_around_a_claim_measures_again_where_the_claim_runs_it(
    file: str, again: bool, claim: Path, measures: Measure, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = claim.parents[2]
    monkeypatch.syspath_prepend(str(project / "src"))
    assert measures(claim)
    assert not measures(claim)
    edit(project / file)
    assert measures(claim) == again
    assert not measures(claim)


def test_a_helper_that_is_added_or_removed_measures_again(claim: Path, measures: Measure) -> None:
    assert measures(claim)
    added = claim.with_name("_more.py")
    added.write_text("")
    assert measures(claim)
    added.unlink()
    assert not measures(claim)
    claim.with_name("_helper.py").unlink()
    assert measures(claim)


def test_a_project_that_is_moved_is_not_measured_again(claim: Path, measures: Measure) -> None:
    assert measures(claim)
    moved = claim.parents[2].rename(claim.parents[3] / "moved")
    assert not measures(moved / "claims" / "mine" / claim.name)


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution `their-name`, imported as `theirs`."""
    installed = tmp_path / "lib" / "site-packages"
    module = installed / "theirs" / "__init__.py"
    metadata = installed / "their_name-1.0.dist-info" / "METADATA"
    for file in (module, metadata):
        file.parent.mkdir(parents=True)
    module.write_text("")
    metadata.write_text("Metadata-Version: 2.1\nName: their-name\nVersion: 1.0\n")
    metadata.with_name("RECORD").write_text("theirs/__init__.py,,\n")
    monkeypatch.syspath_prepend(str(installed))
    return installed


def test_a_library_that_a_claim_imports_counts_by_its_version(
    claim: Path, library: Path, measures: Measure
) -> None:
    claim.write_text("from theirs import something\n")
    assert measures(claim)
    assert claim_source(claim)["library theirs"] == "their-name 1.0"
    edit(library / "theirs" / "__init__.py")
    assert not measures(claim)
    metadata = library / "their_name-1.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("1.0", "1.1"))
    assert measures(claim)


def test_a_claim_of_an_installed_package_counts_with_the_package(
    claim: Path, library: Path, measures: Measure
) -> None:
    installed = library / "theirs" / "claims" / "their_01.py"
    installed.parent.mkdir()
    installed.write_text("from theirs.models import load\n")
    models = library / "theirs" / "models.py"
    models.write_text("")
    assert measures(installed)
    edit(models)
    assert measures(installed)


def test_an_edit_of_a_package_that_brings_experiments_measures_again(
    claim: Path, library: Path, measures: Measure, tmp_path: Path
) -> None:
    single = tmp_path / "single.py"
    single.write_text("")
    packages = [library / "theirs", single]
    assert measures(claim)
    assert measures(claim, packages=packages)
    assert not measures(claim, packages=packages[::-1])
    edit(library / "theirs" / "__init__.py")
    assert measures(claim, packages=packages)
    (library / "theirs" / "worlds.py").write_text("")
    assert measures(claim, packages=packages)
    edit(single)
    assert measures(claim, packages=packages)
    assert not measures(claim, packages=packages)
    assert not measures(claim)


def test_what_cannot_be_read_as_python_or_found_is_left_to_the_run(claim: Path) -> None:
    claim.write_text("import no_such_module_anywhere\nfrom .......... import x\n")
    assert claim.name in claim_source(claim)
    claim.write_text("def broken(:\n")
    assert claim.name in claim_source(claim)


def test_a_run_measures_again_after_an_edit_of_a_helper(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POLYROT_CACHE", str(pytester.path / "cache"))
    claims = ToyClaim(pytester)
    claims.write(0.9, before="open('calls', 'a').write('x')")
    pytester.makeconftest("")
    helper = pytester.makepyfile(_helper="")
    calls = pytester.path / "calls"
    for file in (helper, pytester.path / "conftest.py"):
        for _ in range(2):
            claims()
        before = len(calls.read_text())
        edit(file)
        claims()
        assert len(calls.read_text()) == before + 3  # the models and two controls
