"""The pages: all are in the tree, no link is dead, and no record that they name is missing."""

import importlib
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from polyrot.verdict.judge import Verdict

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [
    *PAGES,
    ROOT / "README.md",
    *sorted(ROOT.glob("reports/calibration/*.md")),
    *sorted(ROOT.glob("reports/benchmarks/**/*.md")),
]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def records():
    sys.path.insert(0, str(DOCS / "extensions"))
    try:
        return importlib.import_module("records")
    finally:
        sys.path.pop(0)


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def test_every_page_is_in_the_tree() -> None:
    trees = re.findall(r"```\{toctree\}\n(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL)
    listed = [
        line for tree in trees for line in tree.split() if line and not line.startswith((":", "-"))
    ]
    listed = [name for name in listed if (DOCS / f"{name}.md").is_file()]
    assert sorted(listed) == sorted({page.stem for page in PAGES} - {"index"})


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_no_link_is_dead(page: Path) -> None:
    for target in LINK.findall(without_code(page.read_text())):
        path, _, anchor = target.partition("#")
        if path.startswith(("http://", "https://")):
            continue
        file = page.parent / path if path else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in slugs, f"{page.name} links to {target}"


ROLES = re.compile(r"\{(verdict|estimate|value|bar|reason|printed|count)\}`([^`]+)`")
DIRECTIVES = re.compile(r"```\{(verdicts|checked|figures)\}(.*?)```", re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_the_pages_say_of_the_reference_runs_holds(page: Path, records) -> None:
    text = page.read_text()
    for role, name in ROLES.findall(text):
        if not name.startswith("example "):  # written by a command before the pages are built
            assert write(records, role, " ".join(name.split()))
    for directive, content in DIRECTIVES.findall(text):
        for line in filter(None, content.split("\n")):
            if directive == "verdicts":
                assert records.verdicts_of(line.strip())
            elif directive == "figures":
                assert records.drawn(line.strip())
            elif "example " not in line:
                records.check(line)


def test_the_findings_name_every_claim_as_its_record_does(records) -> None:
    text = "".join(
        (DOCS / name).read_text()
        for name in ("findings.md", "findings-cores.md", "findings-sasa.md")
    )
    headings = re.findall(r"^### ([A-Z]+-\d+): (.*)$", text, re.MULTILINE)
    statements = {
        record.claim: record.statement
        for suite in records.REFERENCE
        for record in records.report(suite).records
    }
    assert dict(headings) == statements
    assert len(headings) == len(statements)


def write(records, role: str, name: str) -> str:
    writers = {
        "verdict": records.verdict_text,
        "estimate": records.estimate_text,
        "value": records.value_text,
        "printed": records.printed_text,
        "bar": lambda name: records.record(name).bar,
        "reason": lambda name: records.record(name).reason,
    }
    return writers[role](name)


def test_a_name_is_read_as_a_reader_reads_it(records) -> None:
    report = records.read_verdict(records.REPORTS["dyck3"] / "verdict.json")
    record = next(r for r in report.records if r.id == "PIR-04/published")
    part = next(p for p in record.parts if p.name == "resid_post.1")
    name = "dyck3 PIR-04/published resid_post.1"
    assert records.values(name) == [part.estimate.value]
    untrained = next(c for c in part.controls if c.name == "untrained seed")
    assert records.values(f"{name} - untrained seed") == [untrained.estimate.value]
    figure = part.estimate.details["lowest pair"]
    assert records.values(f"{name}: lowest pair") == [figure]
    assert records.values(f"low of {name}") == [part.estimate.low]
    assert records.values(f"high of {name} - untrained seed") == [untrained.estimate.high]
    every = [p.estimate.value for p in record.parts]
    assert records.values("dyck3 PIR-04/published *") == every
    low, _, high = records.value_text("dyck3 PIR-04/published *").partition(" to ")
    assert float(low) == pytest.approx(min(every), rel=0.01)
    assert float(high) == pytest.approx(max(every), rel=0.01)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("dyck4 PIR-04", "no suite 'dyck4'"),
        ("dyck3 PIR-99", "no measurement of dyck3 'PIR-99'"),
        ("dyck3 PIR-04 resid_post.9", "no part of dyck3 PIR-04 'resid_post.9'"),
        ("dyck3 PIR-04 resid_post.1 - Haar world", "no negative control"),
        ("dyck3 PIR-04 resid_post.1: nonsense", "no figure"),
    ],
)
def test_what_does_not_exist_is_refused(name: str, error: str, records) -> None:
    with pytest.raises(LookupError, match=re.escape(error)):
        records.values(name)


def test_a_measurement_without_numbers_is_refused(records, monkeypatch) -> None:
    not_run = replace(records.record("dyck3 PIR-04"), verdict=Verdict.NOT_RUN, parts=())
    monkeypatch.setattr(records, "record", lambda name: not_run)
    with pytest.raises(LookupError, match="dyck3 PIR-04 is NOT RUN and has no number"):
        records.values("dyck3 PIR-04")


def test_what_does_not_hold_is_refused(records) -> None:
    found = records.verdict_text("dyck3 PIR-04")
    assert records.verdict_text(f"dyck3 PIR-04 = {found}") == found
    with pytest.raises(LookupError, match="written for NONSENSE"):
        records.verdict_text("dyck3 PIR-04 = NONSENSE")
    records.check("dyck3 PIR-04 * > -100")
    records.check(f"dyck3 PIR-04 = {found}")
    with pytest.raises(LookupError, match="written for NONSENSE"):
        records.check("dyck3 PIR-04 = NONSENSE")
    with pytest.raises(LookupError, match="written for NONSENSE"):
        records.check("dyck3 PIR-04 resid_mid.0 = NONSENSE")
    with pytest.raises(LookupError, match="the text around it needs dyck3 PIR-04 \\* > 100"):
        records.check("dyck3 PIR-04 * > 100")
    with pytest.raises(LookupError, match="expected LEFT < RIGHT"):
        records.check("dyck3 PIR-04")
