"""What of the reports is in git: verdicts and tables; what is rendered from them is left out."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from planted_report import report

from polyrot.report.files import write_reports
from polyrot.verdict.policy import Policy

ROOT = Path(__file__).parents[2]
PICTURE = re.compile(r"!\[[^\]]*\]\(([^)]+)\)")


def git(folder: Path, *arguments: str) -> list[str]:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no clone: {done.stderr}")
    return done.stdout.splitlines()


def test_of_a_suite_the_verdicts_and_their_table_are_kept_and_no_rendering() -> None:
    kept = [ROOT / line for line in git(ROOT, "ls-files", "reports")]
    suites = {file.parent for file in kept if file.name == "verdict.json"}
    of_suites = {file for file in kept if any(file.is_relative_to(suite) for suite in suites)}
    assert of_suites == {suite / f"verdict.{kind}" for suite in suites for kind in ("json", "md")}
    # Elsewhere there are pictures, which pages show that are kept too.
    others = set(kept) - of_suites
    shown = {
        page.parent / name
        for page in others
        if page.suffix == ".md"
        for name in PICTURE.findall(page.read_text())
    }
    assert {file for file in others if file.suffix not in (".json", ".md")} == shown


def test_a_run_in_a_clone_adds_nothing_but_verdicts_and_their_table(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    shutil.copy(ROOT / ".gitignore", tmp_path)
    for _ in range(2):  # the second drifts from an expectation that differs
        recorded = tmp_path / "reports" / "toy" / "verdict.json"
        expected = Policy(expected={("toy", "TOY-99"): report().records[0].verdict})
        keep = [recorded.resolve()] if recorded.exists() else []
        write_reports([report()], tmp_path / "reports", keep=keep, policy=expected, may_shrink=True)
    written = {path.name for path in (tmp_path / "reports" / "toy").iterdir()}
    assert {"index.html", "figures", "verdict-drifted.json", "verdict-drifted.html"} <= written
    assert git(tmp_path, "ls-files", "--others", "--exclude-standard") == [
        ".gitignore",
        "reports/toy/verdict.json",
        "reports/toy/verdict.md",
    ]
