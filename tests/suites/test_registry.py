"""Experiments are found by looking, say what concerns them, and stay light until they run."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from toy_claim import forget_experiments

from polyrot.capabilities.streams import Autoencoders, Streams
from polyrot.catalogue import find_claims
from polyrot.errors import NotRun
from polyrot.experiments.chains.models import Chains
from polyrot.suites import registry
from polyrot.suites.kind import Lazy, claim_ids
from polyrot.suites.loading import load_suite
from polyrot.suites.registry import BrokenExperiment, applies_to, provides, suites_with

ROOT = Path(__file__).parents[2]
KINDS = {module.__name__: module.KIND for module in registry.modules()}


def lazies(kind: object) -> list[Lazy]:
    found = [kind.load, kind.suite, kind.provenance, kind.needs, kind.verify]
    found += [kind.file_problems, kind.file_summary]
    found += [own.make for own in kind.worlds] + [own.build for own in kind.trainers]
    found += [part for p in kind.providers for part in (p.capability, p.suite, p.make)]
    return [own for own in found if own is not None]


@pytest.mark.parametrize("name", KINDS)
def test_what_a_kind_names_exists(name: str) -> None:
    for own in lazies(KINDS[name]):
        assert callable(own.value), own.place


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_lists_the_worlds_that_its_module_has(name: str) -> None:
    kind = KINDS[name]
    if not kind.worlds:
        return
    module = import_module(name.replace(".kind", ".worlds"))
    tables = [own for n, own in vars(module).items() if n.endswith("_WORLDS")]
    assert sorted(kind.world_names) == sorted(name for table in tables for name in table)


@pytest.mark.process
def test_no_kind_imports_torch() -> None:
    code = "from polyrot.suites import registry; import sys; registry.modules()\n"
    code += "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_shipped_claim_is_listed_and_every_listed_claim_is_shipped() -> None:
    _, claims = find_claims(ROOT)
    assert {claim.id for claim in claims} == registry.listed_claims()


def test_claims_of_a_list_are_read() -> None:
    assert claim_ids("PIR-04..06 X-01") == {"PIR-04", "PIR-05", "PIR-06", "X-01"}
    with pytest.raises(
        ValueError, match=r"Expected ids of claims, such as CORE-01\.\.06, but got 'x'"
    ):
        claim_ids("PIR-04 x")


@pytest.mark.parametrize(
    ("claim", "suite", "asked"),
    [
        ("PIR-11", "dyck3", True),
        ("PIR-11", "dyck3-independent", False),
        ("PIR-13", "dyck3", False),
        ("PIR-13", "textlm", True),
        ("PIR-13", "dyck3-independent", True),
        ("PIR-13/published", "dyck3-independent", False),
        ("PIR-13/published", "textlm", True),
        ("PIR-12/published", "dyck3", True),
        ("CORE-06", "markov", True),
        ("CORE-06", "dyck3", False),
        ("SASA-05", "world:samples-power", True),
        ("SASA-05", "world:points-sphere", False),
    ],
)
def test_a_listed_claim_is_asked_of_the_suites_that_list_it(
    claim: str, suite: str, asked: bool
) -> None:
    assert applies_to(claim, suite, [Streams]) is asked


def test_a_claim_that_nobody_lists_is_asked_wherever_it_can_be() -> None:
    assert applies_to("PIR-99", "dyck3", [Streams])
    assert applies_to("PIR-99", "dyck3", [])
    assert not applies_to("PIR-99", "subspaces", [Streams])
    assert not applies_to("PIR-99", "dyck3", [Chains])
    assert applies_to("PIR-99", "world:haar", [Streams, Autoencoders])


def test_claims_that_a_user_lists_are_all(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'name = "mine"\nclaims = ["PIR-05"]\n[[models]]\nseeds = [1, 2]\nfolder = "s{seed}"\n'
    )
    assert applies_to("PIR-05", str(file), [Streams])
    assert not applies_to("PIR-06", str(file), [Streams])
    assert not applies_to("PIR-99", str(file), [Streams])


def test_a_suite_gives_what_it_has_and_says_who_has_the_rest() -> None:
    suite = load_suite("markov")
    assert suite.get(Chains) is suite
    assert suite.get(Streams).sites == ("resid_mid.0", "resid_post.0")
    said = r"^world:haar has no models of a Markov chain; run it with --suite markov$"
    with pytest.raises(NotRun, match=said):
        load_suite("world:haar").get(Chains)
    assert suites_with(Chains) == ("markov",)
    assert not provides("world:points-sphere", Streams)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install an experiment of another package."""

    def install(code: str) -> None:
        folder = tmp_path / "theirs-1.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1\n")
        (folder / "entry_points.txt").write_text("[polyrot.experiments]\nodd = their_kind\n")
        (tmp_path / "their_kind.py").write_text(code)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "their_kind", raising=False)
        forget_experiments()

    yield install
    forget_experiments()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import nowhere", "the experiment odd of theirs cannot be imported: ModuleNotFoundError"),
        ("KIND = 1", "the experiment odd of theirs: expected their_kind.KIND to be a"),
        (
            "from polyrot.suites.kind import Kind, Listed\nKIND = Kind((Listed('markov'),))",
            "the experiment their_kind names markov, which exists already; give it another name",
        ),
    ],
)
def test_a_broken_experiment_is_named(installed, code: str, said: str) -> None:
    installed(code)
    with pytest.raises(BrokenExperiment, match=said):
        registry.modules()


def test_code_of_another_package_counts_for_kept_estimates(installed, tmp_path: Path) -> None:
    installed("from polyrot.suites.kind import Kind\nKIND = Kind()\n")
    assert registry.other_packages() == (tmp_path / "their_kind.py",)
